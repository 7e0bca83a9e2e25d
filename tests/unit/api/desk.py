"""A whole service in memory behind the HTTP API: the log in memory, the real machine, the real tables.

Only the way between them is shorter than in production: every record is folded as soon as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from events.codec import VERSION, decode, digest, encode
from events.facts import Record
from projections.flags import FlagSnapshot, answers, fold
from services.database import connect
from services.folding import Folding, machine
from services.log.memory import MemoryLog
from services.messages import Accepted, Refusal, Reply, Request
from services.rollout.asked import Surroundings
from services.rollout.commands import name_of
from services.rollout.decider import decide
from services.rollout.refusals import Refused
from services.rollout.state import Rollout, apply
from services.tables import generation, live_position, prepare
from services.vault import Vault

NOON = datetime(2022, 7, 29, 12, tzinfo=UTC)


class Flags:
    """The flags as the log says they are. `held` is what a reader would have heard of."""

    def __init__(self) -> None:
        self.known: dict[str, FlagSnapshot] = {}
        self.held: int | None = 0
        self.silent_since: datetime | None = None

    def snapshot(self, rollout: str) -> FlagSnapshot | None:
        found = self.known.get(rollout)
        return found if found and answers(found) else None

    def all(self) -> Mapping[str, FlagSnapshot]:
        return self.known

    def time(self) -> datetime:
        return NOON

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
    """Decides and writes, one command at a time; `asked` are the requests that came through."""

    def __init__(self, folder: Path) -> None:
        self.log = MemoryLog()
        self.flags = Flags()
        self.database: Engine = connect(f"sqlite:///{folder / 'cutover.db'}")
        self.vault = Vault(self.database, bytes(32))
        self.asked: list[Request] = []
        self.refusal: Refusal | None = None  # what the engine says instead of deciding
        self._folding = Folding(generation(prepare(self.database).generation), machine())
        self._accepted: dict[str, tuple[Request, Accepted]] = {}

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        if self.refusal:
            return self.refusal
        if earlier := self._accepted.get(request.command_id):
            return earlier[1] if earlier[0] == request else Refusal("command-id-reused", ("used for something else",))
        entries = await self.log.read(request.rollout)
        rollout: Rollout | None = None
        for entry in entries:
            rollout = apply(rollout, decode(entry.data), entry.revision)
        command = self.vault.seal(request.command)
        around = Surroundings({key: s.rollout for s in self.flags.known.values() for key in s.toggles})
        try:
            facts = decide(command, rollout, request.by, NOON, around, rollout_id=request.rollout)
        except Refused as no:
            return Refusal(no.code, no.reasons, rollout.phase if rollout else None, rollout.revision if rollout else 0)
        if not facts or command.dry_run:
            assert rollout is not None
            return Accepted(rollout.revision, rollout.phase, already=not facts, dry_run=command.dry_run)
        record = Record(
            v=VERSION,
            rollout=request.rollout,
            ordinal=len(entries) + 1,
            previous=digest(entries[-1].data) if entries else "",
            when=NOON,
            who=request.by,
            command=name_of(command),
            command_id=request.command_id,
            command_hash=digest(msgspec.json.encode(command)),
            facts=facts,
        )
        revision = await self._write(record, entries[-1].revision if entries else 0)
        accepted = Accepted(revision, apply(rollout, record, revision).phase, NOON, facts)
        self._accepted[request.command_id] = (request, accepted)
        return accepted

    async def _write(self, record: Record, expected: int) -> int:
        data = encode(record)
        revision = await self.log.append(record.rollout, data, expected=expected, command_id=record.command_id)
        entry = await self.log.at(revision)
        assert entry is not None
        with self.database.begin() as connection:
            before = live_position(connection)
            assert before is not None
            self._folding.write(connection, self._folding.take(connection, before, [entry]))
        self.flags.known[record.rollout] = fold(self.flags.known.get(record.rollout), record, revision)
        self.flags.held = revision
        return revision
