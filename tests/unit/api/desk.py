"""A whole service in memory behind the HTTP API: the log in memory, the real engine, the real tables.

Only the way between them is shorter than in production: every record is folded as soon as it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import Engine

from events.codec import decode
from projections.flags import FlagSnapshot, answers, fold
from services.database import connect
from services.engine import engine
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.flags.states import FlagState, FlagStates
from services.log.memory import MemoryLog
from services.people.vault import Vault
from services.projector.folding import Folding, machine
from services.projector.tables import generation, live_position, prepare

NOON = datetime(2022, 7, 29, 12, tzinfo=UTC)


class Flags:
    """The flags as the log says they are. `held` is what a reader would have heard of."""

    def __init__(self) -> None:
        self.known: dict[str, FlagSnapshot] = {}
        self.held: int | None = 0
        self.now = NOON
        self.silent_since: datetime | None = None
        self.ticks = 0.0
        self._states = FlagStates(lambda: self.ticks)
        self._listeners: list[Callable[[], None]] = []

    def hear(self, snapshot: FlagSnapshot, revision: int) -> None:
        """What a reader does when a value and the mark behind it arrive."""
        self.known[snapshot.rollout] = snapshot
        self.held = revision
        if self._states.publish({snapshot.rollout: snapshot if answers(snapshot) else None}, revision):
            for listener in self._listeners:
                listener()

    @property
    def state(self) -> FlagState:
        return self._states.current

    def past(self, revision: int, /) -> FlagState | None:
        return self._states.at(revision)

    def listen(self, listener: Callable[[], None], /) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def snapshot(self, rollout: str) -> FlagSnapshot | None:
        return self.state.snapshots.get(rollout)

    def all(self) -> Mapping[str, FlagSnapshot]:
        return self.state.snapshots

    def time(self) -> datetime:
        return self.now

    @property
    def position(self) -> int:
        return self.held or 0

    @property
    def cold(self) -> bool:
        return self.held is None

    @property
    def stale_since(self) -> datetime | None:
        return self.silent_since

    async def wait_for(self, revision: int, patience: float, /) -> bool:
        return self.position >= revision


class Desk:
    """The engine on a log in memory; `asked` are the requests that came through."""

    def __init__(self, folder: Path) -> None:
        self.log = MemoryLog()
        self.flags = Flags()
        self.database: Engine = connect(f"sqlite:///{folder / 'cutover.db'}")
        self.vault = Vault(self.database, bytes(32))
        self.asked: list[Request] = []
        self.refusal: Refusal | None = None  # what the engine says instead of deciding
        self._engine = engine.Engine(self.log, self.flags.time, sealer=self.vault)
        self._folding = Folding(generation(prepare(self.database).generation), machine())

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        reply = self.refusal or await self._engine.ask(request)
        if isinstance(reply, Accepted) and reply.facts and not reply.dry_run:
            await self._fold(reply.revision)
        return reply

    async def _fold(self, revision: int) -> None:
        with self.database.begin() as connection:
            before = live_position(connection)
            assert before is not None
            entries = [await self.log.at(n) for n in range(before.seq + 1, revision + 1)]
            new = [entry for entry in entries if entry is not None]
            self._folding.write(connection, self._folding.take(connection, before, new))
        for entry in new:
            known = fold(self.flags.known.get(entry.rollout), decode(entry.data), entry.revision)
            testers = self.vault.hmacs(window.tester for window in known.windows)
            self.flags.hear(replace(known, testers=testers), entry.revision)
