"""The whole log as one file: JSON Lines that `cutover-verify` checks.

One rule: a record's stored bytes stand in its line as they are, never encoded again; those that are not one line of
JSON stand there in base64. The file ends at a checkpoint, and its last line says how much came before it.

    {"cutover-export":1,"origin":"cutover-.."}
    {"revision":1,"rollout":"..","sha256":"..","record":{..}}
    {"checkpoint":"cutover-..\\n1\\n..\\n\\n— .."}          after the last record it is about
    {"end":true,"records":N,"checkpoints":M}
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import msgspec

from events.codec import NOT_JSON, digest
from services.log.protocol import Entry, Log, Unavailable
from services.notary.checkpoint import Checkpoint, read_checkpoint
from services.notary.kept import CheckpointStream, Kept
from services.notary.note import BadNote

PATIENCE = 10.0  # seconds for the notary to sign what there is when the export begins
LOOK = 0.1


async def export(log: Log, kept: CheckpointStream, *, patience: float = PATIENCE) -> AsyncIterator[bytes]:
    """The file in pieces of whole lines, up to the checkpoint that is the last when it begins.

    Raises Unavailable when nobody has signed anything yet, or the log went away.
    """
    head = await log.head()
    last, end = await _signed(kept, head, patience)
    head = await log.head()  # again: more may have been signed meanwhile
    yield _line({"cutover-export": 1, "origin": last.origin})
    records = checkpoints = 0
    async with aclosing(_until(kept, end)) as notes:
        waiting = await anext(notes, None)
        while waiting is not None and waiting[0] == 0:
            checkpoints += 1
            yield _line({"checkpoint": waiting[1].note})
            waiting = await anext(notes, None)
        until = min(head, last.size)
        batches = log.follow(0, until=until) if until else None
        while batches is not None and records < until:
            lines: list[bytes] = []
            for entry in await anext(batches):
                lines.append(record_line(entry))
                records += 1
                while waiting is not None and waiting[0] <= records:
                    checkpoints += 1
                    lines.append(_line({"checkpoint": waiting[1].note}))
                    waiting = await anext(notes, None)
            yield b"".join(lines)
        while waiting is not None:  # of more records than there are
            checkpoints += 1
            yield _line({"checkpoint": waiting[1].note})
            waiting = await anext(notes, None)
    yield _line({"end": True, "records": records, "checkpoints": checkpoints})


async def _signed(kept: CheckpointStream, head: int, patience: float) -> tuple[Checkpoint, int]:
    """The last checkpoint, once it covers what there is, and the end of the stream; an older one if that takes too
    long. What cannot be read there is passed over: it goes into the file for the verifier to name."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        last = await kept.last()
        found = None if last is None else await _readable(kept, last)
        if found is not None and (found[0].size >= head or loop.time() > until):
            return found
        if loop.time() > until:
            raise Unavailable("no checkpoint was signed yet: is the notary running?")
        await asyncio.sleep(LOOK)


async def _readable(kept: CheckpointStream, last: Kept) -> tuple[Checkpoint, int] | None:
    """The last checkpoint that can be read, and the place of the last one of all."""
    found = _read(last.note)
    if found is None:
        async for each in kept.all():
            found = _read(each.note) or found
    return (found, last.sequence) if found else None


def _read(note: str) -> Checkpoint | None:
    try:
        return read_checkpoint(note)[0]
    except BadNote:
        return None


async def _until(kept: CheckpointStream, end: int) -> AsyncGenerator[tuple[int, Kept], None]:
    """After how many records each checkpoint stands; one that cannot be read stands with the one before it."""
    size = 0
    async for each in kept.all():
        if each.sequence <= end:
            checkpoint = _read(each.note)
            size = checkpoint.size if checkpoint else size
            yield size, each


def record_line(entry: Entry) -> bytes:
    """One record's line."""
    start = f'{{"revision":{entry.revision},"rollout":{msgspec.json.encode(entry.rollout).decode()}'
    start += f',"sha256":"{digest(entry.data)}",'
    if _is_a_line(entry.data):
        return b'%b"record":%b}\n' % (start.encode(), entry.data)
    return b'%b"base64":"%b"}\n' % (start.encode(), base64.b64encode(entry.data))


def _is_a_line(data: bytes) -> bool:
    if data[:1] != b"{" or b"\n" in data or b"\r" in data:
        return False
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        data.decode()
    except NOT_JSON:
        return False
    return True


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
