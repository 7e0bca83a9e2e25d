"""Sliding windows against a naive version of themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plan.schema import Take
from projections.windows import Point, fold, windows

TAKES: tuple[Take, ...] = ("", "last", "sum", "largest", "smallest", "average")
POINTS = st.lists(st.tuples(st.integers(0, 500), st.integers(-50, 50)), max_size=60).map(
    lambda pairs: [(float(at), float(value)) for at, value in sorted(pairs, key=lambda pair: pair[0])]
)


def naive(points: list[Point], length: float, take: Take, since: float) -> list[Point]:
    """Every window looked at whole, at its last point."""
    found = []
    for n, (at, _) in enumerate(points):
        inside = [value for when, value in points[: n + 1] if when > at - length]
        if at - length >= since:
            found.append((at, fold(inside, take)))
    return found


@given(POINTS, st.integers(1, 200), st.sampled_from(TAKES), st.integers(-100, 300))
def test_sliding_windows_are_what_looking_at_each_window_gives(
    points: list[Point], length: int, take: Take, since: int
) -> None:
    found, expected = list(windows(points, length, take, since)), naive(points, length, take, since)
    assert [at for at, _ in found] == [at for at, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected])


@given(POINTS.filter(bool), st.integers(1, 200))
def test_sums_of_whole_numbers_are_exact(points: list[Point], length: int) -> None:
    assert list(windows(points, length, "sum")) == naive(points, length, "sum", -math.inf)


def test_a_window_that_would_begin_before_is_left_out() -> None:
    points = [(0.0, 9.0), (300.0, 1.0), (600.0, 1.0), (900.0, 1.0)]
    assert list(windows(points, 600, "sum", since=0)) == [(600.0, 2.0), (900.0, 2.0)]


def test_a_million_samples_slide_in_a_few_seconds() -> None:
    points = ((n * 15.0, float(n % 7)) for n in range(1_000_000))
    assert max(value for _, value in windows(points, 600, "sum")) == 125
