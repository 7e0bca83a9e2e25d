"""What is wrong or doubtful in the limits of criteria and KPIs.

One rule: a limit that looks written the wrong way round is asked about, never turned round.
"""

from __future__ import annotations

import re

from events.plan.findings import Finding, Findings
from events.plan.gaps import Path
from events.plan.measuring import measured, measuring
from events.plan.numbers import number
from events.plan.schema import Criterion, Plan

_HARM = re.compile(
    r"\b(errors?|failures?|failed|latency|abandon\w*|crash\w*|timeouts?|alerts?|bounce|drop.?off|complaints?|calls|5xx"
    r"|load times?)\b",
    re.IGNORECASE,
)
_GOOD = re.compile(
    r"\b(success\w*|completion|completed|uptime|availability|satisfaction|adoption|unique users|conversions?)\b",
    re.IGNORECASE,
)
_LIMIT_IN_WORDS = re.compile(
    r"(?:[<>≤≥]|\b(?:less|more|fewer|greater|lower|higher) than|\bat (?:least|most)|\bno more than|\bunder|\bover"
    r"|\bbelow|\babove)\s*=?\s*\d",
    re.IGNORECASE,
)


def limits(plan: Plan) -> Findings:
    """Contradictions are errors; what looks the wrong way round is asked."""
    for name, criterion in plan.criteria.items():
        yield from _limit(("criteria", name), criterion)
    for n, kpi in enumerate(plan.go_live.kpis):
        yield from _limit(("go_live", "kpis", n), kpi)
    names = [kpi.name for kpi in plan.go_live.kpis]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding("error", ("go_live", "kpis"), f"'{name}' is named twice")


def _limit(path: Path, one: Criterion) -> Findings:
    yield from _contradictions(path, one)
    yield from _doubts(path, one)
    yield from measuring(path, one)


def _contradictions(path: Path, one: Criterion) -> Findings:
    """Limits that cannot be meant."""
    upper, lower = one.below or one.at_most, one.above or one.at_least
    if one.then and not (one.stop_above or one.stop_below):
        yield Finding("error", (*path, "then"), f"'{one.then}' needs stop_above: or stop_below: to say when")
    if (one.below and one.at_most) or (one.above and one.at_least):
        yield Finding("error", path, "has the same limit twice, once including and once excluding the number")
    if len({q.unit for q in (upper, lower, one.stop_above, one.stop_below) if q and q.value}) > 1:
        yield Finding("error", path, "mixes units in its limits")
        return
    if upper and lower and lower.value > upper.value:
        yield Finding("error", path, f"can never pass: above {number(lower.value)} and below {number(upper.value)}")
    top = upper or (one.between[1] if one.between else None)
    bottom = lower or (one.between[0] if one.between else None)
    if top and one.stop_above and one.stop_above.value < top.value:
        yield Finding("error", (*path, "stop_above"), f"would stop at values that pass (up to {number(top.value)})")
    if bottom and one.stop_below and one.stop_below.value > bottom.value:
        yield Finding("error", (*path, "stop_below"), f"would stop at values that pass (from {number(bottom.value)})")


def _doubts(path: Path, one: Criterion) -> Findings:
    """What may be meant, and is worth a question."""
    upper, lower = one.below or one.at_most, one.above or one.at_least
    limited = upper or lower or one.between or one.expect or one.trend
    about = f"{one.name} {one.text}"
    harm, good = _HARM.search(about), _GOOD.search(about)
    if ((lower and not upper and harm and not good) or (upper and not lower and good and not harm)) and not one.asked:
        yield Finding(
            "question",
            path,
            f"passes when the value is {'high' if lower else 'low'}: is that the right way round? "
            "Turn it round, or write asked: true",
        )
    if (one.stop_above or one.stop_below) and not one.then:
        yield Finding("warning", path, "stops nothing by itself: add then: halt or then: roll back, if that is meant")
    if one.trend and not one.baseline and not (one.than and one.tolerance):
        yield Finding("warning", path, "has a trend without than: and tolerance:, so a person judges it")
    if measured(one) and not limited:
        yield Finding("warning", path, f"has a {measured(one)} but no limit: its value is recorded and never blocks")
    if limited or measured(one):
        return
    if _LIMIT_IN_WORDS.search(f"{one.text} {one.name}"):
        yield Finding("question", path, "has a limit in its words only, so a person judges; below:, above: measure it")
    elif path[0] == "criteria":
        yield Finding("warning", path, "has no limit and no query, so a person judges it")
