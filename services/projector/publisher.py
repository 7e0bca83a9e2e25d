"""The projector's hand on the flag bucket: what the tables hold goes there, and `_position` every second.

One rule: only what is committed is published, only the latest of each rollout, and nothing while the projector is
still catching up: readers never see history replayed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace
from nats import errors
from nats.js.errors import Error as JetStreamError
from sqlalchemy.exc import SQLAlchemyError

from projections.flags import FlagSnapshot
from services.ending import end_if_cancelled
from services.flags.bucket import FlagBucket
from services.flags.marks import Mark
from services.projector.tables import Position

logger = logging.getLogger("cutover.projector")

Hmacs = Callable[[Iterable[str]], Mapping[str, str]]
"""The vault's HMACs of testers' ids, by the testers' references; those that are erased are left out."""

BEAT = 1.0
TROUBLES = (errors.Error, JetStreamError, OSError, SQLAlchemyError)


class Publisher:
    """Holds what is to be written until it is written."""

    def __init__(self, bucket: FlagBucket, hmacs: Hmacs, now: Callable[[], datetime]) -> None:
        self._bucket = bucket
        self._hmacs = hmacs
        self._now = now
        self._waiting: dict[str, FlagSnapshot] = {}
        self._position: Position | None = None
        self._wake = asyncio.Event()
        self.open = False  # the projector has caught up
        self.problem = ""

    def offer(self, snapshots: Iterable[FlagSnapshot], position: Position, leave: Iterable[str] = ()) -> None:
        """These are committed, up to this position; the values of stopped rollouts are left as they are."""
        self._waiting.update({snapshot.rollout: snapshot for snapshot in snapshots})
        for rollout in leave:
            self._waiting.pop(rollout, None)
        self._position = position
        self._wake.set()

    async def run(self) -> None:
        """Publish whenever something is offered, and give a sign of life every second; until cancelled."""
        while True:
            if self.open:
                await self._publish()
            end_if_cancelled()
            try:
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _publish(self) -> None:
        waiting, self._waiting, position = self._waiting, {}, self._position
        try:
            snapshots = await self._with_testers(list(waiting.values()))
            mark = Mark(position.seq, self._now(), position.hash) if position is not None and self.open else None
            await self._bucket.write(snapshots, mark=mark)
            if mark is not None and self.open:
                await self._bucket.mark(mark)
        except TROUBLES as error:
            self._waiting = {**waiting, **self._waiting}
            self._trouble(f"the flags cannot be published: {type(error).__name__}: {error}")
        else:
            self.problem = ""

    def _trouble(self, words: str) -> None:
        if words != self.problem:
            logger.error(words)
        self.problem = words

    async def _with_testers(self, snapshots: list[FlagSnapshot]) -> list[FlagSnapshot]:
        if not any(snapshot.windows for snapshot in snapshots):
            return filled(snapshots, self._hmacs)  # which asks nobody
        return await asyncio.to_thread(filled, snapshots, self._hmacs)

    async def publish_one(self, snapshot: FlagSnapshot) -> None:
        """Write one snapshot now, apart from the position. Raises one of TROUBLES."""
        await self._bucket.write(await self._with_testers([snapshot]))

    async def repair(self, snapshots: list[FlagSnapshot], upto: int) -> int:
        """Make the bucket say what the tables say, which are at the revision `upto`; how many values did not."""
        return await self._bucket.repair(await self._with_testers(snapshots), upto)


def filled(snapshots: Iterable[FlagSnapshot], hmacs: Hmacs) -> list[FlagSnapshot]:
    """The snapshots with the HMACs of the testers in their windows: from the vault, never from the log."""
    snapshots = list(snapshots)
    wanted = {window.tester for snapshot in snapshots for window in snapshot.windows}
    known = hmacs(sorted(wanted)) if wanted else {}
    return [_with(snapshot, known) for snapshot in snapshots]


def _with(snapshot: FlagSnapshot, known: Mapping[str, str]) -> FlagSnapshot:
    testers = sorted({window.tester for window in snapshot.windows} & known.keys())
    return replace(snapshot, testers={tester: known[tester] for tester in testers})
