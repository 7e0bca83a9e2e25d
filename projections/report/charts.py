"""Criteria and KPIs over time, with the limits they are held against.

One rule: a chart shows what the log holds, as it was judged then, and the same values stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from events import facts as f
from events.plan.numbers import shown
from events.plan.schema import Criterion, Quantity
from events.plan.words import quantity as read_quantity
from projections.kpis import limits, target
from projections.report.before import step_words
from projections.report.document import Block, Cell, Chart, Grid, Point
from projections.report.writing import Pen

FEWEST = 2  # points below which a chart says no more than its one value
MOST = 200  # points in a chart and lines in its table; the latest are shown


def of_step(pen: Pen, step: str, names: Iterable[str]) -> list[Block]:
    """A chart for each criterion of a step that has been judged more than once, over all tries."""
    found = []
    for name in names:
        points = [
            Point(
                each.fact.until,
                pen.day(each.fact.until),
                each.fact.value.value,
                each.fact.verdict,
                each.at.revision,
            )
            for each in pen.history.of(f.VerdictRecorded)
            if each.fact.criterion == name and each.fact.step == step and each.fact.value is not None
        ]
        units = [
            each.fact.value.unit
            for each in pen.history.of(f.VerdictRecorded)
            if each.fact.criterion == name and each.fact.value is not None
        ]
        if len(points) >= FEWEST:
            title = f"{name} in {step_words(pen, step)}"
            found.append(chart(pen, title, pen.plan.criteria.get(name), points, units[-1]))
    return list(found)


def of_kpis(pen: Pen) -> tuple[Block, ...]:
    """A chart for each KPI with a number in more than one set of results."""
    found = []
    for kpi in pen.plan.go_live.kpis:
        points, unit = [], ""
        for after in pen.plan.go_live.results_after:
            recorded = [
                each
                for each in pen.history.of(f.ResultRecorded)
                if (each.fact.step, each.fact.item) == (after.text, kpi.name)
                and each.at.revision >= pen.history.starts(after.text)
            ]
            value = _number(recorded[-1].fact.value) if recorded else None
            if value is None or pen.history.released is None:
                continue
            at = pen.history.released.when + timedelta(seconds=after.seconds)
            points.append(Point(at, pen.day(at), value.value, recorded[-1].fact.verdict, recorded[-1].at.revision))
            unit = value.unit
        if len(points) >= FEWEST:
            found.append(chart(pen, kpi.name, kpi, points, unit))
    return tuple(found)


def chart(pen: Pen, title: str, criterion: Criterion | None, points: list[Point], unit: str) -> Chart:
    """The chart of these values, with the same in words and in a table."""
    points = points[-MOST:]
    lowest, highest = min(p.value for p in points), max(p.value for p in points)
    words = target(criterion) if criterion else ""
    failed = sum(p.verdict == "fail" for p in points)
    summary = f"{len(points)} values from {pen.day(points[0].at)} to {pen.day(points[-1].at)}, between "
    summary += f"{shown(Quantity(lowest, unit))} and {shown(Quantity(highest, unit))}"
    summary += f"; should be {words}; {failed or 'none'} of them failed" if words else ""
    rows = tuple(
        (
            Cell(pen.time(p.at)),
            Cell(shown(Quantity(p.value, unit))),
            Cell(p.verdict or "not judged"),
            Cell("", revisions=(p.revision,)),
        )
        for p in points
    )
    grid = Grid(f"{title}: values", ("When", "Value", "Verdict", "Record"), rows)
    return Chart(title, f"{summary}.", tuple(points), tuple(limits(criterion)) if criterion else (), unit, grid)


def _number(text: str) -> Quantity | None:
    try:
        return read_quantity(text)
    except ValueError:
        return None
