"""The engine: load, judge, decide, append. The only writer of the log.

One rule: safety is the compare-and-append, not a lock; any number of engines may run. A command is refused only on a
state that is known to be the latest, and answered only with what is stored.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from events.codec import VERSION, decode, digest, encode, holds_nul, without_nul
from events.facts import Attempt, Evidence, Fact, Record
from events.plan.names import IDENTIFIER
from services.ending import end_if_cancelled
from services.engine.directory import Directory
from services.engine.hot import Hot, HotRollouts
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.log.protocol import Conflict, Log, LogError, LogFull, Unavailable
from services.people.sealing import SessionCommand, about_a_tester, as_stored, by_its_id, named_to_readers
from services.people.vault import VaultError
from services.rollout import commands as c
from services.rollout.access import may
from services.rollout.asked import ALONE, Surroundings
from services.rollout.decider import decide
from services.rollout.effects import effects
from services.rollout.measured import Measured
from services.rollout.measuring import PROMOTIONS
from services.rollout.refusals import Refused, refuse
from services.rollout.state import Rollout, apply

logger = logging.getLogger(__name__)

RECORD_LIMIT = 768 * 1024
TRIES = 200  # conflicts in a row before we say that others are faster
_COMMAND_ID = re.compile(r"[\x21-\x7e]{1,200}")
_STOPPING = (c.RollBack, c.Halt)
_MEASURED = (*PROMOTIONS, c.TakeSnapshot)
_MACHINES = ("monitor", "clock", "herald")  # what they say must be recorded, and they cannot say it otherwise

Measure = Callable[[Rollout, c.Command, datetime], Awaitable[Measured | None]]
"""What a command rests on, measured afresh; it ends in time whatever happens. See analysis/afresh.py."""


async def nothing_else() -> Sequence[str]:
    """No further check."""
    return ()


class Sealer(Protocol):
    """The vault, as the engine needs it: a command as the log may hold it."""

    def seal(self, command: c.Command, tester: str = "") -> c.Command: ...

    def holds(self, reference: str) -> bool: ...

    def keep_id(self, reference: str, user: str) -> None: ...


class Engine:
    """Answers requests; `ask` never raises for what a sender or the log can do wrong.

    `now` gives UTC; `also` finds what is wrong besides the log's own problems. While there are `problems` with the
    log as a whole, only roll_back and halt are carried out.
    """

    def __init__(
        self,
        log: Log,
        now: Callable[[], datetime],
        *,
        sealer: Sealer | None = None,
        default_approvers: tuple[str, ...] = (),
        capacity: int = 5_000,
        measure: Measure | None = None,
        also: Callable[[], Awaitable[Sequence[str]]] = nothing_else,
    ) -> None:
        self._log = log
        self._also = also
        self._now = now
        self._sealer = sealer
        self._measure = measure
        self._hot = HotRollouts(capacity)
        self._directory = Directory(log, default_approvers)
        self.problems: tuple[str, ...] = ()

    async def ask(self, request: Request) -> Reply:
        """Carry out one command, or say everything that is against it."""
        wrong = _malformed(request)
        if wrong is not None:
            return wrong
        hot = self._hot.get(request.rollout)
        try:
            measured = await self._measured(hot, request)
            async with hot.lock:
                return await self._answer(hot, request, measured)
        except LogFull as error:
            return Refusal("too-large", (f"the log does not take this record: {error}",))
        except LogError as error:
            self._hot.drop(request.rollout)
            return Refusal("unavailable", (f"the log cannot be reached: {error}; send the same command id again",))

    async def check(self) -> None:
        """Look at the log itself: is it as it was made, whole, and still the one that the tables know."""
        try:
            found = (*await self._log.problems(), *await self._also())
        except (LogError, SQLAlchemyError) as error:
            logger.warning("the log cannot be checked: %s", error)
            return
        for problem in found:
            logger.critical("commands are stopped: %s", problem)
        self.problems = found

    async def watch(self, every: float = 60.0) -> None:
        """Check every so many seconds, for ever."""
        while True:
            await asyncio.sleep(every)
            end_if_cancelled()
            await self.check()

    # -- inside

    async def _measured(self, hot: Hot, request: Request) -> Measured | None:
        """What the command rests on, measured before its turn comes: nobody waits for metrics but who asked for them.

        A command that was accepted before is answered from the log, without measuring again.
        """
        if self._measure is None or not isinstance(request.command, _MEASURED):
            return None
        async with hot.lock:
            await self._refreshed(hot)
            state = hot.rollout
            if state is None or hot.stopped or request.command_id in hot.accepted:
                return None
        return await self._measure(state, request.command, max(self._now(), state.when))

    async def _answer(self, hot: Hot, request: Request, measured: Measured | None) -> Reply:
        fresh = hot.last == 0
        if fresh:
            await self._catch_up(hot)
        for _ in range(TRIES):
            if (stop := self._stop(hot, request.command)) is not None:
                return stop
            try:
                if request.command_id in hot.accepted:
                    return await self._stored_answer(hot, request)
                decided = await self._decide(hot, request, measured)
            except Refused as refusal:
                if fresh:
                    return await self._refuse(hot, request, refusal)
                fresh = await self._refreshed(hot)
                continue
            if not decided.facts and not fresh:
                fresh = await self._refreshed(hot)
                continue
            if request.command.dry_run or not decided.facts:
                return decided.without_record(hot)
            try:
                return await self._append(hot, request, decided)
            except Conflict:
                fresh = await self._refreshed(hot)
        return Refusal("unavailable", (f"others changed {request.rollout!r} {TRIES} times meanwhile; try again",))

    async def _refreshed(self, hot: Hot) -> bool:
        """Read what others have appended; afterwards the state is the latest."""
        if await self._log.last_revision(hot.id) > hot.last:
            await self._catch_up(hot)
        return True

    async def _catch_up(self, hot: Hot) -> None:
        for entry in await self._log.read(hot.id, hot.last):
            hot.take(entry)

    def _stop(self, hot: Hot, command: c.Command) -> Refusal | None:
        if hot.stopped:
            return Refusal("stopped", (hot.stopped,), revision=hot.last)
        if self.problems and not isinstance(command, _STOPPING):
            return Refusal("stopped", self.problems, revision=hot.last)
        return None

    async def _decide(self, hot: Hot, request: Request, measured: Measured | None) -> Decided:
        command = await self._sealed(hot, request)
        now = self._now()
        when = now if hot.rollout is None else max(now, hot.rollout.when)
        around, head = await self._surroundings(hot, command)
        if measured is not None:
            around = replace(around, measured=measured)
        facts = decide(command, hot.rollout, request.by, when, around, rollout_id=request.rollout)
        await self._nameable(hot, request.command, command)
        return Decided(command, when, facts, head, request, measured.evidence if measured else ())

    async def _sealed(self, hot: Hot, request: Request) -> c.Command:
        """The command as the log may hold it. A stranger's is refused for what it is, and makes no tester known."""
        command = request.command
        if self._sealer is None or not about_a_tester(command) or not may(request.by.role, command):
            return command
        if hot.rollout is not None:
            command = by_its_id(command, hot.rollout.plan)
        tester = _tester_of(hot, command)
        try:
            return await asyncio.to_thread(self._sealer.seal, command, tester)
        except VaultError as error:
            raise refuse(str(error)) from error

    async def _nameable(self, hot: Hot, sent: c.Command, sealed: c.Command) -> None:
        """Who must be told to a reader by their id has it kept before the record is written. Raises Refused."""
        named = named_to_readers(sent, sealed, hot.rollout.plan) if hot.rollout is not None else None
        if self._sealer is None or named is None:
            return
        try:
            await asyncio.to_thread(self._sealer.keep_id, *named)
        except VaultError as error:
            raise refuse(str(error)) from error

    async def _surroundings(self, hot: Hot, command: c.Command) -> tuple[Surroundings, int | None]:
        """Other rollouts, where the command depends on them; and the revision the log must still end at."""
        if isinstance(command, c.Adopt):
            return await self._directory.surroundings()
        if isinstance(command, c.RevisePlan):
            around, head = await self._directory.surroundings()
            held = {t.key for t in hot.rollout.plan.toggles} if hot.rollout else set()
            return around, None if held >= {t.key for t in command.plan.toggles} else head
        if hot.rollout is not None and hot.rollout.plan.after and isinstance(command, PROMOTIONS):
            return (await self._directory.surroundings())[0], None
        return ALONE, None

    async def _append(self, hot: Hot, request: Request, decided: Decided) -> Reply:
        record = decided.record(hot)
        data = encode(record)
        if holds_nul(data):
            data = without_nul(data)
            record = decode(data)
        if len(data) > RECORD_LIMIT:
            text = f"the record would be {len(data)} bytes; the log takes {RECORD_LIMIT}"
            return Refusal("too-large", (text,), hot.rollout.phase if hot.rollout else None, hot.last)
        revision = await self._log.append(
            hot.id, data, expected=hot.last, command_id=request.command_id, expected_head=decided.head
        )
        after = hot.add(record, revision, data)
        return Accepted(revision, after.phase, record.when, record.facts)

    async def _stored_answer(self, hot: Hot, request: Request) -> Reply:
        """The first answer again, from the stored bytes; another body or sender under the same id is refused."""
        revision, phase = hot.accepted[request.command_id]
        entry = await self._log.at(revision)
        if entry is None:
            raise Unavailable(f"revision {revision} cannot be read")
        record = decode(entry.data)
        command = await self._sealed_again(hot, request, record)
        if record.who.subject != request.by.subject or record.command_hash != command_hash(command):
            text = f"command id {request.command_id!r} was used at revision {revision} for another command or sender"
            return Refusal("command-id-reused", (text,), phase, revision)
        return Accepted(revision, phase, record.when, record.facts)

    async def _sealed_again(self, hot: Hot, request: Request, record: Record) -> c.Command:
        """A repeated command as it was sealed; after its tester was erased, with the texts that the record holds."""
        command = request.command
        if self._sealer is None or not isinstance(command, SessionCommand):
            return command
        tester = _tester_of(hot, command)
        if not tester or not await asyncio.to_thread(self._sealer.holds, tester):
            return as_stored(command, record)
        return await self._sealed(hot, request)

    async def _kept_reason(self, hot: Hot, request: Request) -> str:
        """The reason of a refused command as it may be kept: sealed, or not at all, where it is about a tester."""
        if self._sealer is None or not about_a_tester(request.command):
            return request.command.reason
        if not request.command.reason or not may(request.by.role, request.command):
            return ""
        try:
            return (await self._sealed(hot, request)).reason
        except Refused:
            return ""

    async def _refuse(self, hot: Hot, request: Request, refusal: Refused) -> Refusal:
        """Answer with every reason; a real attempt is kept beside the log."""
        state = hot.rollout
        if not request.command.dry_run:
            attempt = Attempt(
                VERSION,
                request.rollout,
                self._now(),
                request.by,
                c.name_of(request.command),
                request.command_id,
                refusal.reasons,
                refusal.code,
                await self._kept_reason(hot, request),
                *_standing(state),
            )
            await self._log.note_attempt(request.rollout, encode(attempt))
        if state is None:
            self._hot.drop(request.rollout)
        return Refusal(refusal.code, refusal.reasons, state.phase if state else None, hot.last)


class Decided:
    """What a command comes to on one state: the facts, when, and what the log must look like still."""

    __slots__ = ("command", "evidence", "facts", "head", "request", "when")

    def __init__(
        self,
        command: c.Command,
        when: datetime,
        facts: tuple[Fact, ...],
        head: int | None,
        request: Request,
        measured: tuple[Evidence, ...],
    ) -> None:
        self.command = command
        self.when = when
        self.facts = facts
        self.head = head
        self.request = request
        self.evidence = (*command.evidence, *measured)

    def record(self, hot: Hot) -> Record:
        """The record that continues the rollout's chain."""
        command = self.command
        return Record(
            VERSION,
            hot.id,
            hot.ordinal + 1,
            hot.hash,
            self.when,
            self.request.by,
            c.name_of(command),
            self.request.command_id,
            command_hash(command),
            self.facts,
            command.reason,
            command.note,
            self.evidence,
        )

    def without_record(self, hot: Hot) -> Reply:
        """The answer when nothing is written: it is so already, or it was only asked what would happen."""
        before: Rollout | None = hot.rollout
        if not self.facts:
            assert before is not None
            return Accepted(before.revision, before.phase, before.when, already=True, dry_run=self.command.dry_run)
        after = apply(before, self.record(hot), hot.last + 1)
        return Accepted(hot.last, after.phase, self.when, self.facts, dry_run=True, effects=effects(before, after))


def _standing(state: Rollout | None) -> tuple[str, str, tuple[str, ...]]:
    """What an attempt says of its rollout: phase, environment, toggles."""
    if state is None:
        return "", "", ()
    keys = (toggle.key for toggle in state.plan.toggles)
    return state.phase, state.plan.environment, tuple(key for key in keys if key not in state.retired)


def _tester_of(hot: Hot, command: c.Command) -> str:
    """The reference of the tester of the session that a command names; "" when there is no such session."""
    session = hot.rollout.sessions.get(getattr(command, "session", "")) if hot.rollout is not None else None
    return session.tester if session is not None else ""


def command_hash(command: c.Command) -> str:
    """SHA-256 (hex) of the command as it was decided: sealed, and without the question of a dry run."""
    return digest(msgspec.json.encode(replace(command, dry_run=False)))


def _malformed(request: Request) -> Refusal | None:
    if not IDENTIFIER.fullmatch(request.rollout):
        return Refusal(
            "unknown-rollout", (f"{request.rollout[:80]!r} is no rollout's id: expected {IDENTIFIER.pattern}",)
        )
    if not _COMMAND_ID.fullmatch(request.command_id):
        text = f"a command id is 1 to 200 visible ASCII characters, found {request.command_id[:80]!r}"
        return Refusal("invalid", (text,))
    for role in ("clock", "herald"):
        if request.command_id.startswith(f"{role}:") != (request.by.role == role):
            return Refusal("invalid", (f"command ids that begin with '{role}:' are the {role}'s own",))
    for role in ("monitor", "ci"):  # tokens may have these roles too, and ids of any other kind
        if request.command_id.startswith(f"{role}:") and request.by.role != role:
            return Refusal("invalid", (f"command ids that begin with '{role}:' are the {role}'s own",))
    if request.by.role not in _MACHINES and holds_nul(msgspec.json.encode(request)):
        return Refusal("invalid", ("a text holds the character U+0000, which not every database can keep",))
    return None
