"""Readings fold into windows: (when, value) pairs, and what a window of them comes to.

One rule: a window ending at t holds what came in (t - length, t]; one that would begin before `since` is not whole,
and is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import fsum

from events.plan.schema import Take

Point = tuple[float, float]
"""Unix seconds and a value."""


def fold(values: Sequence[float], take: Take) -> float:
    """What the values of one window come to; at least one value."""
    ways: dict[Take, Callable[[Sequence[float]], float]] = {
        "": lambda v: v[-1],
        "last": lambda v: v[-1],
        "sum": fsum,
        "largest": max,
        "smallest": min,
        "average": lambda v: fsum(v) / len(v),
    }
    return ways[take](values)


def windows(points: Iterable[Point], length: float, take: Take, since: float = float("-inf")) -> Iterator[Point]:
    """The value of the window ending at each point, where that window is whole. Points in order of time.

    Sums and averages are kept running (whole numbers stay exact), extremes in a deque whose head is the extreme:
    each point is added and removed once, whatever the window's length.
    """
    if take in ("largest", "smallest"):
        yield from _extremes(points, length, since, -1.0 if take == "largest" else 1.0)
        return
    held: deque[Point] = deque()
    total = 0.0
    for at, value in points:
        held.append((at, value))
        total += value
        while held[0][0] <= at - length:
            total -= held.popleft()[1]
        if at - length >= since:
            yield at, {"sum": total, "average": total / len(held)}.get(take, value)


def _extremes(points: Iterable[Point], length: float, since: float, sign: float) -> Iterator[Point]:
    held: deque[Point] = deque()
    for at, value in points:
        while held and sign * held[-1][1] >= sign * value:
            held.pop()
        held.append((at, value))
        while held[0][0] <= at - length:
            held.popleft()
        if at - length >= since:
            yield at, held[0][1]
