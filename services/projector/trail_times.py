"""Between which places of a stream the lines of a time are: the first and last time of every block of places.

One rule: clocks may disagree, so a block's times are the least and the greatest in it, and what lies between two
blocks is still looked at. Nothing outside of them can match.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Table, TextClause, func, select, text

from projections.audit import instant
from services.projector.writing import execute


def note_times(connection: Connection, table: Table, size: int, lines: Iterable[tuple[int, str]]) -> None:
    """Add the place and time of new lines. `size`: the places in a block."""
    spans: dict[int, tuple[str, str]] = {}
    for place, at in lines:
        first, last = spans.get(place // size, (at, at))
        spans[place // size] = min(first, at), max(last, at)
    execute(connection, _widen, table, [(block, *span) for block, span in spans.items()])


def _widen(table: Table) -> TextClause:
    """Adds a block with its times, or has the times of the one that is there reach as far."""
    return text(f"""\
INSERT INTO {table.name} (block, first, last) VALUES (:block, :first, :last) ON CONFLICT (block) DO UPDATE SET
    first = CASE WHEN excluded.first < {table.name}.first THEN excluded.first ELSE {table.name}.first END,
    last = CASE WHEN excluded.last > {table.name}.last THEN excluded.last ELSE {table.name}.last END""")


def places_of(
    connection: Connection, table: Table, size: int, since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    """The places [low, high) outside of which no line is of this time; (0, 0) if there is none at all."""
    query = select(func.min(table.c.block), func.max(table.c.block))
    if since:
        query = query.where(table.c.last >= instant(since))
    if until:
        query = query.where(table.c.first < instant(until))
    low, high = connection.execute(query).one()
    return (0, 0) if low is None else (low * size, (high + 1) * size)
