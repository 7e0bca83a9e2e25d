"""Checking the running log: against its checkpoints, those outside it, and the tables that were made of it.

One rule: it is the offline verifier's work on what the log holds now; only the tables and the kept leaf hashes come in
addition. The notary signs a few seconds behind, so its next checkpoint is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from services.log.protocol import Entry, Gap, Log
from services.notary import keys
from services.notary.checkpoint import read_checkpoint
from services.notary.cutover_verify import CHUNK, Finding, Result, Scanned, read_key, scan, verify
from services.notary.export import LOOK, PATIENCE, record_line
from services.notary.kept import CheckpointStream, Folder, Kept
from services.notary.note import BadNote
from services.notary.tables import Tables


async def verify_live(
    log: Log,
    kept: CheckpointStream,
    data: Path,
    database: Engine,
    progress: Callable[[int, int], None],
    *,
    key: str = "",
    at_least: int = 0,
    elsewhere: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Result:
    """Read the whole log and say what is wrong with it. `key` "": the one in the data folder. Raises Unavailable."""
    folder = Folder(data)
    trusted = read_key(key or (data / keys.PUBLIC).read_text())
    head = await _signed(log, kept, patience)
    # First what was signed and what the tables hold, then the log: it can only have grown in between.
    notes = [each async for each in kept.all()]
    latest = folder.latest()
    tables = Tables(database)
    findings = _trimmed(notes)
    pieces: list[Scanned] = [scan(_line({"cutover-export": 1, "origin": trusted.name}))]
    try:
        async for batch, lines in _in_chunks(log, head):
            pieces.append(await asyncio.to_thread(scan, lines))
            findings += await asyncio.to_thread(tables.differ, batch)
            progress(batch[-1].revision, head)
    except Gap as gap:
        findings.append(Finding("dropped", _read(pieces) + 1, _read(pieces) + 1, str(gap)))
    findings += await asyncio.to_thread(tables.stand, await log.head())
    last = {"end": True, "records": _read(pieces), "checkpoints": len(notes)}
    pieces.append(scan(b"".join(_line({"checkpoint": each.note}) for each in notes) + _line(last)))
    known = [*elsewhere, *([latest] if latest else [])]
    leaves = folder.leaves(head)
    found = await asyncio.to_thread(
        lambda: verify(pieces, [trusted], at_least=at_least, elsewhere=known, leaves=leaves)
    )
    return found._replace(findings=sorted([*found.findings, *findings], key=lambda each: each.first))


async def _signed(log: Log, kept: CheckpointStream, patience: float) -> int:
    """How far to read: to the last checkpoint, once it covers all that there is now; to the end if that never comes."""
    loop = asyncio.get_running_loop()
    until, head = loop.time() + patience, await log.head()
    while loop.time() < until:
        last = await kept.last()
        size = _size(last.note) if last else 0
        if size >= head:
            return min(size, await log.head())
        await asyncio.sleep(LOOK)
    return await log.head()


def _size(note: str) -> int:
    try:
        return read_checkpoint(note)[0].size
    except BadNote:
        return 0


def _trimmed(notes: Sequence[Kept]) -> list[Finding]:
    """Nothing but permissions prevents that the stream of checkpoints loses its beginning."""
    if not notes or notes[0].sequence == 1:
        return []
    words = f"the stream CHECKPOINTS begins with message {notes[0].sequence}: those before it were removed"
    return [Finding("checkpoint", 0, 0, words)]


def _read(pieces: list[Scanned]) -> int:
    return sum(len(piece.numbers) for piece in pieces)


async def _in_chunks(log: Log, head: int) -> AsyncIterator[tuple[list[Entry], bytes]]:
    """The records and their lines, in pieces that are worth a thread's while."""
    if head == 0:
        return
    entries: list[Entry] = []
    lines: list[bytes] = []
    size = 0
    async with aclosing(log.follow(0, until=head)) as batches:  # type: ignore[type-var]
        async for batch in batches:
            for entry in batch:
                entries.append(entry)
                lines.append(record_line(entry))
                size += len(lines[-1])
            if size > CHUNK // 4 or entries[-1].revision == head:
                yield entries, b"".join(lines)
                entries, lines, size = [], [], 0


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
