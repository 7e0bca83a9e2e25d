"""Between which places of a stream the lines of a time are: the first and last time of every block of places.

One rule: clocks may disagree, so a block's times are the least and the greatest in it, and what lies between two
blocks is still looked at. Nothing outside of them can match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Table, delete, func, insert, select

from projections.audit import instant


def note_times(connection: Connection, table: Table, size: int, lines: Iterable[tuple[int, str]]) -> None:
    """Add the place and time of new lines. `size`: the places in a block."""
    times: defaultdict[int, list[str]] = defaultdict(list)
    for place, at in lines:
        times[place // size].append(at)
    if not times:
        return
    spans = {block: (min(of), max(of)) for block, of in times.items()}
    known = connection.execute(select(table).where(table.c.block.in_(list(spans)))).all()
    for row in known:
        first, last = spans[row.block]
        spans[row.block] = (min(first, row.first), max(last, row.last))
    connection.execute(delete(table).where(table.c.block.in_([row.block for row in known])))
    connection.execute(insert(table), [{"block": b, "first": f, "last": t} for b, (f, t) in spans.items()])


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
