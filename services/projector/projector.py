"""The projector: follows the log, folds it into the live generation's tables, then publishes the flags.

One rule: the position moves in the transaction of its rows. Whatever happened in between, it goes on from what the
tables say, and it never goes on over a gap, a log that is shorter than the tables, or another log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from projections.flags import FlagSnapshot
from projections.known import decode_known
from services.ending import end_if_cancelled
from services.flags.bucket import FlagBucket
from services.log.protocol import Entry, Gap, Log, Unavailable
from services.projector.after_gap import follow_chains
from services.projector.attempts import take_attempts
from services.projector.folding import Changes, Folding, States, machine
from services.projector.publisher import TROUBLES, Hmacs, Publisher
from services.projector.same_log import WrongLog, same_log
from services.projector.tables import Generation, Moved, Position, generation, prepare, read

logger = logging.getLogger("cutover.projector")

BATCH = 2000
PAUSE = 0.5  # seconds before trying again
ATTEMPTS_EVERY = 1.0


def nobody_known(_references: object) -> dict[str, str]:
    """The HMACs where there is no vault."""
    return {}


class Projector:
    """One at a time does the work; a second one is safe and finds its batches already taken."""

    def __init__(
        self,
        log: Log,
        engine: Engine,
        bucket: FlagBucket,
        now: Callable[[], datetime],
        hmacs: Hmacs = nobody_known,
        *,
        on_commit: Callable[[int], None] = lambda _revision: None,
        states: States | None = None,
        check_every: float = 60.0,
    ) -> None:
        self._log = log
        self._check_every = check_every
        self._engine = engine
        self._on_commit = on_commit
        self._states = states or machine()
        self._publisher = Publisher(bucket, hmacs, now)
        self._folding: Folding | None = None
        self._fatal = ""
        self._trouble = ""

    def problems(self) -> tuple[str, ...]:
        """What keeps the tables or the flags from following the log, in words; empty: nothing.

        A rollout that is stopped is no reason for the others to wait: see `Views.stopped`.
        """
        return tuple(words for words in (self._fatal, self._trouble, self._publisher.problem) if words)

    async def run(self) -> None:
        """Follow until cancelled. Trouble is tried again; a gap or another log stops it for good, loudly."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publisher.run())
            group.create_task(self._follow_attempts())
            following = group.create_task(self._follow_until_stopped())
            group.create_task(self._look_after(following))

    async def _follow_until_stopped(self) -> None:
        try:
            await self._follow()
        except WrongLog as error:
            self._stop(error)
        except Gap as error:
            self._stop(error)
            await follow_chains(self._log, self._engine, self._publisher)

    async def _look_after(self, following: asyncio.Task[None]) -> None:
        """Every minute: it is still the same log, and the bucket still holds what the tables say."""
        while True:
            end_if_cancelled()
            await asyncio.sleep(self._check_every)
            try:
                if self._publisher.open:
                    await same_log(self._log, await asyncio.to_thread(prepare, self._engine))
                    await self.refresh()
            except WrongLog as error:
                following.cancel()
                self._stop(error)
            except (Unavailable, *TROUBLES) as error:
                logger.info("the check waits: %s", error)

    def _stop(self, error: Exception) -> None:
        self._fatal = f"the projector has stopped: {error}"
        logger.critical(self._fatal)
        self._publisher.open = False  # no more marks: readers will say that they are stale

    async def refresh(self) -> int:
        """Write the bucket's values anew where they differ (a tester was erased, a key was lost); how many did."""
        snapshots, upto = await asyncio.to_thread(read, self._engine, stored_snapshots)
        return await self._publisher.repair(snapshots, upto)

    # -- records

    async def _follow(self) -> None:
        while True:
            try:
                await self._once()
            except Moved:
                logger.info("the position was moved by somebody else, or the tables were rebuilt: loading it again")
            except Unavailable as error:
                await self._again(f"the log cannot be reached: {error}")
            except SQLAlchemyError as error:
                await self._again(f"the tables cannot be written: {error}")
            except TROUBLES as error:
                await self._again(f"NATS cannot be reached: {type(error).__name__}: {error}")

    async def _again(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.error(trouble)
        self._trouble = trouble
        await asyncio.sleep(PAUSE)

    async def _once(self) -> None:
        """From what the tables say, on, until something is in the way."""
        self._publisher.open = False
        position = await asyncio.to_thread(self._load)
        await same_log(self._log, position)
        head = await self._log.head()
        if position.seq >= head:
            await self._caught_up(position)
        self._trouble = ""
        end_if_cancelled()
        async for entries in self._log.follow(position.seq):
            for part in _parts(entries):
                position = await self._take(position, part)
            if not self._publisher.open and position.seq >= head:
                await self._caught_up(position)
            end_if_cancelled()

    def _load(self) -> Position:
        position = prepare(self._engine)
        self._folding = Folding(generation(position.generation), self._states)
        with self._engine.connect() as connection:
            self._folding.load_stopped(connection)
        return position

    async def _take(self, position: Position, entries: Sequence[Entry]) -> Position:
        changes = await asyncio.to_thread(self._commit, position, entries)
        position = changes.after()
        for rollout, (revision, why) in changes.stopped.items():
            logger.critical("rollout %s is stopped at revision %d: %s", rollout, revision, why)
        self._publisher.offer(changes.snapshots(), position, leave=changes.stopped.keys())
        self._on_commit(position.seq)
        return position

    def _commit(self, position: Position, entries: Sequence[Entry]) -> Changes:
        if self._folding is None:
            raise Moved("nothing is loaded")
        with self._engine.begin() as connection:
            changes = self._folding.take(connection, position, entries)
            self._folding.write(connection, changes)
        return changes

    async def _caught_up(self, position: Position) -> None:
        """The bucket gets all at once what was missed; from here on each change as it comes."""
        repaired = await self.refresh()
        logger.info("caught up at revision %d; %d values of the flag bucket were behind", position.seq, repaired)
        self._publisher.offer((), position)
        self._publisher.open = True

    # -- refused attempts

    async def _follow_attempts(self) -> None:
        """Every second; what goes wrong is said, and tried again: no flag depends on it."""
        while True:
            end_if_cancelled()
            await asyncio.sleep(ATTEMPTS_EVERY)
            try:
                await take_attempts(self._log, self._engine)
            except (Unavailable, SQLAlchemyError, Moved, LookupError, *TROUBLES) as error:
                logger.info("refused attempts wait: %s", error)


def stored_snapshots(connection: Connection, tables: Generation, at: Position) -> tuple[list[FlagSnapshot], int]:
    """Every rollout's snapshot as the tables have it, and the revision they are at.

    Not of stopped rollouts: what came after the record that stopped them is not known, so the bucket's value stays.
    """
    states, stopped = tables.states.c, tables.stopped.c
    stored = connection.execute(select(states.known).where(states.rollout.not_in(select(stopped.rollout)))).scalars()
    return [decode_known(known).snapshot for known in stored], at.seq


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), BATCH):
        yield entries[start : start + BATCH]
