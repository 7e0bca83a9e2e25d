"""What the tables answer: the list, a rollout's state, the trail, the KPIs.

One rule: every answer is of one generation at one position. The methods block on the database: call them in a
thread from async code (`wait_for` alone is async).

The trail shows records and refused attempts in one list. They are two streams, each only ever appended to, and a
cursor holds a place in both: the page merges them by time, so every line is seen exactly once however the log grows
and whatever the clocks of two engines say.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import msgspec
from sqlalchemy import Connection, Engine, Select, select, tuple_
from sqlalchemy.engine import RowMapping

from projections import audit
from projections.audit import AuditRow, Outcome, instant
from projections.known import decode_known
from projections.kpis import KpiRow
from projections.rollouts import RolloutRow
from services.explaining import Explained, Question, explained
from services.folding import States, machine
from services.past import Past, Point, began, past_of, rows_of
from services.tables import Generation, Position, prepare, read
from services.vault import Vault

POLL = 0.02
END = 2**62


class Filters(NamedTuple):
    """Which lines of the trail are wanted; "" and None: all."""

    rollout: str = ""
    subject: str = ""
    fact: str = ""  # a fact's stored name, or "refused"
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None  # not included


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


def read_cursor(text: str) -> Cursor:
    """A cursor from its text, or BadCursor."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        revision, n, seq = (int(part) for part in raw.split("."))
    except (ValueError, binascii.Error) as error:
        raise BadCursor(f"not a cursor of this trail: {text[:80]!r}") from error
    return Cursor(revision, n, seq)


class Views:
    """Reads of the live generation; empty tables are made where there are none yet."""

    def __init__(self, engine: Engine, states: States | None = None) -> None:
        prepare(engine)
        self._engine = engine
        self._states = states
        self._position = 0
        self._moved = asyncio.Event()

    def _machine(self) -> States:
        self._states = self._states or machine()
        return self._states

    # -- the rollouts

    def rollouts(self, point: Point | None = None) -> list[RolloutRow]:
        """Every rollout, by id; as they were at `point`. Raises past.NotYet."""
        if point is not None:
            then = point
            return read(self._engine, lambda connection, tables, at: rows_of(connection, tables, at, then))

        def ask(connection: Connection, tables: Generation, _at: Position) -> list[RolloutRow]:
            table = tables.rollouts
            return [_rollout(row) for row in connection.execute(select(table).order_by(table.c.rollout)).mappings()]

        return read(self._engine, ask)

    def state(self, rollout: str) -> Any:
        """The machine's state of a rollout (services.rollout.state.Rollout); None if there is no such rollout."""

        def ask(connection: Connection, tables: Generation, _at: Position) -> bytes | None:
            table = tables.states
            found = connection.execute(select(table.c.state).where(table.c.rollout == rollout)).scalar()
            return cast("bytes | None", found)

        stored = read(self._engine, ask)
        return None if stored is None else msgspec.json.decode(stored, type=self._machine().type)

    def snapshot(self, rollout: str) -> Any:
        """The rollout's flag snapshot as the log says it is, testers not filled in; None: no such rollout."""

        def ask(connection: Connection, tables: Generation, _at: Position) -> bytes | None:
            table = tables.states
            found = connection.execute(select(table.c.known).where(table.c.rollout == rollout)).scalar()
            return cast("bytes | None", found)

        stored = read(self._engine, ask)
        return None if stored is None else decode_known(stored).snapshot

    def past(self, rollout: str, point: Point) -> Past | None:
        """The rollout as it was at an instant or up to a revision; None: it did not exist. Raises past.NotYet."""
        return read(self._engine, lambda connection, tables, at: past_of(connection, tables, at, rollout, point))

    def began(self, rollout: str) -> tuple[int, datetime] | None:
        """The first revision of a rollout, and when it was written; None: there is no such rollout."""
        return read(self._engine, lambda connection, tables, _at: began(connection, tables, rollout))

    def explain(self, question: Question, vault: Vault) -> Explained:
        """What a user got for a toggle at an instant, and which record made it so. Raises past.NotYet."""
        return read(self._engine, lambda connection, tables, at: explained(connection, tables, at, question, vault))

    def kpis(self, rollout: str) -> list[KpiRow]:
        """What was measured and recorded for a rollout, by step and item."""

        def ask(connection: Connection, tables: Generation, _at: Position) -> list[KpiRow]:
            table = tables.kpis
            found = select(table).where(table.c.rollout == rollout).order_by(table.c.step, table.c.item)
            return [KpiRow(*row) for row in connection.execute(found)]

        return read(self._engine, ask)

    def stopped(self) -> dict[str, str]:
        """Why a rollout's projections stand still, by rollout."""

        def ask(connection: Connection, tables: Generation, _at: Position) -> dict[str, str]:
            table = tables.stopped
            return {row.rollout: row.why for row in connection.execute(select(table).order_by(table.c.rollout))}

        return read(self._engine, ask)

    # -- the trail

    def audit(
        self,
        rollout: str = "",
        *,
        after: str | None = None,
        limit: int = 100,
        subject: str = "",
        fact: str = "",
        outcome: Outcome | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
    ) -> tuple[list[AuditRow], str | None]:
        """One page of the trail, and the cursor of the next; None: that was all for now. Raises BadCursor."""
        start = read_cursor(after) if after else Cursor(END, END, END) if newest_first else Cursor(0, -1, 0)
        filters = Filters(rollout, subject, fact, outcome, since, until)

        def ask(connection: Connection, tables: Generation, _at: Position) -> tuple[list[AuditRow], bool]:
            done = _accepted(connection, tables, filters, start, limit + 1, newest_first)
            refused = _refused(connection, tables, filters, start, limit + 1, newest_first)
            lines = _merge(done, refused, newest_first)
            return lines[:limit], len(lines) > limit

        page, more = read(self._engine, ask)
        return page, _end(start, page).text() if more else None

    # -- the position

    def position(self) -> int:
        """The revision up to which the tables hold the log."""
        self._position = read(self._engine, lambda _connection, _tables, at: at.seq)
        return self._position

    def notify(self, revision: int) -> None:
        """Called in the event loop after a commit, where the projector runs in the same process."""
        self._position = max(self._position, revision)
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait_for(self, revision: int, timeout: float) -> bool:  # noqa: ASYNC109 (a caller's bound)
        """Whether the tables hold this revision, or come to within `timeout` seconds."""
        if self._position >= revision:
            return True
        try:
            async with asyncio.timeout(timeout):
                while await asyncio.to_thread(self.position) < revision:
                    await self._next_move()
        except TimeoutError:
            return False
        return True

    async def _next_move(self) -> None:
        """A notice, or a short while: the projector may be another process."""
        try:
            await asyncio.wait_for(self._moved.wait(), POLL)
        except TimeoutError:
            return


def _rollout(row: RowMapping) -> RolloutRow:
    return RolloutRow(
        id=row["rollout"],
        title=row["title"],
        phase=row["phase"],
        stage=row["stage"],
        exposure=row["exposure"],
        halted=row["halted"],
        revision=row["revision"],
        entered_at=datetime.fromisoformat(row["entered_at"]),
        toggles=msgspec.json.decode(row["toggles"], type=tuple[str, ...]),
        when=datetime.fromisoformat(row["at"]),
    )


def _accepted(
    connection: Connection, tables: Generation, wanted: Filters, start: Cursor, limit: int, newest_first: bool
) -> list[AuditRow]:
    if wanted.outcome == "refused" or wanted.fact == "refused":
        return []
    table = tables.audit
    place = tuple_(table.c.revision, table.c.n)
    here = tuple_(start.revision, start.n)
    query = select(table).where(place < here if newest_first else place > here).limit(limit)
    order = (table.c.revision.desc(), table.c.n.desc()) if newest_first else (table.c.revision, table.c.n)
    if wanted.fact:
        query = query.where(table.c.fact == wanted.fact)
    found = connection.execute(_filtered(query, table.c, wanted).order_by(*order))
    return [audit.accepted(cast("dict[str, Any]", row)) for row in found.mappings()]


def _refused(
    connection: Connection, tables: Generation, wanted: Filters, start: Cursor, limit: int, newest_first: bool
) -> list[AuditRow]:
    if wanted.outcome == "accepted" or wanted.fact not in ("", "refused"):
        return []
    seq = tables.attempts.c.seq
    query = select(tables.attempts).where(seq < start.seq if newest_first else seq > start.seq).limit(limit)
    order = seq.desc() if newest_first else seq
    found = connection.execute(_filtered(query, tables.attempts.c, wanted).order_by(order))
    return [audit.refused(cast("dict[str, Any]", row)) for row in found.mappings()]


def _filtered(query: Select[Any], columns: Any, wanted: Filters) -> Select[Any]:
    if wanted.rollout:
        query = query.where(columns.rollout == wanted.rollout)
    if wanted.subject:
        query = query.where(columns.subject == wanted.subject)
    if wanted.since:
        query = query.where(columns.at >= instant(wanted.since))
    if wanted.until:
        query = query.where(columns.at < instant(wanted.until))
    return query


def _merge(done: Sequence[AuditRow], refused: Sequence[AuditRow], newest_first: bool) -> list[AuditRow]:
    """Both lists keep their own order; where they meet, time decides."""
    comes_first: Callable[[AuditRow, AuditRow], bool] = (
        (lambda a, r: a.when > r.when) if newest_first else (lambda a, r: a.when <= r.when)
    )
    lines: list[AuditRow] = []
    i = j = 0
    while i < len(done) and j < len(refused):
        if comes_first(done[i], refused[j]):
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
