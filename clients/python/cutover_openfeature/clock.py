"""The time to answer for, and since when nothing was heard.

One rule: the time never goes back, whatever the wall clock says; silence is measured by the clock that nobody sets.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

logger = logging.getLogger("cutover.openfeature")

STALE_AFTER = 5.0  # seconds without a new mark
BEHIND = 300.0  # seconds the clock may be behind a kept time before it is said


class Clock:
    """Seconds since 1970 by the wall clock, but for the silence."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.wall = wall
        self.monotonic = monotonic
        self.heard_at = 0.0
        self._heard: float | None = None  # by the monotonic clock; None: not since the start
        self._used = 0.0

    def now(self, at_least: float = 0.0) -> float:
        """The time to answer for: not before one that was answered for, and not before `at_least`."""
        self._used = max(self._used, self.wall(), at_least)
        return self._used

    def heard(self) -> None:
        """There was a sign of life."""
        self._heard, self.heard_at = self.monotonic(), self.wall()

    def hung_up(self) -> None:
        """Nobody listens any more."""
        self._heard = None

    def take_up(self, heard_at: float, used: float) -> None:
        """Go on from what was kept: nothing has been heard since."""
        self._heard, self.heard_at, self._used = None, heard_at, max(self._used, used)
        if (behind := self._used - self.wall()) > BEHIND:
            until = words(self._used)
            logger.warning(
                "the clock is %.0f s behind the kept time: no window opens or closes until %s", behind, until
            )

    def stale_since(self) -> str | None:
        """Since when (ISO 8601) nothing was heard; None: within five seconds something was."""
        if self._heard is not None and self.monotonic() - self._heard < STALE_AFTER:
            return None
        return words(self.heard_at)


def words(at: float) -> str:
    """The time in ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat()
