"""A checkpoint: how large the log was and the root of its tree, in a signed note (https://c2sp.org/tlog-checkpoint).

One rule: the lines are origin, size, root in base64. A key's handover is a checkpoint with one line more,
`handover OLD NEW` (both vkeys), signed by both: the old key is good up to that size, the new one from there on.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

from services.notary.note import BadNote, Note, Signer, Verifier, read_note, read_verifier, sign

HANDOVER = "handover"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Handover(NamedTuple):
    """From which key to which."""

    old: Verifier
    new: Verifier


class Checkpoint(NamedTuple):
    """The log of this origin had `size` records, and its tree this root (32 bytes)."""

    origin: str
    size: int
    root: bytes
    handover: Handover | None = None

    def text(self) -> str:
        """What is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        if self.handover is not None:
            lines.append(f"{HANDOVER} {self.handover.old} {self.handover.new}")
        return "".join(f"{line}\n" for line in lines)

    def signed(self, signers: Iterable[Signer]) -> str:
        """The note."""
        return sign(self.text(), signers)


def read_checkpoint(note: str) -> tuple[Checkpoint, Note]:
    """The checkpoint in a note whose signatures are still to be checked; BadNote for what is none."""
    parts = read_note(note)
    lines = parts.text[:-1].split("\n")
    if len(lines) < 3 or not _SIZE.fullmatch(lines[1]):
        raise BadNote("not a checkpoint: expected the lines origin, size, root")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        root = b""
    if len(root) != 32:
        raise BadNote("not a checkpoint: the root is not the base64 of 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root, _handover(lines[3:])), parts


def _handover(lines: list[str]) -> Handover | None:
    for line in lines:
        word, *keys = line.split(" ")
        if word == HANDOVER and len(keys) == 2:
            return Handover(read_verifier(keys[0]), read_verifier(keys[1]))
    return None
