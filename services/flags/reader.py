"""The flags as this process knows them: kept in memory by a watch on the bucket.

One rule: what is known only goes up, rollout by rollout; when nothing is heard it stays as it is and is called stale.
What was heard is answered from the projector's next mark on: by then everything up to that revision is here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from nats.js.errors import Error as JetStreamError

from events.codec import NOT_JSON
from projections.flags import FlagSnapshot, answers, decode
from services.ending import end_if_cancelled
from services.flags.last_known import Flags, LastKnown
from services.flags.marks import HEADER, MARK, decode_mark
from services.flags.states import FlagState, FlagStates
from services.log.streams import FLAGS

logger = logging.getLogger("cutover.flags")

STALE_AFTER = 5.0  # seconds of silence of `_position`
BLIND_AFTER = 2.5  # seconds of silence until the watch is begun anew
UNMARKED = 2.0  # seconds without a mark after which values are answered as they come: it may be a rollback after a gap
AHEAD = 300.0  # seconds the kept time may be ahead of the wall clock before it is a problem
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FlagReader:
    """The read side. What is known is told without any I/O; only `wait_for` waits."""

    def __init__(
        self,
        connection: Client,
        folder: Path | None,
        wall: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        bucket: str = FLAGS,
    ) -> None:
        self._connection = connection
        self._wall = wall
        self._monotonic = monotonic
        self._bucket = bucket
        self._kept = LastKnown(folder) if folder else None
        self._known: dict[str, FlagSnapshot] = {}
        self._states = FlagStates(monotonic)
        self._heard_of: dict[str, FlagSnapshot | None] = {}  # not answered yet
        self._marked = time.monotonic()
        self._listeners: list[Callable[[], None]] = []
        self._revision: int | None = None  # the last mark's
        self._position = 0
        self._held: int | None = None  # a revision marked while values before the mark may still be on their way
        self._alive_at = EPOCH
        self._alive: float | None = None  # by the monotonic clock; None: never heard
        self._heard = 0.0
        self._mark_sequence = 0
        self._used = EPOCH
        self._used_kept = EPOCH
        self._flags_changed = False
        self._moved = asyncio.Event()
        self._watch: Any = None
        self._reconnects = 0
        self._trouble = ""
        self._tasks: list[asyncio.Task[None]] = []

    # -- what is known

    @property
    def state(self) -> FlagState:
        """Every rollout that answers. It does not change under its reader: one state, one answer."""
        return self._states.current

    def past(self, revision: int) -> FlagState | None:
        """The state of that revision, of the last five minutes; None: not kept, or never held here."""
        return self._states.at(revision)

    def snapshot(self, rollout: str) -> FlagSnapshot | None:
        """A rollout's snapshot; None: there is no such rollout, or it was cancelled."""
        return self.state.snapshots.get(rollout)

    def toggle(self, key: str) -> FlagSnapshot | None:
        """The snapshot of the rollout that a toggle belongs to; None: nobody's, or retired."""
        return self.state.of_toggle(key)

    def all(self) -> Mapping[str, FlagSnapshot]:
        """Every rollout that answers, by id."""
        return self.state.snapshots

    @property
    def position(self) -> int:
        """The revision up to which everything is known, 0 while cold. It never falls.

        Where values are answered without a mark (`UNMARKED`): the latest record's that is answered from. Another
        rollout's record before it may be missing then; but no revision ever stands for two states of one rollout.
        """
        return self._position

    @property
    def cold(self) -> bool:
        """Nothing is known, neither from the bucket nor from disk: answer with an error, never with a guess."""
        return self._revision is None

    @property
    def stale_since(self) -> datetime | None:
        """Since when (by the wall clock) nothing was heard of the projector; None: heard within five seconds."""
        if self._alive is not None and self._monotonic() - self._alive < STALE_AFTER:
            return None
        return self._alive_at

    def time(self) -> datetime:
        """The time to answer for. It never goes back, not over a restart either: a window stays closed."""
        self._used = max(self._used, self._wall())
        return self._used

    def problems(self) -> tuple[str, ...]:
        """What somebody should look at."""
        found = []
        if self.cold:
            found.append("no flags are known yet: nothing has been read from the bucket, nothing is kept on disk")
        elif since := self.stale_since:
            found.append(f"flags are stale since {since.isoformat()}, at revision {self.position}")
        ahead = (self._used - self._wall()).total_seconds()
        if ahead > AHEAD:
            found.append(f"the clock has gone back by {ahead:.0f} s; flags are answered for {self._used.isoformat()}")
        return tuple(found)

    async def wait_for(self, revision: int, timeout: float) -> bool:  # noqa: ASYNC109 (a caller's bound)
        """Whether everything up to this revision is known, or comes to be within `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.position < revision:
                    await self._moved.wait()
        return self.position >= revision

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called whenever somebody may be answered otherwise; call the result to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- keeping it so

    async def start(self, limit: float = 5.0) -> None:
        """Take up what is on disk, watch the bucket, and wait up to `limit` seconds until something is known."""
        if self._kept:
            self._take_up(self._kept.flags(), self._kept.used())
        self._tasks = [asyncio.create_task(self._stay_awake()), asyncio.create_task(self._keep())]
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._moved.wait()

    async def stop(self) -> None:
        """End the watch, and keep what is known."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._end(self._watch)
        self._write(*self._to_keep())

    def _take_up(self, flags: Flags | None, used: datetime | None) -> None:
        self._used = self._used_kept = max(self._used, used or EPOCH)
        if flags is None:
            return
        self._revision, self._alive_at = flags.revision, flags.at
        for snapshot in flags.snapshots:
            self._accept(snapshot)
        self._publish()

    async def _stay_awake(self) -> None:
        """Begin the watch anew after every reconnection, and whenever it has been silent: else it can be blind."""
        while True:
            end_if_cancelled()
            try:
                if self._connection.is_connected and self._is_blind():
                    await self._begin()
                if self._heard_of and time.monotonic() - self._marked > UNMARKED:
                    self._publish()
                    self._wake()
            except (errors.Error, JetStreamError, OSError) as error:
                self._say(f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.1)

    def _say(self, trouble: str) -> None:
        """It is tried ten times a second, and said once."""
        if trouble != self._trouble:
            logger.warning("cannot watch the flags: %s", trouble)
        self._trouble = trouble

    def _is_blind(self) -> bool:
        silent = time.monotonic() - self._heard > BLIND_AFTER
        return self._watch is None or silent or self._connection.stats["reconnects"] != self._reconnects

    async def _begin(self) -> None:
        old, self._reconnects = self._watch, self._connection.stats["reconnects"]
        self._watch = await self._connection.jetstream().subscribe(
            f"$KV.{self._bucket}.>",
            stream=f"KV_{self._bucket}",
            cb=self._receive,
            ordered_consumer=True,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            idle_heartbeat=1.0,
        )
        self._heard, self._trouble = time.monotonic(), ""
        self._marked = self._heard
        await self._end(old)

    async def _end(self, watch: Any) -> None:
        if watch is not None:
            with suppress(errors.Error, JetStreamError, OSError):
                await watch.unsubscribe()

    async def _receive(self, msg: Msg) -> None:
        """One value of the bucket, in the bucket's order."""
        self._heard = time.monotonic()
        key = msg.subject.removeprefix(f"$KV.{self._bucket}.")
        if msg.headers and "KV-Operation" in msg.headers:
            self._forget(key)
            return
        try:
            if key == MARK:
                self._live(msg)
            else:
                self._accept(decode(msg.data))
                self._carried((msg.headers or {}).get(HEADER))
        except NOT_JSON as error:
            logger.error("the bucket's value of %s cannot be read, the last one stays: %s", key, error)
        if self._held is not None and msg.metadata.num_pending == 0 and not self._ahead(self._held):
            self._advance()

    def _carried(self, mark: str | None) -> None:
        """The mark that came with a snapshot: how far all is known. It is no sign of life, and nobody's first."""
        if mark is not None and self._revision is not None:
            self._marks(decode_mark(mark.encode()).revision)

    def _marks(self, revision: int) -> None:
        if revision >= (self._revision or 0):
            self._held, self._marked = max(self._held or 0, revision), time.monotonic()

    def _accept(self, snapshot: FlagSnapshot) -> None:
        known = self._known.get(snapshot.rollout)
        if known and (snapshot.revision < known.revision or snapshot == known):
            return
        self._known[snapshot.rollout] = snapshot
        self._used = max(self._used, snapshot.when)
        self._heard_of[snapshot.rollout] = snapshot if answers(snapshot) else None
        self._flags_changed = True

    def _ahead(self, revision: int) -> bool:
        """A value of a later revision is here: its own mark is on its way."""
        return any(snapshot is not None and snapshot.revision > revision for snapshot in self._heard_of.values())

    def _forget(self, key: str) -> None:
        """A key that no rollout stands behind was removed by a rebuild."""
        if self._known.pop(key, None):
            self._heard_of[key], self._flags_changed = None, True

    def _live(self, msg: Msg) -> None:
        """The projector was there. A mark heard before, or one from a projector left behind, is no sign of life.

        Nor is the first one after a start with a kept state: nobody knows how long it has been lying there.
        """
        mark, sequence = decode_mark(msg.data), msg.metadata.sequence.stream
        if mark.revision < (self._revision or 0) or sequence == self._mark_sequence:
            return
        if self._mark_sequence or self._alive_at == EPOCH:
            self._alive, self._alive_at = self._monotonic(), self._wall()
        self._mark_sequence = sequence
        self._marks(mark.revision)

    def _advance(self) -> None:
        """All that stood before the mark is here. (A value written over before we got it comes after its mark.)"""
        if self._held != self._revision:
            self._revision, self._flags_changed = self._held, True
        self._held = None
        self._publish()
        self._wake()

    def _wake(self) -> None:
        """Have those look who wait for a revision."""
        self._moved.set()
        self._moved = asyncio.Event()

    def _publish(self) -> None:
        """What was heard is answered from now on, all of it at once."""
        changes, self._heard_of = self._heard_of, {}
        latest = (snapshot.revision for snapshot in changes.values() if snapshot is not None)
        self._position = max(self._position, self._revision or 0, *latest)
        if not changes and self._position == self.state.revision:
            return
        if self._states.publish(changes, self._position):
            for listener in tuple(self._listeners):
                try:
                    listener()
                except Exception:  # one listener's fault must not keep the flags from being known
                    logger.exception("a listener to changes of flags failed")

    async def _keep(self) -> None:
        """Once a second, what has changed goes to disk."""
        while True:
            await asyncio.sleep(1.0)
            try:
                await asyncio.to_thread(self._write, *self._to_keep())
            except OSError as error:
                logger.error("the flags cannot be kept on disk: %s", error)

    def _to_keep(self) -> tuple[Flags | None, datetime | None]:
        """What is not on disk yet."""
        flags = used = None
        if self._flags_changed and not self._heard_of and self._revision is not None:
            flags = Flags(self._revision, self._alive_at, tuple(self._known.values()))
        if self._used > self._used_kept:
            used = self._used
        self._flags_changed, self._used_kept = self._flags_changed and flags is None, self._used
        return flags, used

    def _write(self, flags: Flags | None, used: datetime | None) -> None:
        if self._kept and flags:
            self._kept.keep_flags(flags)
        if self._kept and used:
            self._kept.keep_used(used)
