"""The tables, held against the log that they were made of.

One rule: a line of the audit trail is compared in all that its record alone decides. What follows from records before
it (its sentence, its phase, its environment) is made anew by a rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, inspect, select

from events.codec import Unreadable, decode, digest
from projections import audit
from projections.audit import COLUMNS, Standing
from services.log.protocol import Entry
from services.notary.cutover_verify import Finding
from services.projector.tables import Generation, Position, generations, read

V = TypeVar("V")

OF_THE_RECORD = [name for name in COLUMNS if name not in ("says", "phase", "environment")]


class Tables:
    """What the tables were made of, as the audit trail and their position say."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._made = inspect(database).has_table(generations.name)
        self._revision = self._ask(lambda _connection, _tables, at: at.seq) or 0

    def _ask(self, ask: Callable[[Connection, Generation, Position], V]) -> V | None:
        try:
            return read(self._database, ask) if self._made else None
        except LookupError:  # there are none
            return None

    def differ(self, entries: Sequence[Entry]) -> list[Finding]:
        """Revisions whose lines in the trail are not what the log's record says, or are not there."""
        first, last = entries[0].revision, entries[-1].revision

        def lines(connection: Connection, tables: Generation, _at: Position) -> dict[tuple[int, int], Any]:
            table = tables.audit
            asked = select(*(table.c[name] for name in COLUMNS)).where(table.c.revision.between(first, last))
            return {(row.revision, row.n): row for row in connection.execute(asked)}

        known = self._ask(lines)
        if known is None:
            return []
        found = []
        for entry in entries:
            if entry.revision <= self._revision and (words := _differs(entry, known)):
                words = f"revision {entry.revision} {words}"
                found.append(Finding("tables", entry.revision, entry.revision, words))
        return found

    def know_more(self, head: int) -> list[Finding]:
        """That the tables were made of more than there is."""
        if self._revision <= head:
            return []
        words = f"the tables were made of {self._revision} records, but the log ends at revision {head}"
        return [Finding("cut", head + 1, self._revision, f"{words}: its tail was cut off")]


def _differs(entry: Entry, known: Mapping[tuple[int, int], Any]) -> str:
    """How the trail's lines of a record differ from it, in words; "": they do not."""
    there = known.get((entry.revision, 0))
    if there is None:
        return "is not in the tables"
    if there.hash != digest(entry.data):
        return "is not the record that the tables were made of"
    try:
        record = decode(entry.data)
    except Unreadable:
        return ""
    for values in audit.lines(entry.revision, there.hash, record, {}, Standing(), Standing()).values:
        expected = dict(zip(COLUMNS, values, strict=True))
        row = known.get((entry.revision, expected["n"]))
        if row is None:
            return "is not whole in the tables"
        for name in OF_THE_RECORD:
            if getattr(row, name) != expected[name]:
                return f"stands in the tables with another {name} than the record has: {getattr(row, name)!r}"
    return ""
