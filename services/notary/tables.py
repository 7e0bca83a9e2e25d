"""The tables, held against the log that they were made of.

One rule: the log is folded once more, as the projector does it but from nothing, and what that gives must stand in the
tables, row by row. Left out is what no answer is read from alone (the indexes of words and times), and the refused
attempts, which are not in the log.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Table, inspect, select

from events.codec import digest
from projections.audit import COLUMNS, place
from projections.known import Known
from services.log.protocol import Entry
from services.notary.cutover_verify import Finding
from services.projector.folding import Folding, Hot, kpi, line, machine
from services.projector.tables import Generation, Position, generation, generations, read
from services.projector.writing import Row
from services.rollout.state import Rollout
from services.views.past import unpacked

V = TypeVar("V")

WHOLE = ("rollouts", "states", "kpis", "stopped", "past", "claims")
KNOWN: dict[str, type] = {"state": Rollout, "known": Known}
"""Columns of what is known at a revision. Another version of this program may have written the same in other bytes."""


class Held(NamedTuple):
    """Rows of some tables as of one moment, in the order of their keys, and how far the tables had come."""

    rows: Mapping[str, Sequence[Row]]
    seq: int


class Tables:
    """What the tables were made of: each batch of the log is told to `differ`, and at the end they `stand` or not."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._made = inspect(database).has_table(generations.name)
        self._revision = self._ask(lambda _connection, _tables, at: at.seq) or 0
        self._of = generation(0).tables()  # tables of any generation have the same columns
        self._folding = Folding(generation(0), machine())
        self._read = Position(0, 0, "", 0, False)
        self._hot: dict[str, Hot] = {}
        self._stopped: dict[str, int] = {}
        self._once: dict[str, list[Row]] = {"past": [], "claims": []}

    def _ask(self, ask: Callable[[Connection, Generation, Position], V]) -> V | None:
        try:
            return read(self._database, ask) if self._made else None
        except LookupError:  # there are none
            return None

    def differ(self, entries: Sequence[Entry]) -> list[Finding]:
        """Revisions whose lines in the trail are not what the log says, or are not there. `entries` follow those of
        the last batch."""
        changes = self._folding.fold(self._read, entries)
        self._read = changes.after()
        self._hot |= changes.rollouts
        self._stopped |= {rollout: revision for rollout, (revision, _why) in changes.stopped.items()}
        self._once["past"] += _comparable(self._of["past"], changes.past)
        self._once["claims"] += changes.claims
        first, last = place(entries[0].revision), place(entries[-1].revision + 1)

        def lines(connection: Connection, tables: Generation, _at: Position) -> Sequence[Row]:
            table = tables.audit
            return _rows(connection, table, table.c.place >= first, table.c.place < last)

        known = self._ask(lines)
        if known is None:
            return []
        expected, there = _by_revision(changes.audit), _by_revision(known)
        found = []
        for entry in entries:
            lines_, rows = expected.get(entry.revision, []), there.get(entry.revision, [])
            if entry.revision <= self._revision and (words := _lines_differ(entry, lines_, rows)):
                found.append(_finding(entry.revision, f"revision {entry.revision} {words}"))
        return found

    def stand(self, head: int) -> list[Finding]:
        """What the tables say of each rollout as it stands, and of its past; and what they say beyond the log, which
        ends at `head` now."""
        held = self._ask(_held)
        if held is None:
            return []
        by_tables = {row[0]: row[1] for row in held.rows["stopped"] if row[1] <= self._read.seq}
        by_log = {rollout: revision for rollout, revision in self._stopped.items() if revision <= held.seq}
        odd = {rollout for rollout, revision in self._stopped.items() if by_tables.get(rollout) != revision}
        found = [*_stopped_differ(by_tables, by_log), *self._standing_differ(held, odd), *self._past_differs(held)]
        return found + self._know_more(held, head)

    def _standing_differ(self, held: Held, unknown: set[str]) -> Iterator[Finding]:
        newer = {row[0] for row in held.rows["states"] if self._read.seq < row[1] <= held.seq}
        behind = {rollout for rollout, hot in self._hot.items() if hot.known.revision > held.seq}
        left_out = unknown | newer | behind
        for name, rows in self._standing().items():
            expected, there = ([row for row in of if row[0] not in left_out] for of in (rows, held.rows[name]))
            for row, words in _rows_differ(self._of[name], expected, there):
                hot = self._hot.get(row[0])
                yield _finding(hot.known.revision if hot else self._read.seq, f"rollout {row[0]!r} {words}")

    def _standing(self) -> dict[str, list[Row]]:
        known = [hot.known for hot in self._hot.values()]
        return {
            "rollouts": [line(each.row) for each in known],
            "states": list(_comparable(self._of["states"], map(self._folding.stored, self._hot, self._hot.values()))),
            "kpis": [kpi(row) for each in known for row in each.kpis.rows.values()],
        }

    def _past_differs(self, held: Held) -> Iterator[Finding]:
        for name, rows in self._once.items():
            table = self._of[name]
            rollout, revision = map(table.columns.keys().index, ("rollout", "revision"))
            expected = [row for row in rows if row[revision] <= held.seq]
            there = [row for row in held.rows[name] if not self._read.seq < row[revision] <= held.seq]
            for row, words in _rows_differ(table, expected, there):
                if row[rollout] not in self._stopped or row[revision] < self._stopped[row[rollout]]:
                    yield _finding(row[revision], f"revision {row[revision]} {words}")

    def _know_more(self, held: Held, head: int) -> list[Finding]:
        beyond = [row[COLUMNS.index("revision")] for row in held.rows["audit"]]
        found = [_finding(revision, f"revision {revision} is in the tables, and not in the log") for revision in beyond]
        if self._revision > head:
            words = f"the tables were made of {self._revision} records, but the log ends at revision {head}"
            found.append(Finding("cut", head + 1, self._revision, f"{words}: its tail was cut off"))
        return found


def _held(connection: Connection, tables: Generation, at: Position) -> Held:
    """All but the trail, of which only what cannot be: lines of no revision that the tables have come to."""
    rows = {name: _rows(connection, tables.tables()[name]) for name in WHOLE}
    of = tables.audit.c.place
    rows["audit"] = _rows(connection, tables.audit, (of < place(1)) | (of >= place(at.seq + 1)))
    return Held(rows, at.seq)


def _stopped_differ(by_tables: Mapping[str, int], by_log: Mapping[str, int]) -> Iterator[Finding]:
    """Rollouts of which nothing is known from some record on, which cannot be folded: by the tables, or by the log."""
    for rollout in sorted(by_tables.keys() | by_log.keys()):
        there, expected = by_tables.get(rollout), by_log.get(rollout)
        if there == expected:
            continue
        says = f"is stopped at revision {there}" if there else "goes on"
        words = f"cannot be folded at revision {expected}" if expected else "can be folded"
        yield _finding(expected or there or 0, f"rollout {rollout!r} {says} in the tables, and {words}")


def _rows(connection: Connection, table: Table, *where: ColumnElement[bool]) -> list[Row]:
    asked = select(table).where(*where).order_by(*table.primary_key.columns)
    with connection.execution_options(yield_per=1000).execute(asked) as found:
        return list(_comparable(table, map(tuple, found)))


def _comparable(table: Table, rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with a hash in place of what is known at a revision, which can be long."""
    kinds = [KNOWN.get(column.name) for column in table.columns]
    for row in rows:
        yield tuple(_meaning(kind, value) if kind else value for kind, value in zip(kinds, row, strict=True))


def _meaning(kind: type, data: bytes) -> str:
    """The same for bytes that say the same."""
    try:
        return digest(msgspec.json.encode(msgspec.json.decode(unpacked(data), type=kind)))
    except (ValueError, RecursionError, zlib.error):  # it is no state at all
        return ""


def _by_revision(lines: Sequence[Row]) -> dict[int, list[Row]]:
    return {revision: list(rows) for revision, rows in groupby(lines, key=itemgetter(COLUMNS.index("revision")))}


def _finding(revision: int, words: str) -> Finding:
    return Finding("tables", revision, revision, words)


def _lines_differ(entry: Entry, lines: Sequence[Row], rows: Sequence[Row]) -> str:
    """How the trail's lines of a record differ from what the log says, in words; "": they do not."""
    if not rows:
        return "is not in the tables" if lines else ""
    if rows[0][COLUMNS.index("hash")] != digest(entry.data):
        return "is not the record that the tables were made of"
    if not lines:  # what comes before it in its rollout is not as it was
        return ""
    if len(rows) != len(lines):
        return f"has {len(rows)} lines in the tables, and its record {len(lines)} facts"
    for row, wanted in zip(rows, lines, strict=True):
        for name, value, expected in zip(COLUMNS, row, wanted, strict=True):
            if value != expected:
                what = "sentence" if name == "says" else name
                return f"stands in the tables with another {what} than the record has: {value!r}"
    return ""


def _rows_differ(table: Table, expected: Sequence[Row], there: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Each row that is missing, or one too many, or another, and in words how."""
    name, columns, width = table.name.rpartition("_g")[0], table.columns.keys(), len(table.primary_key)
    known = {row[:width]: row for row in there}
    for row in expected:
        found = known.pop(row[:width], None)
        if found is None:
            yield row, f"is not in the table {name}"
        elif other := [each for each, wanted, value in zip(columns, row, found, strict=True) if value != wanted]:
            yield row, f"stands in the table {name} with another {other[0]} than the log says"
    for row in known.values():
        yield row, f"stands in the table {name}, and not so in the log"
