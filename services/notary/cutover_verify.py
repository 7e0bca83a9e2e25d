"""cutover-verify: is an export of Cutover's log what was signed, record by record? One file, to be copied anywhere.

    python cutover_verify.py EXPORT --key notary.pub [--at-least SIZE] [--checkpoint NOTE] [--json]

It needs Python 3.11 and the package `cryptography`, and nothing else: no line of Cutover, no network. It trusts the key
that it is given, and older or newer keys only through handovers that both keys signed. Exit codes: 0 all is as signed;
1 something is not, and where; 2 it could not be checked.

One rule: what is said about a revision follows from a signature. Where a signed root tells only that something between
two checkpoints is wrong, the record is sought that puts it right (by the hash that stands beside it, by the hash that
the rollout's next record names, by leaving one out, by exchanging two): what does is named, otherwise the range.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import os
import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHUNK = 16 * 1024 * 1024  # bytes that one process reads at a time
WORK = 2_000_000  # hashes that are tried to find which record it was, between two checkpoints
ALL_WORK = 10 * WORK  # and in the whole file
TOLD = 50  # findings that are told in words; JSON has all of them
SOME = 16  # records that differ from the kept hashes; more of them are rather one that was put in or left out
ALWAYS = 2**63

RECORD = re.compile(
    rb'\{"revision":([1-9][0-9]{0,17}),"rollout":"([^"\\\x00-\x1f]*)","sha256":"([0-9a-f]{64})","(record|base64)":'
)
# A name written with escapes, which is rare.
ESCAPED = re.compile(RECORD.pattern.replace(rb'([^"\\\x00-\x1f]*)', rb'((?:[^"\\\x00-\x1f]|\\.)*+)'))
HEAD = re.compile(rb'\{"v":[0-9]+,"rollout":"([^"\\]*)","ordinal":([1-9][0-9]{0,17}),"previous":"((?:[0-9a-f]{64})?)",')
NAME = re.compile(r"[^\s+]+")
SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class Unusable(Exception):
    """It cannot be checked: no export, no key. The text says why."""


class NotAnExport(Unusable):
    """The file is something else."""


class Finding(NamedTuple):
    """What is wrong: with revisions `first` to `last` (0: with no record), of a kind, in words."""

    kind: str  # changed, dropped, inserted, reordered, cut, forged, unsigned, chain, checkpoint, file
    first: int
    last: int
    words: str


class Result(NamedTuple):
    """What was found. `size` is how far a signature reaches over what was checked."""

    records: int
    checkpoints: int
    size: int
    findings: list[Finding]


# -- reading the lines


class Break(NamedTuple):
    """A record that does not follow its rollout's one before: `before` is that one's revision (0: none) and leaf."""

    revision: int
    rollout: bytes
    ordinal: int
    previous: bytes
    leaf: bytes
    before: int = 0
    before_ordinal: int = 0
    before_leaf: bytes = b""

    def words(self) -> str:
        name = self.rollout.decode(errors="replace")
        if self.ordinal == 0:
            return f"revision {self.revision} is no record of rollout {name!r}"
        if self.ordinal != self.before_ordinal + 1:
            return (
                f"revision {self.revision} is record {self.ordinal} of rollout {name!r}, "
                f"where its record {self.before_ordinal + 1} should be"
            )
        there = f"revision {self.before}, the record before it in" if self.before else "none: it is the first of"
        return f"revision {self.revision} names another hash than that of {there} rollout {name!r}"


End = tuple[int, int, bytes, bytes]  # of a rollout so far: revision, ordinal, hash, leaf


class Scanned(NamedTuple):
    """What a piece of the file holds. `others` are lines that are no records, by the number of records before them."""

    numbers: array[int]
    leaves: list[bytes]
    stated: dict[int, bytes]  # leaves as their line says, where it says another than its record has
    firsts: dict[bytes, Break]
    ends: dict[bytes, End]
    breaks: list[Break]
    others: list[tuple[int, bytes]]


def leaf_of(rollout: bytes, digest: bytes) -> bytes:
    """RFC 6962's leaf hash of a record."""
    return sha256(b"\0" + rollout + b"\n" + digest).digest()


def scan(data: bytes) -> Scanned:
    """Read whole lines."""
    found = Scanned(array("q"), [], {}, {}, {}, [], [])
    numbers, leaves, stated, firsts, ends, breaks, others = found
    for line in data.split(b"\n"):
        match = RECORD.match(line) or ESCAPED.match(line)
        if match is None:
            if line:
                others.append((len(leaves), line))
            continue
        revision, rollout, says, kind = match.groups()
        stored = _stored(line, match.end(), kind)
        if match.re is ESCAPED:
            rollout = _spelled_out(rollout)
        if stored is None or rollout is None:
            others.append((len(leaves), line))
            continue
        digest = sha256(stored).hexdigest().encode()
        leaf = sha256(b"\0" + rollout + b"\n" + digest).digest()
        if digest != says:
            stated[len(leaves)] = leaf_of(rollout, says)
        number = int(revision)
        numbers.append(number)
        leaves.append(leaf)
        ordinal, previous = _place(stored, rollout)
        end = ends.get(rollout)
        if end is None:
            firsts[rollout] = Break(number, rollout, ordinal, previous, leaf)
        elif ordinal != end[1] + 1 or previous != end[2]:
            breaks.append(Break(number, rollout, ordinal, previous, leaf, end[0], end[1], end[3]))
        ends[rollout] = (number, ordinal, digest, leaf)
    return found


def _stored(line: bytes, start: int, kind: bytes) -> bytes | None:
    """The exact bytes of the record in this line; None: the line is not whole."""
    if line[-1:] != b"}":
        return None
    if kind == b"record":
        return line[start:-1]
    quoted = line[start:-1]
    return _decoded(quoted[1:-1]) if quoted[:1] == quoted[-1:] == b'"' and len(quoted) > 1 else None


def _spelled_out(name: bytes) -> bytes | None:
    """A rollout's name that is written with escapes, as its own bytes; None: it is no text."""
    try:
        return str(json.loads(b'"%b"' % name)).encode()
    except ValueError:
        return None


def _decoded(text: bytes) -> bytes | None:
    """From base64 as it is written, and from no other spelling of it."""
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return found if base64.b64encode(found) == text else None


def _place(stored: bytes, rollout: bytes) -> tuple[int, bytes]:
    """Which record of its rollout it says it is, and after which; (0, b""): it is none.

    The short way is for records as Cutover writes them, and only where nothing in them can say it twice.
    """
    match = HEAD.match(stored)
    if match and b"\\u" not in stored and stored.count(b'"previous"') == 1 == stored.count(b'"ordinal"'):
        return (int(match[2]), match[3]) if match[1] == rollout else (0, b"")
    try:
        record = json.loads(stored, object_pairs_hook=_no_name_twice)
        if record["rollout"] == rollout.decode() and isinstance(record["ordinal"], int) and record["ordinal"] > 0:
            return record["ordinal"], str(record["previous"]).encode(errors="replace")
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return 0, b""


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


class Whole:
    """All pieces put together, in their order."""

    def __init__(self, pieces: Iterable[Scanned]) -> None:
        self.numbers = array("q")
        self.leaves: list[bytes] = []
        self.stated: dict[int, bytes] = {}
        self.breaks: list[Break] = []
        self.others: list[tuple[int, bytes]] = []
        ends: dict[bytes, End] = {}
        for piece in pieces:
            at = len(self.leaves)
            self.numbers += piece.numbers
            self.leaves += piece.leaves
            self.stated |= {at + index: leaf for index, leaf in piece.stated.items()}
            self.others += [(at + index, line) for index, line in piece.others]
            for rollout, first in piece.firsts.items():
                number, ordinal, digest, leaf = ends.get(rollout, (0, 0, b"", b""))
                if first.ordinal != ordinal + 1 or first.previous != digest:
                    self.breaks.append(first._replace(before=number, before_ordinal=ordinal, before_leaf=leaf))
            self.breaks += piece.breaks
            ends |= piece.ends


# -- the tree (RFC 6962, 2.1)


class Tree:
    """The roots of the complete subtrees, the largest first."""

    def __init__(self, size: int = 0, subtrees: tuple[bytes, ...] = ()) -> None:
        self.size, self.subtrees = size, list(subtrees)

    def copy(self) -> Tree:
        return Tree(self.size, tuple(self.subtrees))

    def add(self, leaves: Iterable[bytes]) -> Tree:
        size, subtrees, pop, hashed = self.size, self.subtrees, self.subtrees.pop, sha256
        for leaf in leaves:
            bits, size = size, size + 1
            while bits & 1:
                leaf = hashed(b"\1" + pop() + leaf).digest()
                bits >>= 1
            subtrees.append(leaf)
        self.size = size
        return self

    def root(self) -> bytes:
        if not self.subtrees:
            return sha256(b"").digest()
        *others, root = self.subtrees
        for subtree in reversed(others):
            root = sha256(b"\1" + subtree + root).digest()
        return root


# -- checkpoints and keys (C2SP signed-note, tlog-checkpoint)


class Key(NamedTuple):
    """A public key, as `name+hash+base64`."""

    name: str
    hash: bytes
    public: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}"


def read_key(text: str) -> Key:
    """A C2SP vkey of an Ed25519 key; Unusable for anything else, which is not quoted: it may be a secret."""
    if text.startswith("PRIVATE+KEY+"):
        raise Unusable("that is the private key: the public one is needed, and this one should lie nowhere else")
    try:
        name, hashed, key = text.strip().split("+", 2)
        raw = base64.b64decode(key, validate=True)
        found = Key(name, bytes.fromhex(hashed), raw[1:])
    except ValueError:
        raise Unusable("not a public key: expected name+hash+base64") from None
    if len(raw) != 33 or raw[0] != 1 or sha256(name.encode() + b"\n" + raw).digest()[:4] != found.hash:
        raise Unusable("not an Ed25519 key with the hash that stands in it")
    if not NAME.fullmatch(name) or not name.isprintable():
        raise Unusable("not a public key: its name has signs that no name has")
    return found


class Checkpoint(NamedTuple):
    """A note: its log had `size` records and this root. `where` says where it stands."""

    origin: str
    size: int
    root: bytes
    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]
    handover: tuple[Key, Key] | None
    where: str

    def bears(self, key: Key) -> bool | None:
        """True: this key's signature; False: one that claims to be and is not; None: none of it."""
        for name, hashed, signature in self.signatures:
            if (name, hashed) == key[:2]:
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(signature, self.text.encode())
                except (InvalidSignature, ValueError):
                    return False
                return True
        return None


def read_checkpoint(note: str, where: str) -> Checkpoint | None:
    """A note's checkpoint; None: it is none."""
    text, blank, tail = note.rpartition("\n\n")
    lines, signatures = text.split("\n"), []
    try:
        for line in tail[:-1].split("\n"):
            match = SIGNATURE.fullmatch(line)
            raw = _decoded(match[2].encode()) if match else None
            if match is None or raw is None or len(raw) < 5 or not blank or tail[-1:] != "\n":
                return None
            signatures.append((match[1], raw[:4], raw[4:]))
        root, handover = base64.b64decode(lines[2], validate=True), None
        if len(root) != 32 or not re.fullmatch("0|[1-9][0-9]{0,17}", lines[1]):
            return None
        for line in lines[3:]:
            word, *keys = line.split(" ")
            if word == "handover" and len(keys) == 2:
                handover = read_key(keys[0]), read_key(keys[1])
    except (ValueError, IndexError, Unusable):
        return None
    return Checkpoint(lines[0], int(lines[1]), root, text + "\n", tuple(signatures), handover, where)


class Trust:
    """Which key may sign which sizes: the given ones, and others by handovers that both keys signed.

    A key hands over once, at a size at which it was itself entitled to sign: a stolen old key vouches for nothing that
    came after its own handover, a handover included.
    """

    def __init__(self, given: list[Key], checkpoints: list[Checkpoint]) -> None:
        self.spans: dict[Key, tuple[int, int]] = dict.fromkeys(given, (0, ALWAYS))
        self.findings: list[Finding] = []
        self._taken: list[Checkpoint] = []
        handovers = [c for c in checkpoints if c.handover and c.bears(c.handover[0]) and c.bears(c.handover[1])]
        for key in given:
            chain = {key}
            self._follow(key, 0, handovers, chain)
            self._follow(key, 1, handovers, chain)
            apart = [other for other in given if other.name == key.name and other not in chain]
            if apart:
                raise Unusable(
                    f"no handover connects the keys {key} and {apart[0]}, so which of them may sign what cannot be "
                    "told: give the one that you trust"
                )

    def _follow(self, key: Key, side: int, handovers: list[Checkpoint], chain: set[Key]) -> None:
        """From key to key: to those that came after (side 0: this one hands over), or were before (1: takes over)."""
        while (found := self._of(key, side, handovers, chain)) is not None:
            size, other = found
            old, new = (other, key) if side else (key, other)
            self._narrow(old, high=size)
            self._narrow(new, low=size)
            chain.add(key := other)

    def _of(self, key: Key, side: int, handovers: list[Checkpoint], chain: set[Key]) -> tuple[int, Key] | None:
        """At which size this key hands over (side 0) or takes over (1), and the key on the other side; None: it never
        does."""
        low, high = self.spans[key]
        found: dict[Key, Checkpoint] = {}
        for checkpoint in handovers:
            pair = checkpoint.handover
            if pair and pair[side] == key and pair[1 - side] not in chain and low <= checkpoint.size <= high:
                first = found.setdefault(pair[1 - side], checkpoint)
                found[pair[1 - side]] = min(first, checkpoint, key=lambda c: c.size)
        if len(found) > 1:
            what = "taken over from two others" if side else "handed over to two others"
            self.findings.append(Finding("forged", 0, 0, f"the key {key} was {what}: one of the handovers is forged"))
            return None
        for other, checkpoint in found.items():
            self._taken.append(checkpoint)
            return checkpoint.size, other
        return None

    def _narrow(self, key: Key, low: int = 0, high: int = ALWAYS) -> None:
        before = self.spans.get(key, (0, ALWAYS))
        self.spans[key] = max(before[0], low), min(before[1], high)

    def judge(self, checkpoint: Checkpoint) -> Finding | None:
        """None: it counts. Otherwise what is wrong with it."""
        what = f"{checkpoint.where} (of {checkpoint.size} records)"
        late: tuple[Key, int] | None = None
        good = False
        for key, (low, high) in self.spans.items():
            borne = checkpoint.bears(key)
            if borne is False:
                words = f"{what} was changed: the signature of {key} does not fit it"
                return Finding("checkpoint", checkpoint.size, checkpoint.size, words)
            if borne and key.name == checkpoint.origin:
                good = good or low <= checkpoint.size <= high
                late = (key, high) if checkpoint.size > high else late
        if checkpoint.handover and checkpoint.handover not in [c.handover for c in self._taken]:
            words = f"{what} claims to hand over to the key {checkpoint.handover[1]}, which no trusted key says"
            return Finding("forged", 0, 0, words)
        if good:
            return None
        if late:
            first = late[1] + 1
            words = (
                f"{what} is forged: it is signed with the old key {late[0]}, which was handed over at revision "
                f"{late[1]} and signs nothing after it. Nobody vouches for revisions {first} to {checkpoint.size} by it"
            )
            return Finding("forged", first, checkpoint.size, words)
        names = ", ".join(f"{name!r}+{hashed.hex()}" for name, hashed, _ in checkpoint.signatures)
        return Finding("forged", 0, 0, f"{what} is signed by {names}, which is no key that you trust")


# -- judging


class Judge:
    """Holds the records against the checkpoints that count, from the first on, and says what differs."""

    def __init__(self, whole: Whole, checkpoints: list[Checkpoint], leaves: bytes = b"") -> None:
        self.kept = leaves
        self.leaves = list(whole.leaves)
        self.stated = {whole.leaves[index]: leaf for index, leaf in whole.stated.items()}
        self.numbers = whole.numbers
        self.breaks = whole.breaks
        self.checkpoints = sorted(checkpoints, key=lambda c: c.size)
        self.findings: list[Finding] = []
        self.good = Tree()  # as far as it is proven
        self.open: Finding | None = None  # a range in which it could not be told where
        self.work = ALL_WORK

    def run(self) -> None:
        waiting = self._fitting(self.checkpoints)
        while waiting:
            following = next((c for c in waiting if c.size > waiting[0].size), None)
            if not self._repair(waiting[0], following):
                self._range(waiting[0])
                break
            waiting = self._fitting(waiting)
        self._stated_wrongly()

    def _fitting(self, checkpoints: list[Checkpoint]) -> list[Checkpoint]:
        """Go on to the last checkpoint that fits the records; those after it, the first of which does not.

        One that does not fit although a later one does is wrong itself.
        """
        tree, fits = self.good.copy(), self.good.size
        forged: list[Checkpoint] = []
        waiting: list[Checkpoint] = []
        for checkpoint in checkpoints:
            tree.add(self.leaves[tree.size : checkpoint.size])
            if tree.size == checkpoint.size and tree.root() == checkpoint.root:
                forged += waiting
                waiting, self.good, fits = [], tree.copy(), checkpoint.size
            elif checkpoint.size == self.good.size:  # another one of that size fits, or there are no records at all
                forged.append(checkpoint)
            else:
                waiting.append(checkpoint)
        for checkpoint in forged:
            other = "another" if checkpoint.size == fits else "a later"
            these = f"the records are those of {other} checkpoint of {fits}" if fits else "no records have another root"
            words = f"{checkpoint.where} (of {checkpoint.size} records) is of another log: it is signed, but {these}"
            self.findings.append(Finding("forged", checkpoint.size, checkpoint.size, words))
        return waiting

    def _repair(self, checkpoint: Checkpoint, following: Checkpoint | None) -> bool:
        """Find the one thing that puts the signed root right again; say it, and go on as if it were right.

        Where several do, it is the one by which the following checkpoint comes out as well.
        """
        start, size = self.good.size, checkpoint.size
        piece = self.leaves[start : size + 1]
        budget, spent = min(WORK, self.work), 0
        found: tuple[list[bytes], list[Finding]] | None = None
        for leaves, finding in self._candidates(piece, start, size - start):
            spent += size - start + 20
            if spent > budget:
                break
            tree = self.good.copy().add(leaves[: size - start])
            if tree.size != size or tree.root() != checkpoint.root:
                continue
            found = found or (leaves, finding)
            if following is None:
                break
            after = [*leaves[size - start :], *self.leaves[size + 1 : following.size + 1]]
            spent += following.size - size
            if tree.add(after[: following.size - size]).root() == following.root:
                found = leaves, finding
                break
        self.work -= spent
        if found is None:
            return False
        self.leaves[start : size + 1], finding = found
        self.findings += finding
        return True

    def _candidates(self, piece: list[bytes], start: int, wanted: int) -> Iterator[tuple[list[bytes], list[Finding]]]:
        """What may have been, with what to say if it was."""
        yield from self._as_stated(piece, start, wanted)
        yield from self._as_kept(piece, start, wanted)
        places = {leaf: index for index, leaf in enumerate(piece)}
        for broken in self.breaks:
            named = leaf_of(broken.rollout, broken.previous)
            at = places.get(broken.before_leaf)
            if at is not None and broken.ordinal == broken.before_ordinal + 1:
                words = f"was changed: revision {broken.revision}, the next one of its rollout, names another hash"
                yield [*piece[:at], named, *piece[at + 1 :]], [_one("changed", start + at + 1, words)]
        for broken in self.breaks:
            named = leaf_of(broken.rollout, broken.previous)
            if broken.ordinal > broken.before_ordinal + 1:
                name = broken.rollout.decode(errors="replace")
                for at in range(min(wanted, len(piece)) + 1):
                    words = f"was dropped: record {broken.ordinal - 1} of rollout {name!r} stood there"
                    yield [*piece[:at], named, *piece[at:]], [_one("dropped", start + at + 1, words)]
        for at in range(wanted + 1 if len(piece) > wanted else 0):
            words = "was inserted: without it all is as signed"
            yield [*piece[:at], *piece[at + 1 :]], [_one("inserted", start + at + 1, words)]
        if wanted <= len(piece):
            for one, other in combinations(range(wanted), 2):
                swapped = list(piece)
                swapped[one], swapped[other] = piece[other], piece[one]
                words = f"revisions {start + one + 1} and {start + other + 1} were exchanged"
                yield swapped, [Finding("reordered", start + one + 1, start + other + 1, words)]

    def _as_stated(self, piece: list[bytes], start: int, wanted: int) -> Iterator[tuple[list[bytes], list[Finding]]]:
        """As the hashes beside the records say."""
        some = [index for index, leaf in enumerate(piece[:wanted]) if leaf in self.stated]
        for choice in [some] if len(some) < 2 else [some, *([index] for index in some)]:
            if choice:
                words = "was changed: its bytes do not have the hash that was signed"
                leaves = [self.stated[leaf] if index in choice else leaf for index, leaf in enumerate(piece)]
                yield leaves, [_one("changed", start + index + 1, words) for index in choice]

    def _as_kept(self, piece: list[bytes], start: int, wanted: int) -> Iterator[tuple[list[bytes], list[Finding]]]:
        """As the leaf hashes say that were kept beside the log."""
        kept = [self.kept[at * 32 : at * 32 + 32] for at in range(start, start + wanted)]
        other = [index for index, (one, two) in enumerate(zip(piece, kept, strict=False)) if one != two]
        if wanted <= len(piece) and len(kept[-1]) == 32 and len(other) <= SOME:
            words = "was changed: it does not have the hash that was kept beside the log"
            yield [*kept, *piece[wanted:]], [_one("changed", start + index + 1, words) for index in other]

    def _range(self, checkpoint: Checkpoint) -> None:
        """It cannot be told which record: say between which, and what the chains say."""
        first, last, there = self.good.size + 1, checkpoint.size, len(self.leaves)
        if there < last:
            words = f"the records end at revision {there}, but a checkpoint of {last} was signed: the tail was cut off"
            if there >= first:
                words += f", or as many were dropped after revision {self.good.size} and the others numbered anew"
            finding = Finding("cut", first, last, words)
        else:
            what = f"revision {first}" if first == last else f"something from revision {first} to {last}"
            words = f"{what} is not as it was signed"
            finding = Finding("changed", first, last, words)
        broken = [b.words() for b in self.breaks if first <= b.revision <= max(last, b.before)]
        hint = f" (the chain says: {'; '.join(broken[:3])})" if broken else ""
        after = f". What stands after revision {last} cannot be held against a signature" if there > last else ""
        self.open = finding._replace(words=finding.words + hint + after)
        self.findings.append(self.open)

    def _stated_wrongly(self) -> None:
        """Hashes beside records that are not theirs, although the records are as signed."""
        for index, leaf in enumerate(self.leaves[: self.good.size] if self.stated else ()):
            if leaf in self.stated:
                words = "is as it was signed, but the hash beside it was changed"
                self.findings.append(_one("file", index + 1, words))


def _one(kind: str, revision: int, words: str) -> Finding:
    return Finding(kind, revision, revision, f"revision {revision} {words}")


def _in_order(whole: Whole) -> list[Finding]:
    """Puts the lines in the order of their numbers, and says what is wrong with those."""
    count = len(whole.numbers)
    numbers, findings = list(whole.numbers), []
    there = set(numbers)
    for place, number in enumerate(numbers):
        wanted = numbers[place - 1] + 1 if place else 1
        follows = place + 1 < count and numbers[place + 1] == wanted + 1
        if number != wanted and wanted not in there and follows:
            findings.append(_one("changed", wanted, f"calls itself revision {number}"))
            numbers[place] = wanted
            there.add(wanted)
    order = sorted(range(count), key=lambda place: numbers[place])
    if order != list(range(count)):
        moved = sorted(numbers[place] for index, place in enumerate(order) if index != place)
        words = f"revisions {moved[0]} and {moved[-1]} stand in another order than they are numbered"
        findings.append(Finding("reordered", moved[0], moved[-1], words))
    last = 0
    for place in order:
        number = numbers[place]
        if number == last:
            findings.append(_one("inserted", number, "stands twice"))
        elif number > last + 1:
            many = f"revision {last + 1} is" if number == last + 2 else f"revisions {last + 1} to {number - 1} are"
            findings.append(Finding("dropped", last + 1, number - 1, f"{many} missing: dropped"))
        last = number
    whole.leaves = [whole.leaves[place] for place in order]
    whole.stated = {index: whole.stated[place] for index, place in enumerate(order) if place in whole.stated}
    return findings


def verify(
    pieces: Iterable[Scanned], keys: list[Key], *, at_least: int = 0, elsewhere: Iterable[str] = (), leaves: bytes = b""
) -> Result:
    """Everything there is to say about an export. `elsewhere` are checkpoints that were kept apart from it, `leaves`
    leaf hashes (32 bytes each, from the first on): they are believed where they give a root that was signed.
    """
    whole = Whole(pieces)
    notes, findings = _frame(whole, {key.name for key in keys})
    checkpoints: list[Checkpoint] = []
    for where, note in [*notes, *((f"checkpoint {n} from elsewhere", note) for n, note in enumerate(elsewhere, 1))]:
        found = read_checkpoint(note, where)
        if found is None:
            findings.append(Finding("checkpoint", 0, 0, f"{where} is not a signed checkpoint: it was changed"))
        else:
            checkpoints.append(found)
    trust = Trust(keys, checkpoints)
    bad = [(checkpoint, trust.judge(checkpoint)) for checkpoint in checkpoints]
    findings += trust.findings + [finding for _, finding in bad if finding]
    judge, order = _judged(whole, [checkpoint for checkpoint, finding in bad if finding is None], leaves)
    named = {finding.first for finding in judge.findings if finding.first == finding.last}
    records = [*judge.findings, *(each for each in order if each.first not in named or each.first != each.last)]
    findings += records
    findings += _chains(judge, findings, sure=not records)
    findings += _ends(judge, whole, at_least, any(finding is None for _, finding in bad))
    return Result(len(whole.numbers), len(checkpoints), judge.good.size, sorted(findings, key=lambda f: f.first))


def _judged(whole: Whole, checkpoints: list[Checkpoint], leaves: bytes) -> tuple[Judge, list[Finding]]:
    """The records held against the checkpoints, and what is wrong with their numbers.

    Numbers are not signed: where the lines as they stand are what was signed, the numbers alone are wrong.
    """
    count = len(whole.numbers)
    judge = Judge(whole, checkpoints, leaves)
    judge.run()
    if whole.numbers == array("q", range(1, count + 1)):
        return judge, []
    if judge.good.size == count and not judge.findings:
        return judge, _misnumbered(whole.numbers)
    order = _in_order(whole)
    judge = Judge(whole, checkpoints, leaves)
    judge.run()
    return judge, order


def _misnumbered(numbers: array[int]) -> list[Finding]:
    """Runs of lines that call themselves by other numbers than the revisions they hold."""
    findings: list[Finding] = []
    for revision, number in enumerate(numbers, 1):
        if number == revision:
            continue
        if findings and findings[-1].last == revision - 1:
            first = findings[-1].first
            words = f"revisions {first} to {revision} are as they were signed, but their lines call them otherwise"
            findings[-1] = Finding("file", first, revision, words)
        else:
            findings.append(_one("file", revision, f"is as it was signed, but its line calls it revision {number}"))
    return findings


def _chains(judge: Judge, findings: list[Finding], *, sure: bool) -> list[Finding]:
    """Chains that are broken where nothing found explains it; `sure`: the lines stand as they were signed."""
    named = {revision for f in findings if f.first for revision in (f.first, f.last)}
    unexplained = []
    for broken in judge.breaks:
        low, high = sorted((broken.before, broken.revision))
        near = any(low <= revision <= high for revision in named)
        if near or (judge.open and judge.open.first <= broken.revision):
            continue
        signed = ", and was signed so: it was written so" if sure and broken.revision <= judge.good.size else ""
        unexplained.append(_one("chain", broken.revision, "")._replace(words=broken.words() + signed))
    return unexplained


def _ends(judge: Judge, whole: Whole, at_least: int, any_good: bool) -> list[Finding]:
    """The two ends of what is signed: records without a signature, and fewer records than there should be."""
    found, there = [], len(judge.leaves)
    if not any_good:
        found.append(Finding("unsigned", 0, 0, "there is no checkpoint signed by a key that you trust"))
    elif judge.open is None and there > judge.good.size:
        words = f"revisions {judge.good.size + 1} to {there} stand after the last checkpoint: nobody vouches for them"
        found.append(Finding("unsigned", judge.good.size + 1, there, words))
    if at_least > there and not (judge.open and judge.open.kind == "cut"):
        words = f"there are {there} records, and you know of {at_least}: the tail was cut off"
        found.append(Finding("cut", there + 1, at_least, words))
    return found


def _frame(whole: Whole, names: set[str]) -> tuple[list[tuple[str, str]], list[Finding]]:
    """The lines that are no records: the header, checkpoints, the last line; what else stands there is wrong."""
    notes: list[tuple[str, str]] = []
    findings: list[Finding] = []
    header = end = None
    for count, line in whole.others:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict) and isinstance(data.get("checkpoint"), str):
            notes.append((f"checkpoint {len(notes) + 1}", data["checkpoint"]))
        elif isinstance(data, dict) and "cutover-export" in data and header is None and count == 0:
            header = data
        elif isinstance(data, dict) and "end" in data and end is None and count == len(whole.leaves):
            end = data
        else:
            words = f"a line that is no record of an export stands after revision {count}: {line[:60]!r}"
            findings.append(Finding("file", count + 1, count + 1, words))
    if whole.others and whole.others[0][1][-1:] == b"\r":
        raise NotAnExport("its line ends were converted (to CR LF): copy the file as it is, byte by byte")
    if header is None and not whole.leaves:
        found = f"found {whole.others[0][1][:40]!r}" if whole.others else "the file is empty"
        raise NotAnExport(f'not an export of a log: expected a first line {{"cutover-export":1, ...}}; {found}')
    if header is None or header not in [{"cutover-export": 1, "origin": name} for name in names]:
        findings.append(Finding("file", 0, 0, "the first line is not that of an export (version 1) of this key's log"))
    there = {"end": True, "records": len(whole.leaves), "checkpoints": len(notes)}
    if end is None:
        words = f"the last line is missing: the file was cut off after revision {len(whole.leaves)}"
        findings.append(Finding("cut", len(whole.leaves) + 1, len(whole.leaves) + 1, words))
    elif end != there:
        words = f"the last line speaks of {end.get('records')!r} records and {end.get('checkpoints')!r} checkpoints; "
        words += f"there are {there['records']} and {there['checkpoints']}"
        findings.append(Finding("file", 0, 0, words))
    return notes, findings


# -- from the command line


def pieces_of(path: Path, jobs: int) -> Iterator[Scanned]:
    """The file in pieces of whole lines, read by so many processes."""
    size = path.stat().st_size
    starts = [0]
    with path.open("rb") as file:
        while starts[-1] < size:
            file.seek(min(starts[-1] + CHUNK, size))
            file.readline()
            starts.append(min(file.tell(), size))
    spans = list(pairwise(starts))
    if jobs < 2 or len(spans) < 2:
        yield from map(partial(_piece, path), spans)
        return
    with multiprocessing.Pool(min(jobs, len(spans))) as pool:
        yield from pool.imap(partial(_piece, path), spans)


def _piece(path: Path, span: tuple[int, int]) -> Scanned:
    with path.open("rb") as file:
        file.seek(span[0])
        return scan(file.read(span[1] - span[0]))


def report(result: Result) -> str:
    """In words."""
    if not result.findings:
        signed = f"{result.checkpoints:,} signed checkpoints" if result.checkpoints != 1 else "one signed checkpoint"
        return f"OK: {result.records:,} records are as they were signed, by {signed}.\n"
    lines = [f"NOT OK: {result.records:,} records, and {len(result.findings)} to tell:"]
    lines += [f"  - {finding.kind}: {finding.words}." for finding in result.findings[:TOLD]]
    if len(result.findings) > TOLD:
        lines.append(f"  - and {len(result.findings) - TOLD} more (--json has all of them).")
    inside = any(each.kind not in ("checkpoint", "file") and 0 < each.first <= result.size for each in result.findings)
    proven = f"revisions 1 to {result.size}{', but for what is named above' if inside else ''}"
    lines.append(f"Proven to be as signed: {proven}." if result.size else "No record is proven.")
    return "\n".join(lines) + "\n"


def as_json(result: Result) -> str:
    """For programs."""
    findings = [finding._asdict() for finding in result.findings]
    return json.dumps({"ok": not findings, **result._asdict(), "findings": findings}, indent=2) + "\n"


def _key(given: str) -> Key:
    """The key itself, or the file it stands in."""
    path = Path(given)
    text = text_of(path) if path.exists() else given
    try:
        return read_key(text)
    except Unusable as error:
        named = "the given text" if given.startswith("PRIVATE+KEY+") else given[:60]
        raise Unusable(f"--key {named}: {error}{'' if path.exists() else '; and there is no such file'}") from None


def text_of(path: Path) -> str:
    """Of a small file; Unusable if it is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Unusable(f"{path}: not a text file") from None


def main(arguments: list[str] | None = None) -> int:
    """The console script; the exit code."""
    parser = argparse.ArgumentParser(prog="cutover-verify", description="Is an export of the log as it was signed?")
    parser.add_argument("export", type=Path, help="the file that `cutover export` wrote")
    parser.add_argument("--key", action="append", required=True, help="a public key, or the file it stands in")
    parser.add_argument(
        "--at-least", type=int, default=0, metavar="SIZE", help="you know that there are so many records"
    )
    parser.add_argument("--checkpoint", action="append", type=Path, default=[], help="a checkpoint you kept elsewhere")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to read with")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else")
    asked = parser.parse_args(arguments)
    try:
        keys = [_key(key) for key in asked.key]
        notes = [text_of(path) for path in asked.checkpoint]
        result = verify(pieces_of(asked.export, asked.jobs), keys, at_least=asked.at_least, elsewhere=notes)
    except OSError as error:
        sys.stderr.write(f"It could not be checked: {error.filename}: {error.strerror}\n")
        return 2
    except Unusable as error:
        where = f"{asked.export}: " if isinstance(error, NotAnExport) else ""
        sys.stderr.write(f"It could not be checked: {where}{error}\n")
        return 2
    sys.stdout.write(as_json(result) if asked.json else report(result))
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
