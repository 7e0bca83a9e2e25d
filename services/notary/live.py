"""Checking the running log: against its checkpoints, those outside it, and the tables that were made of it.

One rule: it is the offline verifier's work on what the log holds now; only the tables and the kept leaf hashes come in
addition.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, select

from events.codec import digest
from services.log.protocol import Entry, Gap, Log
from services.notary import keys
from services.notary.cutover_verify import CHUNK, Finding, Result, Scanned, read_key, scan, verify
from services.notary.export import record_line
from services.notary.kept import CheckpointStream, Folder
from services.projector.tables import Generation, Position, read


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
) -> Result:
    """Read the whole log and say what is wrong with it. `key` "": the one in the data folder. Raises Unavailable."""
    folder = Folder(data)
    trusted = read_key(key or (data / keys.PUBLIC).read_text())
    # First what was signed, then the log: it can only have grown in between.
    notes = [each.note async for each in kept.all()]
    latest = folder.latest()
    head = await log.head()
    pieces: list[Scanned] = [scan(_line({"cutover-export": 1, "origin": trusted.name}))]
    findings: list[Finding] = []
    try:
        async for batch, lines in _in_chunks(log, head):
            pieces.append(await asyncio.to_thread(scan, lines))
            findings += await asyncio.to_thread(_tables, database, batch)
            progress(batch[-1].revision, head)
    except Gap as gap:
        findings.append(Finding("dropped", _read(pieces) + 1, _read(pieces) + 1, str(gap)))
    last = {"end": True, "records": _read(pieces), "checkpoints": len(notes)}
    pieces.append(scan(b"".join(_line({"checkpoint": note}) for note in notes) + _line(last)))
    known = [*elsewhere, *([latest] if latest else [])]
    leaves = folder.leaves(head)
    found = await asyncio.to_thread(
        lambda: verify(pieces, [trusted], at_least=at_least, elsewhere=known, leaves=leaves)
    )
    # The notary signs a few seconds behind: what it has not come to yet is no fault.
    rest = [each for each in found.findings if each.kind != "unsigned" or not found.size]
    return found._replace(findings=sorted([*rest, *findings], key=lambda each: each.first))


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


def _tables(database: Engine, entries: Sequence[Entry]) -> list[Finding]:
    """Records that are not those that the tables were made of."""
    first, last = entries[0].revision, entries[-1].revision

    def ask(connection: Connection, tables: Generation, _at: Position) -> dict[int, str]:
        table = tables.audit
        asked = select(table.c.revision, table.c.hash).where(table.c.revision.between(first, last), table.c.n == 0)
        return {row.revision: row.hash for row in connection.execute(asked)}

    try:
        known = read(database, ask)
    except LookupError:  # there are no tables
        return []
    return [
        Finding(
            "tables",
            entry.revision,
            entry.revision,
            f"revision {entry.revision} is not the record that the tables were made of",
        )
        for entry in entries
        if known.get(entry.revision) not in (None, digest(entry.data))
    ]


def _line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"
