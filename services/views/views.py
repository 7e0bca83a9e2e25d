"""What the tables answer: the list, a rollout's state, the trail, the KPIs.

One rule: every answer is of one generation at one position. The methods block on the database: call them in a
thread from async code (`wait_for` alone is async).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.engine import RowMapping

from projections.audit import AuditRow, Outcome
from projections.known import decode_known
from projections.kpis import KpiRow
from projections.rollouts import RolloutRow
from services.people.vault import Vault
from services.projector.folding import States, machine
from services.projector.tables import Generation, Position, prepare, read
from services.views.explaining import Explained, Question, explained
from services.views.past import Past, Point, began, past_of, rows_of
from services.views.trail import BEGINNING, Cursor, Filters, Page, end_of, page, read_cursor, record_lines

POLL = 0.02


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
        """Every rollout, by id; or as they were at `point`. Raises past.NotYet."""

        def ask(connection: Connection, tables: Generation, at: Position) -> list[RolloutRow]:
            table = tables.rollouts
            rows = connection.execute(select(table).order_by(table.c.rollout)).mappings()
            live = [_rollout(row) for row in rows]
            return live if point is None else rows_of(connection, tables, at, live, point)

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
        """A page as `trail` gives it, filtered by these alone, and the text of its cursor. Raises BadCursor."""
        wanted = Filters(rollout, subject, fact, outcome, since, until)
        found = self.trail(wanted, read_cursor(after) if after else None, limit, newest_first=newest_first)
        return found.lines, found.next.text() if found.next else None

    def trail(
        self,
        wanted: Filters,
        after: Cursor | None = None,
        limit: int = 100,
        *,
        newest_first: bool = False,
        end: Cursor | None = None,
    ) -> Page:
        """One page of the trail: what comes after the cursor (None: from the beginning, or from the newest on)."""

        def ask(connection: Connection, tables: Generation, at: Position) -> Page:
            start = after or (end_of(at) if newest_first else BEGINNING)
            return page(connection, tables, wanted, start, limit, newest_first, end)

        return read(self._engine, ask)

    def trail_end(self) -> Cursor:
        """Behind the newest line that the tables hold now."""
        return read(self._engine, lambda _connection, _tables, at: end_of(at))

    def records(self, revisions: Sequence[int]) -> list[list[AuditRow]]:
        """All lines of each of these records."""
        return read(
            self._engine, lambda connection, tables, _at: [record_lines(connection, tables, r) for r in revisions]
        )

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
