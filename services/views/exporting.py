"""An export of the trail, made page by page while it is sent.

One rule: memory holds one page, and no transaction stays open between two: an export of everything neither grows with
the log nor holds a rebuild up. It ends where the tables stood when it began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import groupby
from typing import NamedTuple

from projections import cloudevents
from projections.audit import AuditRow
from projections.exported import End, csv_end, csv_header, csv_lines, json_end, json_lines
from services.views.trail import BEGINNING, Cursor, Filters
from services.views.views import Views

PAGE = 500  # lines


class Export(NamedTuple):
    """Which lines, from where to where, at most how many (0: all). `base`: what names this service in events."""

    wanted: Filters
    start: Cursor
    end: Cursor
    limit: int
    newest_first: bool
    base: str = ""


def begun(views: Views, wanted: Filters, after: Cursor | None, limit: int, newest_first: bool) -> Export:
    """The export as it is now: what comes later is not in it. Blocks."""
    end = views.trail_end()
    return Export(wanted, after or (end if newest_first else BEGINNING), end, limit, newest_first)


async def exported(views: Views, export: Export, form: str) -> AsyncIterator[bytes]:
    """The bytes, a page at a time. `form`: "csv", "jsonl" or "cloudevents"."""
    chunks = FORMS[form](views, export)
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _csv(views: Views, export: Export) -> Iterator[bytes]:
    lines = 0
    yield csv_header()
    for rows in _pages(views, export):
        yield csv_lines(rows, lines + 1)
        lines += len(rows)
    yield csv_end(_end(export, lines))


def _json(views: Views, export: Export) -> Iterator[bytes]:
    lines = 0
    for rows in _pages(views, export):
        yield json_lines(rows)
        lines += len(rows)
    yield json_end(_end(export, lines))


def _cloudevents(views: Views, export: Export) -> Iterator[bytes]:
    """One JSON array, so what was cut off cannot be read. A record of which a fact was asked for is there whole."""
    before, last = b"[", 0
    for rows in _pages(views, export):
        wanted = [list(same) for key, same in groupby(rows, _event_key) if key != (last, 0)]
        last = rows[-1].revision or last
        whole = iter(views.records([each[0].revision for each in wanted if each[0].revision]))
        for each in wanted:
            lines = next(whole) if each[0].revision else each
            yield before + cloudevents.encode(cloudevents.of_trail(lines, export.base))
            before = b",\n"
    yield b"]" if before != b"[" else b"[]"


def _event_key(row: AuditRow) -> tuple[int, int]:
    """A record's lines are one event; an attempt is one by itself."""
    return (row.revision, 0) if row.revision else (0, row.n)


FORMS: dict[str, Callable[[Views, Export], Iterator[bytes]]] = {
    "csv": _csv,
    "jsonl": _json,
    "cloudevents": _cloudevents,
}


def _pages(views: Views, export: Export) -> Iterator[list[AuditRow]]:
    at: Cursor | None = export.start
    left = export.limit
    while at is not None and (left > 0 or not export.limit):
        size = min(PAGE, left) if export.limit else PAGE
        found = views.trail(export.wanted, at, size, newest_first=export.newest_first, end=export.end)
        at, left = found.next, left - len(found.lines)
        if found.lines:
            yield found.lines


def _end(export: Export, lines: int) -> End:
    return End(lines, export.end.revision - 1, export.end.seq - 1)
