"""A clock that can be set forward.

One rule: it runs like any clock and only ever jumps ahead.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class ImaginedClock:
    """Call it for the imagined time, in UTC."""

    def __init__(self, start: datetime) -> None:
        self._ahead = start.astimezone(UTC) - _wall()

    def __call__(self) -> datetime:
        return _wall() + self._ahead

    def jump(self, to: datetime) -> None:
        """Set it to `to`, unless that is already past."""
        self._ahead += max(timedelta(0), to - self())


def _wall() -> datetime:
    """Time that nobody sets back: the monotonic clock, counted from the epoch."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time.monotonic())
