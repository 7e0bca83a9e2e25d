"""A log in memory that was signed as the notary signs, its export, and ways to tamper with one."""

from __future__ import annotations

import msgspec

from services.log.protocol import Entry
from services.notary.checkpoint import Checkpoint, Handover
from services.notary.export import record_line
from services.notary.note import Signer
from services.notary.tree import Tree, leaf
from tests.histories import Stored

ORIGIN = "cutover-0123456789abcdef"
FIRST, SECOND, STRANGER = (Signer(ORIGIN, bytes([number]) * 32) for number in (1, 2, 3))


def line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


HEADER = line({"cutover-export": 1, "origin": ORIGIN})


class Signed:
    """`stored` with a checkpoint after each of `sizes`; from `handover` records on the second key signs."""

    def __init__(self, stored: list[Stored], sizes: list[int], handover: int | None = None) -> None:
        self.stored = stored
        self.records = [record_line(Entry(n, each.rollout, each.data)) for n, each in enumerate(stored, 1)]
        self.notes: list[tuple[int, str]] = []
        tree = Tree()
        for size in range(len(stored) + 1):
            if size:
                tree.add(leaf(stored[size - 1].rollout, stored[size - 1].data))
            if size in sizes:
                key = SECOND if handover is not None and size > handover else FIRST
                self.notes.append((size, Checkpoint(ORIGIN, size, tree.root()).signed([key])))
            if size == handover:
                passed = Checkpoint(ORIGIN, size, tree.root(), Handover(FIRST.verifier, SECOND.verifier))
                self.notes.append((size, passed.signed([FIRST, SECOND])))
        self.key = SECOND if handover is not None else FIRST

    def file(self) -> bytes:
        return assembled(self.records, self.notes)


def assembled(records: list[bytes], notes: list[tuple[int, str]]) -> bytes:
    """The file of an export with these lines; checkpoints stand where they belong, or at the end."""
    lines, waiting = [HEADER], list(notes)
    for count in range(len(records) + 1):
        if count:
            lines.append(records[count - 1])
        while waiting and waiting[0][0] <= count:
            lines.append(line({"checkpoint": waiting.pop(0)[1]}))
    lines += [line({"checkpoint": note}) for _, note in waiting]
    lines.append(line({"end": True, "records": len(records), "checkpoints": len(notes)}))
    return b"".join(lines)


def renumbered(stored: list[Stored]) -> list[bytes]:
    """Lines as an attacker writes them who knows the format: numbers and hashes made anew."""
    return [record_line(Entry(n, each.rollout, each.data)) for n, each in enumerate(stored, 1)]
