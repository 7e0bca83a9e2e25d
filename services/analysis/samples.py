"""Answers and readings become samples and values.

One rule: a look without a value is a sample without good data, never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from events.plan.numbers import shown
from events.plan.schema import Criterion, Quantity
from events.readings import Reading
from projections.windows import fold, windows
from services.analysis.judging import Bad, Sample, bad, judged, quiet, value_of
from services.analysis.prometheus import Answer, NoAnswer
from services.rollout import criteria

MOST_KINDS = 20  # values of a label listed


def sample_of(
    one: Criterion, answer: Answer | NoAnswer, old: Bad | None, there: Answer | NoAnswer | None, at: datetime
) -> Sample:
    value = value_of(answer)
    empty = isinstance(value, Bad) and value.verdict == "inconclusive"
    if isinstance(value, Bad) and not (empty and old is not None and "old" in old.why):
        return bad(at, value)
    if old is not None:
        return bad(at, old)
    if there is not None and one.traffic_at_least is not None and (few := quiet(there, one.traffic_at_least)):
        return bad(at, few)
    assert not isinstance(value, Bad)
    return judged(one, value, at)


def other_unit(one: Criterion, readings: Sequence[Reading]) -> Bad | None:
    """Whether a reading is in another unit than the limits, or, where there are none, than the other readings. A bare
    number is taken to be in the criterion's unit already."""
    units = {reading.unit for reading in readings if reading.value is not None}
    expected = criteria.unit_of(one)
    other = sorted(units - {"", expected})
    if criteria.has_limit(one):
        wrong = f"in {other[0]!r}, the criterion in {_unit(expected)}" if other else ""
    else:
        wrong = f"in {' and '.join(_unit(unit) for unit in sorted(units))}: expected one unit" if len(units) > 1 else ""
    return Bad("error", f"the reading {one.reading!r} is measured {wrong}") if wrong else None


def _unit(unit: str) -> str:
    return repr(unit) if unit else "no unit"


def folded(one: Criterion, readings: Sequence[Reading], since: datetime) -> float | None:
    """The readings' value: of the whole span, or of the window (`per`) that is worst for the limit."""
    points = [(reading.at.timestamp(), reading.value) for reading in readings if reading.value is not None]
    if not points:
        return None
    if not one.per_seconds:
        return fold([value for _, value in points], one.take)
    found = [value for _, value in windows(points, one.per_seconds, one.take, since.timestamp())]
    lower = one.below is None and one.at_most is None and (one.above or one.at_least) is not None
    return (min(found) if lower else max(found)) if found else None


def samples_of(
    one: Criterion, answers: Sequence[Answer], begin: datetime, until: datetime, step: float
) -> list[Sample]:
    """One sample for each look of a range; a look without a value is a sample without good data."""
    for answer in answers:
        if len(answer.series) > 1 or answer.warnings:
            wrong = value_of(answer)
            assert isinstance(wrong, Bad) or not answer.warnings
            if isinstance(wrong, Bad):
                return [bad(until, wrong)]
    points = {at: value for answer in answers for series in answer.series for at, value in series.points}
    samples = []
    for n in range(int((until - begin).total_seconds() // step) + 1):
        at = begin + timedelta(seconds=n * step)
        value = points.get(round(at.timestamp(), 3))
        samples.append(_look(one, at, value))
    return samples


def _look(one: Criterion, at: datetime, value: float | None) -> Sample:
    if value is None:
        return bad(at, Bad("inconclusive", "the query found no data: nothing answers to it"))
    return judged(one, value, at) if abs(value) < float("inf") else bad(at, Bad("error", f"the value is {value}"))


def listed(answer: Answer | NoAnswer, by: str) -> str | Bad:
    """Every series by the value of a label, the largest first."""
    if isinstance(answer, NoAnswer):
        return Bad("error", str(answer))
    counts: dict[str, float] = {}
    for series in answer.series:
        value = series.points[-1][1] if series.points else 0.0
        if not abs(value) < float("inf"):
            return Bad("error", f"the value of {series.labels.get(by, 'a series')!r} is {value}")
        name = series.labels.get(by, "unnamed")
        counts[name] = counts.get(name, 0.0) + value
    return counted(counts) if counts else Bad("inconclusive", "the query found no data: nothing answers to it")


def counted(counts: dict[str, float]) -> str:
    largest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(largest) - MOST_KINDS} more" if len(largest) > MOST_KINDS else ""
    return ", ".join(f"{name}: {shown(Quantity(value))}" for name, value in largest[:MOST_KINDS]) + more
