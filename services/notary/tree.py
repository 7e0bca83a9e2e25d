"""The Merkle tree over the log, as RFC 6962 defines it (section 2.1).

One rule: leaf i is revision i + 1, and what it holds is `ROLLOUT "\\n" SHA-256 of the stored bytes (hex)`. The hash,
not the bytes: it is the one that the rollout's next record names, so what was removed can still be recognised by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from events.codec import digest

EMPTY = sha256(b"").digest()
"""The root of no leaves at all."""


def leaf(rollout: str, data: bytes) -> bytes:
    """The hash (32 bytes) of the leaf of a record: whose it is, and its stored bytes."""
    return leaf_hash(f"{rollout}\n{digest(data)}".encode())


def leaf_hash(data: bytes) -> bytes:
    """Of any leaf: SHA-256(0x00 || data)."""
    return sha256(b"\0" + data).digest()


class Tree:
    """A tree that only grows. It keeps the roots of its complete subtrees, one for each bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []  # the largest first

    def add(self, leaf: bytes) -> None:
        """One more leaf, by its hash."""
        size, subtrees = self.size, self._subtrees
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\1" + subtrees.pop() + leaf).digest()
            size >>= 1
        subtrees.append(leaf)

    def root(self) -> bytes:
        """The hash (32 bytes) over all leaves."""
        if not self._subtrees:
            return EMPTY
        *others, root = self._subtrees
        for subtree in reversed(others):
            root = sha256(b"\1" + subtree + root).digest()
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    tree = Tree()
    for each in leaves:
        tree.add(each)
    return tree.root()
