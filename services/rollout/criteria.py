"""Judging: a criterion and a value give a verdict, a band and the words for it.

One rule: only a finite number inside the limits passes. What is missing, NaN or infinite never does.
"""

from __future__ import annotations

from typing import NamedTuple

from events.facts import Band, Verdict
from events.plan.numbers import shown
from events.plan.schema import Criterion, Quantity
from events.plan.words import quantity

_NO_DATA = ("no data", "nodata", "missing")
_NOT_FINITE = ("nan", "inf", "+inf", "-inf", "infinity", "-infinity")


class Judged(NamedTuple):
    """A verdict, its band (green / yellow / red; waiting: a minimum not reached yet) and why, in words."""

    verdict: Verdict
    band: Band
    why: str
    value: Quantity | None = None


def has_limit(criterion: Criterion) -> bool:
    """Whether a number can be held against this criterion."""
    c = criterion
    limits = (c.below, c.above, c.at_most, c.at_least, c.between, c.stop_above, c.stop_below)
    return any(limit is not None for limit in limits) or (bool(c.trend) and c.than is not None)


def unit_of(criterion: Criterion) -> str:
    """The unit of its limits; "" where they, or it, have none."""
    c = criterion
    limits = (c.below, c.above, c.at_most, c.at_least, c.stop_above, c.stop_below, c.than)
    return next((q.unit for q in (*limits, *(c.between or ())) if q is not None and q.unit), "")


def judge_words(criterion: Criterion, value: str) -> Judged:
    """The verdict on a value as a person writes it ("7", "3.2 s", "no data"). Raises ValueError on other words."""
    plain = value.strip().lower()
    if plain in _NO_DATA:
        return Judged("inconclusive", "", "there is no data")
    if plain in _NOT_FINITE:
        return Judged("error", "", f"{value.strip()} is no finite number")
    if not has_limit(criterion):
        return Judged("pass", "", f"{value.strip()} was recorded; the plan sets no limit")
    return judge(criterion, quantity(value))


def judge(criterion: Criterion, value: Quantity) -> Judged:
    """The verdict on a finite value. Raises ValueError when its unit is not the criterion's."""
    v = _in_unit_of(criterion, value)
    said = shown(v)
    for limit, over in ((criterion.stop_above, True), (criterion.stop_below, False)):
        if limit is not None and (v.value > limit.value if over else v.value < limit.value):
            return Judged("fail", "red", f"{said} is {'above' if over else 'below'} the stop limit {shown(limit)}", v)
    broken, short = _broken(criterion, v), _short(criterion, v)
    if not broken and not short:
        return Judged("pass", "green", f"{said} {_kept(criterion)}", v)
    if criterion.stop_above is not None or criterion.stop_below is not None:
        return Judged("inconclusive", "yellow", f"{said} {(*broken, *short)[0]}, within the stop limit", v)
    if not broken:
        return Judged("inconclusive", "waiting", f"{said} {short[0]} yet", v)
    return Judged("fail", "red", f"{said} {broken[0]}", v)


def _broken(c: Criterion, v: Quantity) -> tuple[str, ...]:
    """The upper limits, ranges and trends that the value does not keep to, in words."""
    found: list[str] = []
    if c.below is not None and not v.value < c.below.value:
        found.append(f"is not below {shown(c.below)}")
    if c.at_most is not None and not v.value <= c.at_most.value:
        found.append(f"is more than {shown(c.at_most)}")
    if c.between is not None and not c.between[0].value <= v.value <= c.between[1].value:
        found.append(f"is not between {shown(c.between[0])} and {shown(c.between[1])}")
    if c.trend and c.than is not None and not _follows(c, v, c.than):
        found.append(f"is not {c.trend} than {shown(c.than)}")
    return tuple(found)


def _short(c: Criterion, v: Quantity) -> tuple[str, ...]:
    """The minimums not reached: something to wait for, never a breach."""
    found: list[str] = []
    if c.at_least is not None and not v.value >= c.at_least.value:
        found.append(f"is not at least {shown(c.at_least)}")
    if c.above is not None and not v.value > c.above.value:
        found.append(f"is not above {shown(c.above)}")
    return tuple(found)


def _follows(c: Criterion, v: Quantity, than: Quantity) -> bool:
    """Whether the value moves as the trend says, within the tolerance (percent of the baseline, or absolute)."""
    slack = 0.0
    if c.tolerance is not None:
        slack = abs(than.value) * c.tolerance.value / 100 if c.tolerance.unit == "%" else c.tolerance.value
    return {
        "no higher": v.value <= than.value + slack,
        "no lower": v.value >= than.value - slack,
        "higher": v.value > than.value - slack,
        "lower": v.value < than.value + slack,
        "": True,
    }[c.trend]


def _in_unit_of(criterion: Criterion, value: Quantity) -> Quantity:
    """The value in the criterion's unit; a bare number is taken to be in it already."""
    unit = unit_of(criterion)
    if not unit or value.unit == unit:
        return value
    if value.unit:
        raise ValueError(f"{criterion.name!r} is measured in {unit!r}, found {shown(value)!r}")
    return Quantity(value.value, unit)


def _kept(c: Criterion) -> str:
    return f"keeps to {target(c)}"


def target(c: Criterion) -> str:
    """The limits of a criterion in words: "below 10 per any 10 minutes"."""
    named = (("below", c.below), ("above", c.above), ("at most", c.at_most), ("at least", c.at_least))
    parts = [f"{word} {shown(q)}" for word, q in named if q is not None]
    if c.between is not None:
        parts.append(f"between {shown(c.between[0])} and {shown(c.between[1])}")
    if c.trend:
        parts.append(c.trend + (f" than {shown(c.than)}" if c.than is not None else ""))
    if c.expect:
        parts.append(f"expected {c.expect}")
    words = " and ".join(parts) or c.text
    return f"{words} per {c.per}" if c.per and parts else words
