"""Leaving the step we are in: its length is over, its criteria pass on good data, its results are recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from events.plan.schema import Criterion
from services.rollout import steps
from services.rollout.guards.blocker import Asking, Blocker
from services.rollout.guards.go import why_no_go
from services.rollout.guards.testing import uncovered
from services.rollout.state import Rollout


def leaving(move: Asking) -> Iterator[Blocker]:
    rollout, now = move.rollout, move.now
    step = steps.current_step(rollout)
    if not step:
        return
    yield from _undeployed_services(rollout, step)
    yield from _not_over(rollout, step, now)
    yield from unmet_criteria(move, step, steps.length_over_at(rollout))
    yield from unrecorded_results(rollout, step)
    if step == "veteran_testing":
        yield from uncovered(rollout, now)


def _undeployed_services(rollout: Rollout, step: str) -> Iterator[Blocker]:
    if step != "code_deploy" or rollout.step_since is not None:
        return
    for service in rollout.plan.deploy.services:
        if service not in rollout.deploys:
            yield undeployed(rollout, service)


def undeployed(rollout: Rollout, service: str) -> Blocker:
    """A service of the plan that CI has not reported yet."""
    return Blocker(f"{service} has not been reported as deployed to {rollout.plan.environment}", "deploy", service)


def _not_over(rollout: Rollout, step: str, now: datetime) -> Iterator[Blocker]:
    over = steps.length_over_at(rollout)
    if over is not None and now < over and not rollout.halted:
        text = f"{steps.title_of(rollout.plan, step)} lasts until {steps.local(rollout, over)}"
        yield Blocker(text, "length", step, until=over)


def unmet_criteria(move: Asking, step: str, over: datetime | None) -> Iterator[Blocker]:
    """The step's criteria that do not pass; with `over`, those judged before the step's full time was over too."""
    for criterion in steps.criteria(move.rollout.plan, step):
        if not criterion.dry_run:
            yield from _criterion(move, step, criterion, over)


def _criterion(move: Asking, step: str, criterion: Criterion, over: datetime | None) -> Iterator[Blocker]:
    rollout, name, by = move.rollout, criterion.name, criterion.judged_by
    found = rollout.verdicts.get(f"{step}/{name}")
    if found is None or found.ordinal < rollout.step_ordinal:
        yield Blocker(f"{name!r} has not been judged in {steps.title_of(rollout.plan, step)}", "criterion", name, by)
    elif found.verdict == "pass":
        if over is not None and found.until < over:
            yield Blocker(f"{name!r} was judged before the full time was over", "criterion", name, by)
    elif found.verdict == "inconclusive" and found.band == "yellow":
        yield from _explicit_go(move, f"{name!r} is between its limits ({found.why})", found.began or found.ordinal)
    else:
        state = {"fail": "failed", "inconclusive": "is inconclusive", "error": "could not be judged"}[found.verdict]
        yield Blocker(f"{name!r} {state}: {found.why}", "criterion", name, by)


def _explicit_go(move: Asking, what: str, after: int) -> Iterator[Blocker]:
    """Going on all the same takes every approver's standing go for what comes next, given after that record."""
    rollout = move.rollout
    step = steps.next_step(rollout) or steps.current_step(rollout)
    for title in steps.approvers(rollout) or ("an approver",):
        choice = rollout.choices.get(f"{step}/{title}")
        known = choice is not None and choice.ordinal > after
        why = why_no_go(move, step, title) if known else "none was given after that"
        if why:
            yield Blocker(f"{what}: going on needs an explicit go of {title}, but {why}", "decide", step, title)


def unrecorded_results(rollout: Rollout, step: str) -> Iterator[Blocker]:
    """The results that are missing. "If yes, what" is asked only where the question before it was not answered no."""
    before = ""
    for q in steps.questions(rollout.plan, step):
        beginning = q.text.casefold()
        if (before, beginning[:6]) != ("no", "if yes") and (before, beginning[:5]) != ("yes", "if no"):
            yield from unrecorded(rollout, step, q.id, q.text, q.must_be, q.answered_by)
        found = rollout.results.get(f"{step}/{q.id}")
        before = found.value.casefold() if found is not None and found.ordinal >= steps.began(rollout, step) else ""


def unrecorded(rollout: Rollout, step: str, item: str, text: str, must_be: str, by: str) -> Iterator[Blocker]:
    result = rollout.results.get(f"{step}/{item}")
    where = steps.title_of(rollout.plan, step)
    if result is None or result.ordinal < steps.began(rollout, step):
        yield Blocker(f"{text!r} is not recorded for {where}", "result", f"{step}/{item}", by)
    elif must_be and result.value.casefold() != must_be.casefold():
        yield Blocker(f"{text!r} must be {must_be!r}, recorded was {result.value!r}", "result", f"{step}/{item}", by)
