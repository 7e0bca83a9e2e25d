"""Where the marks of a chart go: a small drawing of values over time, with their limits.

One rule: geometry only. Shapes tell verdicts apart, so that nothing is said by colour alone.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from events.plan.numbers import number, shown
from events.plan.schema import Quantity
from projections.report.document import Chart, Point

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 16, 30
SIZE = 5.0

Shape = Literal["circle", "diamond", "square"]
Kind = Literal["pass", "fail", "unsure", "plain"]


class Mark(Struct, frozen=True):
    """One value: where it is, and by which shape it is shown. `path` is SVG's, closed."""

    x: float
    y: float
    kind: Kind
    path: str
    words: str


class Rule(Struct, frozen=True):
    """A limit: its height, and its words."""

    y: float
    words: str


class Drawing(Struct, frozen=True):
    """Everything with a place, in units of the view box."""

    marks: tuple[Mark, ...]
    rules: tuple[Rule, ...]
    ticks: tuple[Rule, ...]
    line: str  # points of the line through all values
    first: str
    last: str


def drawn(chart: Chart) -> Drawing:
    """The chart's places. The scale begins at 0, unless that would press all that is to be seen into one line."""
    values = [point.value for point in chart.points] + [limit.value for _, limit in chart.limits]
    least, high = min(values), max(values)
    low = least - max(high - least, high * 0.005) if least > high * 0.8 else min(0.0, least)
    high += (high - low) * 0.15 or 1.0
    begin, end = chart.points[0].at, chart.points[-1].at
    lasts = (end - begin).total_seconds()

    def x(point: Point) -> float:
        share = (point.at - begin).total_seconds() / lasts if lasts > 0 else 0.5
        return round(LEFT + 8 + share * (WIDTH - LEFT - RIGHT - 16), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    marks = tuple(_mark(x(point), y(point.value), point, chart.unit) for point in chart.points)
    rules = tuple(Rule(y(limit.value), words) for words, limit in chart.limits)
    top = max(point.value for point in chart.points)
    ticks = tuple(Rule(y(value), number(float(f"{value:.4g}"))) for value in dict.fromkeys((low, top)))
    line = " ".join(f"{mark.x:g},{mark.y:g}" for mark in marks)
    return Drawing(marks, rules, ticks, line, chart.points[0].day, chart.points[-1].day)


def _mark(x: float, y: float, point: Point, unit: str) -> Mark:
    kind: Kind = "plain" if point.verdict is None else "unsure"
    if point.verdict in ("pass", "fail"):
        kind = point.verdict
    s = SIZE
    paths = {
        "fail": f"M{x:g},{y - s - 1:g} L{x + s + 1:g},{y:g} L{x:g},{y + s + 1:g} L{x - s - 1:g},{y:g} Z",
        "unsure": f"M{x - s:g},{y - s:g} H{x + s:g} V{y + s:g} H{x - s:g} Z",
    }
    round_ = f"M{x - s:g},{y:g} a{s:g},{s:g} 0 1 0 {2 * s:g},0 a{s:g},{s:g} 0 1 0 {-2 * s:g},0 Z"
    return Mark(
        x,
        y,
        kind,
        paths.get(kind, round_),
        f"{point.day}: {shown(Quantity(point.value, unit))}, {point.verdict or 'not judged'}",
    )
