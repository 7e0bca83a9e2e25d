"""The clock: sends what is due.

One rule: it keeps nothing. What is owed is a pure function of the log, so a clock that was away for a week sends,
once it is back, just what was owed meanwhile; command ids make every second sending harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from events.facts import Actor
from services.ending import end_if_cancelled
from services.engine.messages import Ask, Refusal, Request
from services.following import Followed, Troubled, follow
from services.log.protocol import Entry, Log
from services.rollout.due import Due, agenda, due
from services.rollout.state import Rollout

logger = logging.getLogger(__name__)

CLOCK = Actor("clock", "clock")
TICK = 0.2  # seconds between looks
PATIENCE = timedelta(seconds=5)  # before something that was refused is sent again


class Clock:
    """Follows the log, and asks for what is due. Any number may run beside each other."""

    def __init__(self, log: Log, ask: Ask, now: Callable[[], datetime], *, tick: float = TICK) -> None:
        self._log = log
        self._ask = ask
        self._now = now
        self._tick = tick
        self._rollouts = Followed()
        self._next: dict[str, datetime] = {}  # the earliest thing on each active rollout's agenda
        self._not_before: dict[str, datetime] = {}  # command ids that were refused
        self._troubled = Troubled("the clock")
        self.troubles = self._troubled.troubles

    async def run(self) -> None:
        """Follow and tick for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(self._log, "the clock", self._take, pause=self._tick))
            tasks.create_task(self._ticking())

    async def _take(self, batch: Sequence[Entry]) -> None:
        changed = {entry.rollout: self._rollouts.take(entry) for entry in batch}
        for rollout, state in changed.items():
            self._look_ahead(rollout, state)

    def _look_ahead(self, rollout: str, state: Rollout | None) -> None:
        self._next.pop(rollout, None)
        try:
            ahead = agenda(state) if state is not None else ()
        except Exception as error:
            self._troubled.fails(rollout, error)
        else:
            self._troubled.begins_anew(rollout)
            self._next |= {rollout: ahead[0].at} if ahead else {}

    async def _ticking(self) -> None:
        while True:
            end_if_cancelled()
            await self.tick()
            await asyncio.sleep(self._tick)

    async def tick(self) -> None:
        """Send everything that is owed now."""
        now = self._now()
        for rollout in [r for r, at in self._next.items() if at <= now]:
            for each in self._owed(rollout, now):
                if self._not_before.get(each.command_id, now) <= now:
                    await self._send(rollout, each, now)

    def _owed(self, rollout: str, now: datetime) -> tuple[Due, ...]:
        state = self._rollouts.get(rollout)
        try:
            owed = due(state, now) if state is not None else ()
        except Exception as error:
            self._troubled.fails(rollout, error)
            return ()
        self._troubled.works(rollout)
        return owed

    async def _send(self, rollout: str, each: Due, now: datetime) -> None:
        try:
            reply = await self._ask(Request(rollout, each.command_id, CLOCK, each.command))
        except Exception as error:
            self._not_before[each.command_id] = now + PATIENCE
            self._troubled.fails(rollout, error, each.command_id)
            return
        self._troubled.works(rollout, each.command_id)
        if isinstance(reply, Refusal):
            self._not_before[each.command_id] = now + PATIENCE
            logger.info("%s: not %s: %s", rollout, each.what, "; ".join(reply.reasons))
        else:
            self._not_before.pop(each.command_id, None)
