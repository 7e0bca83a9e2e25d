"""The clocks of the demo: an imagined one that can be set forward, and the wall's.

One rule: each runs like any clock, and `jump` ends when it shows the time asked for.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.cli.times import local, span


class Clock(Protocol):
    """What a demo needs of a clock; calling it gives the time in UTC."""

    def __call__(self) -> datetime: ...

    def jump(self, to: datetime) -> None: ...

    def moves(self, to: datetime, zone: str) -> str:
        """What the narrator says of a jump that is about to come."""


class ImaginedClock:
    """Call it for the imagined time, in UTC."""

    def __init__(self, start: datetime) -> None:
        self._ahead = start.astimezone(UTC) - _wall()

    def __call__(self) -> datetime:
        return _wall() + self._ahead

    def jump(self, to: datetime) -> None:
        """Set it to `to`, unless that is already past."""
        self._ahead += max(timedelta(0), to - self())

    def moves(self, to: datetime, zone: str) -> str:
        return f"The clock moves on to {local(max(to, self()), zone)}"


class WallClock:
    """The time that everybody has. A jump is a wait."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def jump(self, to: datetime) -> None:
        time.sleep(max(0.0, (to - self()).total_seconds()))

    def moves(self, to: datetime, zone: str) -> str:
        return f"{span(to - self()).capitalize()} of waiting, to {to:%H:%M:%S} {zone}"


def _wall() -> datetime:
    """Time that nobody sets back: the monotonic clock, counted from the epoch."""
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=time.monotonic())
