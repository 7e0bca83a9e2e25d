"""Judging what was measured: answers -> one sample -> a verdict over several samples.

One rule: only a finite number of exactly one series, fresh, without warnings and with enough traffic, is good data;
each kind of bad data has its own words, and none of them passes. The limits themselves are held in
services/rollout/criteria.py and nowhere else. Pure.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from events.facts import Verdict
from events.plan.numbers import number, shown
from events.plan.schema import Criterion, Quantity
from services.analysis.prometheus import Answer, NoAnswer
from services.rollout import criteria
from services.rollout.criteria import Judged

SHOWN_SERIES = 3
SHOWN_WARNING = 200


class Bad(NamedTuple):
    """Why there is no value: `inconclusive` when data is missing, `error` when something is wrong."""

    verdict: Verdict
    why: str


class Sample(NamedTuple):
    """One measurement, judged by itself. `good`: it rests on good data."""

    at: datetime
    judged: Judged
    good: bool


def bad(at: datetime, why: Bad) -> Sample:
    """A measurement that gave no good data."""
    return Sample(at, Judged(why.verdict, "", why.why), good=False)


def value_of(answer: Answer | NoAnswer, what: str = "the query") -> float | Bad:
    """The one finite number that an instant answer holds, or why there is none."""
    if isinstance(answer, NoAnswer):
        return Bad("error", str(answer))
    if not answer.series or not answer.series[0].points:
        return Bad("inconclusive", f"{what} found no data: nothing answers to it")
    if len(answer.series) > 1:
        return Bad("error", f"{what} gives {len(answer.series)} series, expected exactly one: {_named(answer)}")
    value = answer.series[0].points[-1][1]
    if not math.isfinite(value):
        return Bad("error", f"{what} gives {_not_finite(value)}")
    if answer.warnings:
        return Bad("error", f"Prometheus warns about {what}: {'; '.join(answer.warnings)[:SHOWN_WARNING]}")
    return value


def _named(answer: Answer) -> str:
    """The first series by their labels."""
    names = [", ".join(f"{k}={v}" for k, v in s.labels.items()) or "no labels" for s in answer.series]
    more = f" and {len(names) - SHOWN_SERIES} more" if len(names) > SHOWN_SERIES else ""
    return " / ".join(f"{{{name}}}" for name in names[:SHOWN_SERIES]) + more + "; add sum() or max() around it"


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN, which is no number: most often nothing was divided by nothing"
    return f"{'+' if value > 0 else '-'}Inf, which is no finite number: something was divided by nothing"


def stale(newest: datetime | None, at: datetime, fresh: int) -> Bad | None:
    """Whether the newest sample is too old to say anything about now."""
    if newest is None:
        return Bad("inconclusive", f"there is no sample of it in the last {_span(timedelta(seconds=fresh))}")
    age = at - newest
    if age > timedelta(seconds=fresh):
        text = f"its newest sample is {_span(age)} old; at most {_span(timedelta(seconds=fresh))} is fresh"
        return Bad("inconclusive", text)
    return None


def quiet(traffic: Answer | NoAnswer, floor: Quantity) -> Bad | None:
    """Whether too few were there for the value to mean anything."""
    value = value_of(traffic, "the traffic query")
    if isinstance(value, Bad):
        return value
    if value < floor.value:
        least = number(floor.value)
        return Bad("inconclusive", f"there is too little traffic to judge: {number(value)}, at least {least} is needed")
    return None


def not_yet(at: datetime, since: datetime, window: int) -> Bad:
    """A window that would reach back before the step began."""
    whole, length = since + timedelta(seconds=window), _span(timedelta(seconds=window))
    return Bad("inconclusive", f"the first {length} since the step began are over at {whole:%Y-%m-%d %H:%M:%S} UTC")


def unseen(criterion: Criterion, looks: Sequence[Sample], since: datetime) -> Bad | None:
    """The first time without data that is longer than the plan bears: `errors_in_a_row` times `every`, or, where looks
    are rarer, two of them. A look that finds nothing says so of the `fresh` before it."""
    wrong = [look.judged for look in looks if look.judged.verdict == "error"]
    if wrong:
        return Bad("error", wrong[0].why)
    bears = timedelta(seconds=criterion.errors_in_a_row * criterion.every)
    for good, run in groupby(looks, key=lambda look: look.good):
        times = [look.at for look in run]
        if not good and times[-1] - times[0] >= bears:
            begin = max(since, times[0] - timedelta(seconds=criterion.fresh))
            text = f"there is no data from {begin:%Y-%m-%d %H:%M:%S} to {times[-1]:%Y-%m-%d %H:%M:%S} UTC"
            return Bad("inconclusive", text)
    return None


def judged(criterion: Criterion, value: float, at: datetime, unit: str = "") -> Sample:
    """A good value in the criterion's unit, held against the limits. Without a limit it is recorded and passes."""
    found = Quantity(value, unit)
    if not criteria.has_limit(criterion):
        why = f"{shown(found)} was measured; the plan sets no limit"
        return Sample(at, Judged("pass", "", why, found), good=True)
    return Sample(at, criteria.judge(criterion, found), good=True)


def over_samples(criterion: Criterion, samples: Sequence[Sample]) -> Judged | None:
    """What the samples so far (oldest first) come to now; None: nothing new, too little good data in a row.

    `fail` needs `breaches_needed` of the last `breaches_of` good samples; more samples in a row without good data
    than `errors_in_a_row` are that error.
    """
    if not samples:
        return None
    good = [sample.judged for sample in samples if sample.good][-criterion.breaches_of :]
    return _found(criterion, good, _bad_run(samples), samples[-1])


def _found(criterion: Criterion, good: Sequence[Judged], run: int, last: Sample) -> Judged | None:
    """From the last good samples, how many bad ones came in a row since, and the last of all."""
    if run > criterion.errors_in_a_row:
        times = f" ({run} measurements in a row)" if run > 1 else ""
        return Judged(last.judged.verdict, "", last.judged.why + times)
    if not good or run:
        return None
    return _confirmed(criterion, good)


def _bad_run(samples: Sequence[Sample]) -> int:
    run = 0
    for sample in reversed(samples):
        if sample.good:
            break
        run += 1
    return run


def _confirmed(criterion: Criterion, good: Sequence[Judged]) -> Judged:
    """The last good sample's verdict, but for breaches that are not confirmed yet, or still stand."""
    broken = [judged for judged in good if judged.verdict == "fail"]
    needed, of = criterion.breaches_needed, criterion.breaches_of
    count = f"{len(broken)} of the last {of} measurements broke the limit; {needed} are needed"
    if len(broken) >= needed:
        return broken[-1] if of == 1 else broken[-1]._replace(why=f"{broken[-1].why}; {count}")
    if good[-1].verdict == "fail":
        return good[-1]._replace(verdict="inconclusive", band="waiting", why=f"{good[-1].why}; {count}")
    return good[-1]


def over_span(criterion: Criterion, samples: Sequence[Sample]) -> Judged:
    """What a whole span of samples comes to: fail if it was to be called failed at any moment, then errors, then the
    last good sample."""
    if not samples:
        return Judged("inconclusive", "", "there is no data in the whole span")
    good: deque[Judged] = deque(maxlen=criterion.breaches_of)
    run, errors = 0, samples[-1].judged
    failing_to_measure = not samples[-1].good
    for sample in samples:
        run = 0 if sample.good else run + 1
        if sample.good:
            good.append(sample.judged)
        found = _found(criterion, good, run, sample)
        if found is not None and found.verdict == "fail":
            return found._replace(why=f"{found.why}, at {sample.at:%Y-%m-%d %H:%M:%S} UTC")
        if found is not None and run:
            errors, failing_to_measure = found, True
    return errors if failing_to_measure else _confirmed(criterion, good)


def _span(length: timedelta) -> str:
    """ "5 minutes", "1 hour", "90 seconds"."""
    seconds = round(length.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and (seconds % size == 0 or seconds >= 10 * size):
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
