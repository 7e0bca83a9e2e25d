"""Following the log for ever: what the clock, the monitor and the herald have in common.

One rule: a batch is taken whole before the next one is asked for, so after trouble it goes on where it was. A log that
is away is waited for, and that is said once, not at every try. Trouble with one rollout is no other's trouble.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from services.ending import end_if_cancelled
from services.engine.hot import Hot
from services.log.protocol import Entry, Log, LogError
from services.rollout.state import Rollout

logger = logging.getLogger("cutover.following")

PAUSE = 0.2  # seconds before the log is tried again

Take = Callable[[Sequence[Entry]], Awaitable[None]]


async def follow(log: Log, who: str, take: Take, *, after: int = 0, pause: float = PAUSE) -> None:
    """Give every batch of the log above `after` to `take`, until cancelled. `who` stands in the warning."""
    position, trouble = after, ""
    while True:
        end_if_cancelled()
        try:
            async for batch in log.follow(position):
                await take(batch)
                position, trouble = batch[-1].revision, ""
                end_if_cancelled()
        except LogError as error:
            if str(error) != trouble:
                logger.warning("%s lost the log at revision %d: %s", who, position, error)
            trouble = str(error)
            await asyncio.sleep(pause)


class Troubled:
    """The rollouts at which a follower fails, each trouble said once; the others go on."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._known: dict[tuple[str, str], str] = {}

    def fails(self, rollout: str, error: Exception, at: str = "") -> None:
        """It failed at this part (`at`) of a rollout. Called while the error is handled."""
        words = f"{self._who} fails at rollout {rollout}: {type(error).__name__}: {error}"[:500]
        if self._known.get((rollout, at)) != words:
            logger.exception(words)
        self._known[rollout, at] = words

    def works(self, rollout: str, at: str = "") -> None:
        """It did not fail there this time."""
        self._known.pop((rollout, at), None)

    def begins_anew(self, rollout: str) -> None:
        """It can be followed, and has changed: what failed before may not be asked any more."""
        for key in [key for key in self._known if key[0] == rollout]:
            del self._known[key]

    def troubles(self) -> tuple[str, ...]:
        """In words, for people: no reason not to be ready for the other rollouts."""
        return tuple(dict.fromkeys(self._known.values()))


class Followed:
    """Every rollout as far as the log was followed. Command ids are not kept."""

    def __init__(self) -> None:
        self._held: dict[str, Hot] = {}

    def take(self, entry: Entry) -> Rollout | None:
        """Fold one more record; the rollout after it. None: its chain is broken, and it is others' to report."""
        hot = self._held.get(entry.rollout) or self._held.setdefault(entry.rollout, Hot(entry.rollout))
        hot.take(entry)
        hot.accepted.clear()
        return None if hot.stopped else hot.rollout

    def get(self, rollout: str) -> Rollout | None:
        """The rollout of this id, as of its last record that could be read; None: nothing of it is known."""
        hot = self._held.get(rollout)
        return hot.rollout if hot is not None else None

    def ids(self) -> tuple[str, ...]:
        """Of all rollouts, in the order of their first records."""
        return tuple(self._held)
