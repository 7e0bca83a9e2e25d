"""The back-test: a plan's criteria over a past that is known, as if a step had begun at its start.

One rule: the same samples and the same judgement as the monitor's; only where a growing SPAN cannot be asked in one
range is it looked at less often, and then every change is narrowed down to the resolution by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from events.facts import Band, UtcTime, Verdict
from events.plan.measuring import measured
from events.plan.schema import Criterion
from services.analysis import promql
from services.analysis.judging import Sample, over_samples
from services.analysis.lint import lint
from services.analysis.measure import Measurer
from services.analysis.prometheus import Answer, NoAnswer, Series
from services.analysis.samples import samples_of
from services.rollout.criteria import Judged

LOOKS = 48  # at a query whose SPAN grows, over the whole time
MOST_CHANGES = 12  # narrowed down, of one criterion

Progress = Callable[[str, float], None]
"""Told the criterion's name and the share of it that is through."""


class Change(Struct, frozen=True, omit_defaults=True):
    """From `at` on the verdict would have been this one."""

    at: UtcTime
    verdict: Verdict
    why: str
    band: Band = ""


class Tested(Struct, frozen=True, omit_defaults=True):
    """One criterion: when it would have changed its mind, what a promotion at the end would have found, doubts."""

    criterion: str
    query: str
    changes: tuple[Change, ...]
    verdict: Verdict
    why: str
    looks: int = 0
    resolution: float = 0.0
    doubts: tuple[str, ...] = ()


def testable(one: Criterion) -> bool:
    """Whether a past can be asked: published readings are kept elsewhere."""
    return measured(one) in ("query", "count")


async def back_test(
    measurer: Measurer, one: Criterion, begin: datetime, end: datetime, step: float, done: Progress
) -> Tested:
    """One criterion from `begin` to `end`, looked at every `step` seconds."""

    def told(share: float) -> None:
        done(one.name, share)

    query, resolution = promql.query_of(one), step
    whole = promql.over_time(query)
    if whole is not None or not promql.has_span(query):
        samples = await _by_range(measurer, one, begin, end, step, told)
    else:
        samples = await _by_looks(measurer, one, begin, end, step, told)
    changes = tuple(_changes(one, samples))
    final = await measurer.over(one, "", begin, end)
    told(1.0)
    last = final.judged
    return Tested(one.name, query, changes, last.verdict, last.why, len(samples), resolution, lint(one))


def _changes(one: Criterion, samples: Sequence[Sample]) -> Iterator[Change]:
    """What the monitor would have told, from first to last."""
    known: Judged | None = None
    recent: list[Sample] = []
    for sample in samples:
        recent.append(sample)
        if len(recent) > 2 * max(one.breaches_of, one.errors_in_a_row + 1):
            del recent[0]
        found = over_samples(one, recent)
        if found is not None and (known is None or (found.verdict, found.band) != (known.verdict, known.band)):
            known = found
            yield Change(sample.at, found.verdict, found.why, found.band)


async def _by_range(
    measurer: Measurer, one: Criterion, begin: datetime, end: datetime, step: float, told: Callable[[float], None]
) -> list[Sample]:
    """Ranges in chunks. Of `max_over_time(inner[SPAN:..])` the inner query is asked, and its extreme kept."""
    query = promql.query_of(one)
    whole = promql.over_time(query)
    asked = whole[1] if whole else query
    first = begin + timedelta(seconds=promql.reach(query))
    if first >= end:
        return []
    answers = await measurer.points(asked, first.timestamp(), end.timestamp(), step, told)
    if isinstance(answers, NoAnswer):
        return [Sample(end, Judged("error", "", str(answers)), good=False)]
    if whole:
        answers = _running(answers, whole[0])
    return samples_of(one, answers, first, end, step)


def _running(answers: Sequence[Answer], way: str) -> list[Answer]:
    """The points of one series as what `way` over all points so far comes to."""
    held, count = 0.0, 0
    found: list[Answer] = []
    for answer in answers:
        if len(answer.series) != 1:
            found.append(answer)
            continue
        points = []
        for at, value in answer.series[0].points:
            count += 1
            held = {
                "max": max(held, value) if count > 1 else value,
                "min": min(held, value) if count > 1 else value,
                "sum": held + value,
                "avg": held + (value - held) / count,
                "count": float(count),
            }[way]
            points.append((at, held))
        found.append(Answer((Series(answer.series[0].labels, tuple(points)),), answer.warnings, answer.body))
    return found


async def _by_looks(
    measurer: Measurer, one: Criterion, begin: datetime, end: datetime, step: float, told: Callable[[float], None]
) -> list[Sample]:
    """A SPAN that grows with time is one question a look; changes between two looks are found by halving."""
    seconds = (end - begin).total_seconds()
    looks = max(1, min(LOOKS, int(seconds // step)))
    samples: list[Sample] = []
    changes = 0
    for n in range(1, looks + 1):
        at = begin + timedelta(seconds=seconds * n / looks)
        sample = await _look(measurer, one, begin, at)
        before = samples[-1] if samples else None
        if before is not None and _differs(before, sample) and changes < MOST_CHANGES:
            changes += 1
            samples += await _between(measurer, one, begin, before, sample, step)
        samples.append(sample)
        told(n / looks * 0.98)
    return samples


async def _between(
    measurer: Measurer, one: Criterion, begin: datetime, before: Sample, after: Sample, step: float
) -> list[Sample]:
    """The last look that was as before and the first that was not, to the resolution."""
    low, high = before, after
    while (high.at - low.at).total_seconds() > step:
        middle = await _look(measurer, one, begin, low.at + (high.at - low.at) / 2)
        if _differs(before, middle):
            high = middle
        else:
            low = middle
    return [sample for sample in (low, high) if before.at < sample.at < after.at]


async def _look(measurer: Measurer, one: Criterion, begin: datetime, at: datetime) -> Sample:
    at = datetime.fromtimestamp(int(at.timestamp()), UTC)
    taken = await measurer.now(one, "", begin, at)
    return Sample(at, taken.judged, taken.good)


def _differs(one: Sample, other: Sample) -> bool:
    return (one.judged.verdict, one.judged.band) != (other.judged.verdict, other.judged.band)
