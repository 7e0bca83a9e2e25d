"""The records as they come, for everybody who listens: one reader of the log a process, however many listeners.

One rule: a listener gets every record above its place once and in order. The latest are held in a bounded ring; who is
further behind is given the rest from the log, and then goes on from the ring. Nobody waits for a slow listener: each
has only a place of its own, and no queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import msgspec

from events.codec import Unreadable, decode, digest
from projections import cloudevents
from services import event_stream
from services.ending import end_if_cancelled
from services.following import PAUSE, follow
from services.log.protocol import Entry, Log, LogError

logger = logging.getLogger("cutover.feed")

KEEP, KEEP_BYTES = 2_000, 8 * 1024 * 1024  # what the ring holds at most, in records and in bytes
BEAT = 15.0  # seconds of silence after which a listener is told its place
MOST, MOST_OF_ONE = 1_000, 100  # open streams, in all and of one sender
LOADS = 4  # listeners that are given older records at the same time
CHUNK = 500  # older records that are read at once
SLICE = 20  # records that are written before others get their turn: about a millisecond


class TooMany(Exception):
    """No more streams can be opened now; why, in words."""


class Frame(NamedTuple):
    """One record as it is sent."""

    revision: int
    rollout: str
    data: bytes


class Chunk(NamedTuple):
    """What a listener gets: every event up to and with the revision `upto`. No data: nothing came for a while."""

    upto: int
    data: bytes


class RecordFeed:
    """The feed of one process; `run` follows the log until it is cancelled, and then every listener's stream ends."""

    def __init__(
        self, log: Log, *, base: str = "", keep: int = KEEP, keep_bytes: int = KEEP_BYTES, beat: float = BEAT
    ) -> None:
        self.position: int | None = None  # the last revision known here; None: the log was not heard of yet
        self.began = asyncio.Event()
        self.ended = False
        self._log = log
        self._base = base
        self._keep, self._keep_bytes, self._beat = keep, keep_bytes, beat
        self._ring: deque[Frame] = deque()
        self._bytes = 0
        self._moved = asyncio.Event()
        self._loading = asyncio.Semaphore(LOADS)
        self._open: Counter[str] = Counter()

    async def run(self) -> None:
        """Follow the log from where it now ends."""
        try:
            self.position = await self._beginning()
            self.began.set()
            await follow(self._log, "the feed", self._take, after=self.position)
        finally:
            self.ended = True
            self._wake()

    async def _beginning(self) -> int:
        while True:
            end_if_cancelled()
            try:
                return await self._log.head()
            except LogError as error:
                logger.warning("the feed waits for the log: %s", error)
            await asyncio.sleep(PAUSE)

    async def _take(self, batch: Sequence[Entry]) -> None:
        for part in _slices(batch):
            for entry in part:
                self._hold(self._frame(entry))
            self.position = part[-1].revision
            self._wake()
            await asyncio.sleep(0)

    def _hold(self, frame: Frame) -> None:
        self._ring.append(frame)
        self._bytes += len(frame.data)
        while len(self._ring) > self._keep or self._bytes > self._keep_bytes:
            self._bytes -= len(self._ring.popleft().data)

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    # -- listening

    @contextmanager
    def opened(self, by: str) -> Iterator[None]:
        """One open stream of this sender. Raises TooMany."""
        if self._open.total() >= MOST:
            raise TooMany(f"{MOST} streams are open here")
        if self._open[by] >= MOST_OF_ONE:
            raise TooMany(f"'{by}' has {MOST_OF_ONE} streams open here")
        self._open[by] += 1
        try:
            yield
        finally:
            self._open[by] -= 1
            if not self._open[by]:
                del self._open[by]

    async def head(self) -> int:
        """The last revision of the log itself. Raises LogError."""
        return await self._log.head()

    async def has(self, rollout: str) -> bool:
        """Whether there is such a rollout. Raises LogError."""
        return await self._log.last_revision(rollout) > 0

    async def listen(self, after: int, rollout: str = "", until: int | None = None) -> AsyncGenerator[Chunk, None]:
        """The records above `after`, of one rollout or of all, for ever or up to `until`. Raises LogError."""
        at = after
        while not self.ended and (until is None or at < until):
            moved = self._moved
            if at < self._floor:
                floor = self._floor
                for part in _slices(await self._older(at, floor, rollout)):
                    at = part[-1].revision
                    yield Chunk(at, b"".join(self._frame(entry).data for entry in part))
                    await asyncio.sleep(0)
                at = max(at, floor if rollout else at)
                continue
            upto, data = self._newer(at, rollout)
            if data:
                yield Chunk(upto, data)
            if upto > at:
                at = upto
            elif not await self._within_a_beat(moved):
                yield Chunk(at, b"")

    @property
    def _floor(self) -> int:
        """The revision before the ring's first."""
        return self._ring[0].revision - 1 if self._ring else self.position or 0

    async def _older(self, at: int, floor: int, rollout: str) -> list[Entry]:
        """Records above `at` from the log: all of a rollout, or the next of the whole log up to `floor`."""
        async with self._loading:
            if rollout:
                return await self._log.read(rollout, at)
            found: list[Entry] = []
            async for batch in self._log.follow(at, until=min(at + CHUNK, floor)):
                found += batch
            return found

    def _newer(self, at: int, rollout: str) -> tuple[int, bytes]:
        """How far the ring goes, and what it holds above `at` of the rollout or of all; not too much at once."""
        if self.position is None or at >= self.position:
            return at, b""
        frames = list(islice(self._ring, at - self._floor, at - self._floor + CHUNK))
        wanted = (frame.data for frame in frames if rollout in ("", frame.rollout))
        return frames[-1].revision, b"".join(wanted)

    async def _within_a_beat(self, moved: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._beat):
                await moved.wait()
        except TimeoutError:
            return False
        return True

    def _frame(self, entry: Entry) -> Frame:
        """The record's event; one that this program cannot read is said to be there, and not left out."""
        revision, rollout, data = entry
        try:
            event = cloudevents.event(revision, digest(data), decode(data), self._base)
        except Unreadable as error:
            logger.error("revision %d cannot be read: %s", revision, error)
            words = msgspec.json.encode({"revision": revision, "rollout": rollout, "why": str(error)})
            return Frame(revision, rollout, event_stream.written(revision, words, "unreadable"))
        return Frame(revision, rollout, event_stream.written(revision, cloudevents.encode(event)))


def _slices(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), SLICE):
        yield entries[start : start + SLICE]
