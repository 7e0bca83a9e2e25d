"""What was measured becomes facts, in the same record as the decision that rests on it.

One rule: a measurement counts only for the step, as it was entered, that it was made in; it never reaches back
before that step began. A person's word on a result stands beside it untouched.
"""

from __future__ import annotations

from datetime import timedelta

from events import facts as f
from events.facts import Fact
from events.plan.numbers import shown
from events.plan.schema import Criterion
from services.rollout import commands as c
from services.rollout import steps
from services.rollout.asked import Asked
from services.rollout.guards.blocker import Blocker
from services.rollout.measured import Measured, Measurement
from services.rollout.refusals import Refused, refuse
from services.rollout.state import Rollout, Stamp, evolve

PROMOTIONS = (c.StartTesting, c.CutOver, c.Advance, c.GoLive)
_AHEAD = timedelta(seconds=5)  # how far the clocks of monitor and engine may differ


def with_measurements(asked: Asked) -> tuple[tuple[Fact, ...], Asked]:
    """The facts of what was measured for a promotion, and what is asked on the rollout with them in it."""
    rollout, measured = asked.rollout, asked.around.measured
    if measured is None:
        return (), asked
    if (measured.of, measured.began) != (steps.current_step(rollout), rollout.step_ordinal):
        raise refuse("the rollout moved on while its criteria were being measured: look again", code="changed")
    found = measured_facts(rollout, measured)
    return found, asked._replace(rollout=folded(asked, found))


def measured_facts(rollout: Rollout, measured: Measured) -> tuple[Fact, ...]:
    """A verdict for each criterion, a value for each KPI and result that has one and that no person recorded."""
    verdicts = [verdict(measured.of, m) for m in measured.of_kind("criterion")]
    values = [m for m in measured.of_kind("kpi", "result") if _new(rollout, measured.of, m)]
    return (*verdicts, *(_result(measured.of, m) for m in values))


def verdict(step: str, m: Measurement) -> f.VerdictRecorded:
    """The fact that a criterion was measured."""
    return f.VerdictRecorded(m.item, step, m.verdict, m.band, m.why, m.since, m.until, m.value, measured=True)


def words(m: Measurement) -> str:
    """The value as people read it; "" when there is none."""
    return m.said or (shown(m.value) if m.value is not None else "")


def _result(step: str, m: Measurement) -> f.ResultRecorded:
    judged = m.verdict if m.kind == "kpi" and m.band else None
    return f.ResultRecorded(step, m.item, words(m), verdict=judged, measured=True)


def _new(rollout: Rollout, of: str, m: Measurement) -> bool:
    known = rollout.results.get(f"{of}/{m.item}")
    if not words(m):
        return False
    if known is None or known.ordinal < steps.began(rollout, of):
        return True
    return known.measured and known.value != words(m)


def folded(asked: Asked, found: tuple[Fact, ...]) -> Rollout:
    """The rollout with these facts in it. Their record has no revision yet."""
    rollout = asked.rollout
    stamp = Stamp(0, rollout.ordinal + 1, asked.now, asked.by)
    for fact in found:
        rollout = evolve(rollout, fact, stamp)
    return rollout


def unmeasured(asked: Asked, refused: Refused) -> Refused:
    """The refusal, with why the results that it misses could not be measured."""
    measured = asked.around.measured
    missing = {blocker.item for blocker in refused.blockers if blocker.kind == "result"}
    silent = [m for m in measured.of_kind("result") if not words(m)] if measured else []
    why = [
        Blocker(f"{m.item!r} could not be measured: {m.why}", "result", f"{measured.of}/{m.item}")
        for m in silent
        if measured and f"{measured.of}/{m.item}" in missing
    ]
    return Refused((*refused.blockers, *why), refused.code)


def of_monitor(asked: Asked, criterion: Criterion, step: str, m: Measurement) -> f.VerdictRecorded:
    """A verdict that the monitor reports, if it is about the step as it was entered last. Refused otherwise."""
    rollout = asked.rollout
    if asked.by.role != "monitor":
        raise refuse("a measurement is sent by the monitor; people record a value", code="forbidden")
    if m.item != criterion.name or m.kind != "criterion":
        raise refuse(f"the measurement is of {m.item!r}, the command of {criterion.name!r}", code="invalid")
    began = rollout.step_since
    if began is None or m.since < began:
        raise refuse(f"the measurement reaches back to {m.since:%Y-%m-%d %H:%M:%S}, before the step began")
    if m.until > asked.now + _AHEAD or m.until < m.since:
        raise refuse(f"the measurement ends at {m.until:%Y-%m-%d %H:%M:%S}, which cannot be", code="invalid")
    known = rollout.verdicts.get(f"{step}/{criterion.name}")
    if known is not None and known.ordinal >= rollout.step_ordinal and known.until > m.until:
        raise refuse(f"{criterion.name!r} was judged at a later time already")
    return verdict(step, m)
