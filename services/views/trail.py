"""Pages of the trail: records and refused attempts in one list, filtered, from any cursor, in either order.

One rule: records and attempts are two streams, each only ever appended to, and a cursor holds a place in both. A page
merges them by time, so every line is seen exactly once however the log grows, whatever the clocks of two engines say,
and whichever generation of the tables answers.

No page reads lines that it does not show, but for those of another time at the edges of a time asked for: fields and
words are found by their terms (`terms_index`), times by blocks (`trail_times`), all in the order of the places.
"""

from __future__ import annotations

import base64
import binascii
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, select

from projections import audit, terms
from projections.audit import AuditRow, Outcome, instant, place
from services.projector.tables import ATTEMPTS_BLOCK, AUDIT_BLOCK, Generation, Position
from services.projector.terms_index import TermsIndex
from services.projector.trail_times import places_of

LAST = 1 << 46  # no revision and no attempt comes near
EVERYWHERE = place(LAST)


class Filters(NamedTuple):
    """Which lines of the trail are wanted; "", None and 0: all. With several, a line must match them all.

    `subject` is who; `title` one that they hold. `phase`: written in it, or by the record that entered it. `toggle`:
    written about its rollout while the toggle belonged to it, the records that brought and took it included. `text`:
    words, all of which are said, or given as reason, note or evidence. Attempts have no revision.
    """

    rollout: str = ""
    subject: str = ""
    fact: str = ""  # a fact's stored name, or "refused"
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included
    role: str = ""
    title: str = ""
    phase: str = ""
    toggle: str = ""
    command: str = ""
    command_id: str = ""
    text: str = ""
    from_revision: int = 0
    to_revision: int = 0  # included

    def terms(self) -> list[str]:
        """What a line must have to be found, but for its time and its revision."""
        named = ("rollout", "subject", "role", "title", "phase", "toggle", "command", "fact")
        found = [terms.field(name, value) for name in named if (value := getattr(self, name))]
        if self.command_id:
            found.append(terms.field("id", self.command_id))
        return [*found, *terms.words(self.text)]


class Cursor(NamedTuple):
    """The place of the last line seen, in the records (revision, n) and in the attempts (seq)."""

    revision: int
    n: int
    seq: int

    def text(self) -> str:
        """As it is handed out: opaque, safe in a URL."""
        return base64.urlsafe_b64encode(f"{self.revision}.{self.n}.{self.seq}".encode()).decode().rstrip("=")


class BadCursor(ValueError):
    """A cursor that was not handed out here."""


BEGINNING = Cursor(0, -1, 0)


def read_cursor(text: str) -> Cursor:
    """A cursor from its text, or BadCursor."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        revision, n, seq = (int(part) for part in raw.split("."))
    except (ValueError, binascii.Error) as error:
        raise BadCursor(f"not a cursor of this trail: {text[:80]!r}") from error
    if not (0 <= revision <= LAST and -1 <= n < audit.FACTS_IN_A_RECORD and 0 <= seq <= LAST):
        raise BadCursor(f"not a cursor of this trail: {text[:80]!r}")
    return Cursor(revision, n, seq)


def end_of(at: Position) -> Cursor:
    """Behind everything that the tables hold at this position."""
    return Cursor(at.seq + 1, 0, at.attempts_seq + 1)


class Page(NamedTuple):
    """Some lines of the trail, and the cursor of what comes after them; None: that was all for now."""

    lines: list[AuditRow]
    next: Cursor | None


def page(
    connection: Connection,
    tables: Generation,
    wanted: Filters,
    start: Cursor,
    limit: int,
    newest_first: bool,
    end: Cursor | None = None,
) -> Page:
    """At most `limit` lines after `start`, in this order, and none from `end` on (see `end_of`)."""
    taken: list[list[_Line]] = []
    for stream, after, before in _streams(tables, wanted, start, end):
        bounds = (-1, after) if newest_first else (after, before)
        taken.append(_lines(connection, stream, wanted, bounds, limit + 1, newest_first))
    done, refused = taken
    found = _merge(done, refused, newest_first)
    lines = [line.stream.row(line.row) for line in found[:limit]]
    return Page(lines, _end(start, lines) if len(found) > limit else None)


def record_lines(connection: Connection, tables: Generation, revision: int) -> list[AuditRow]:
    """All lines of one record."""
    key = tables.audit.c.place
    query = select(tables.audit).where(key >= place(revision), key < place(revision + 1)).order_by(key)
    return [audit.accepted(row) for row in connection.execute(query).mappings()]  # type: ignore[arg-type]


class _Stream(NamedTuple):
    """Records or attempts: their tables, and how one is read. Not `wanted`: none of it can match the filters."""

    lines: Table
    key: Column[Any]
    terms: TermsIndex
    times: Table
    block: int
    row: Callable[[Mapping[str, Any]], AuditRow]
    wanted: bool


class _Line(NamedTuple):
    """A line as it is stored: most of what is merged goes on a later page, and is not read for this one."""

    stream: _Stream
    row: Mapping[str, Any]


def _streams(
    tables: Generation, wanted: Filters, start: Cursor, end: Cursor | None
) -> tuple[tuple[_Stream, int, int], tuple[_Stream, int, int]]:
    """Both, each with the place it goes on from and the place it ends before."""
    records = wanted.outcome != "refused" and wanted.fact != "refused"
    attempts = (
        wanted.outcome != "accepted"
        and wanted.fact in ("", "refused")
        and not (wanted.from_revision or wanted.to_revision)
    )
    done = _Stream(
        tables.audit,
        tables.audit.c.place,
        tables.audit_terms,
        tables.audit_times,
        AUDIT_BLOCK,
        audit.accepted,
        records,
    )
    refused = _Stream(
        tables.attempts,
        tables.attempts.c.seq,
        tables.attempts_terms,
        tables.attempts_times,
        ATTEMPTS_BLOCK,
        audit.refused,
        attempts,
    )
    first = (done, place(start.revision, start.n), place(end.revision) if end else EVERYWHERE)
    return first, (refused, start.seq, end.seq if end else LAST)


def _lines(
    connection: Connection, stream: _Stream, wanted: Filters, bounds: tuple[int, int], limit: int, newest_first: bool
) -> list[_Line]:
    """The lines of one stream between these places, both excluded."""
    low, high = bounds
    asked = wanted.terms()
    if not stream.wanted:
        return []
    if stream.block == AUDIT_BLOCK:
        low = max(low, place(wanted.from_revision) - 1)
        high = min(high, place(wanted.to_revision + 1)) if wanted.to_revision else high
    if wanted.since or wanted.until:
        first, last = places_of(connection, stream.times, stream.block, wanted.since, wanted.until)
        low, high = max(low, first - 1), min(high, last)
    if high - low < 2:
        return []
    query = select(stream.lines)
    key: Any = stream.key
    if asked:
        source, key, condition = stream.terms.found(connection, asked)
        query = query.select_from(source).where(condition)
    query = query.where(key > low, key < high)
    if wanted.since:
        query = query.where(stream.lines.c.at >= instant(wanted.since))
    if wanted.until:
        query = query.where(stream.lines.c.at < instant(wanted.until))
    found = connection.execute(query.order_by(key.desc() if newest_first else key).limit(limit))
    return [_Line(stream, row) for row in found.mappings()]  # type: ignore[arg-type]


def _merge(done: Sequence[_Line], refused: Sequence[_Line], newest_first: bool) -> list[_Line]:
    """Both lists keep their own order; where they meet, time decides."""
    comes_first = operator.gt if newest_first else operator.le
    lines: list[_Line] = []
    i = j = 0
    while i < len(done) and j < len(refused):
        if comes_first(done[i].row["at"], refused[j].row["at"]):
            lines.append(done[i])
            i += 1
        else:
            lines.append(refused[j])
            j += 1
    return [*lines, *done[i:], *refused[j:]]


def _end(start: Cursor, page: Sequence[AuditRow]) -> Cursor:
    for row in page:
        if row.outcome == "refused":
            start = start._replace(seq=row.n)
        else:
            start = start._replace(revision=row.revision, n=row.n)
    return start
