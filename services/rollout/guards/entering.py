"""Entering a step: no gaps in the plan for it, checklist and prerequisites attested, a standing go, no freeze."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from events.exposed import exposure_words
from events.facts import EVERYONE, Exposure
from events.plan.schema import Item
from services.rollout import exposure, steps
from services.rollout.guards.blocker import Asking, Blocker
from services.rollout.guards.go import no_standing_go
from services.rollout.state import Rollout


def halted(rollout: Rollout) -> Iterator[Blocker]:
    if rollout.halted:
        yield Blocker(f"halted: {rollout.halted_because or 'no reason given'}; resume first", "halted")


def entering(move: Asking) -> Iterator[Blocker]:
    rollout, step = move.rollout, move.step
    yield from gaps(rollout, step)
    yield from frozen(rollout, move.now)
    yield from _not_above_what_failed(move)
    yield from _prerequisites(rollout, step)
    yield from unattested(rollout, steps.checklist(rollout.plan, step))
    if rollout.rolled_back_ordinal and step == steps.FIRST_STAGE:
        yield from _before_again(rollout)
    for skipped in steps.passed_over(rollout, step):
        yield from gaps(rollout, skipped)
        yield from unattested(rollout, steps.checklist(rollout.plan, skipped))
    if steps.needs_go(rollout, step):
        yield from no_standing_go(move)
    yield from _comes_after(move)
    if move.by is not None and move.by.role == "clock":
        stage = steps.stage_of(rollout.plan, step)
        if stage is None or not stage.automatic:
            yield Blocker("the plan does not say that this step is entered automatically", "phase")


def gaps(rollout: Rollout, step: str) -> Iterator[Blocker]:
    for gap in steps.gaps_for(rollout.plan, step):
        yield Blocker(f"the plan says {gap.text!r} at {gap.path!r}: fill it in and revise the plan", "gap", gap.path)


def frozen(rollout: Rollout, now: datetime) -> Iterator[Blocker]:
    zone = ZoneInfo(rollout.plan.time_zone)
    today = now.astimezone(zone).date().isoformat()
    for freeze in rollout.plan.freezes:
        if freeze.first <= today <= freeze.last:
            why = f" ({freeze.why})" if freeze.why else ""
            ends = datetime.combine(date.fromisoformat(freeze.last) + timedelta(days=1), datetime.min.time(), zone)
            yield Blocker(f"frozen from {freeze.first} to {freeze.last}{why}", "frozen", until=ends)


def _not_above_what_failed(move: Asking) -> Iterator[Blocker]:
    """After a rollback without a new deploy. What failed before any stage was entered comes back to none."""
    rollout, wanted = move.rollout, move.wanted or _exposure(move.rollout, move.step)
    if not rollout.rolled_back_ordinal or rollout.deployed_since_rollback:
        return
    if not exposure.raises(rollout.exposure, wanted) or not exposure.raises(rollout.failed, wanted):
        return
    what = f"{exposure_words(rollout.failed)}, which failed"
    if not rollout.failed_in_stage:
        what = "testing: it was rolled back before any stage"
    yield Blocker(f"without a new deploy the rollout does not go above {what}", "deploy")


def _exposure(rollout: Rollout, step: str) -> Exposure:
    """Who has the group on once the step is entered."""
    if step == "go_live":
        return EVERYONE
    return exposure.entered(rollout.exposure, rollout.plan, steps.stage_number(step))


def _prerequisites(rollout: Rollout, step: str) -> Iterator[Blocker]:
    """They must hold at every promotion from the first exposure on, not only at that one."""
    order = steps.steps(rollout.plan)
    first = steps.first_exposure(rollout.plan)
    if step in order and order.index(step) >= order.index(first):
        yield from unattested(rollout, rollout.plan.prerequisites, "prerequisite ")
    if step in order and step == first and rollout.plan.switch == "cutover" and not rollout.plan.toggles:
        yield Blocker("the plan names no toggle", "toggle")


def prerequisites_missing(rollout: Rollout) -> tuple[Blocker, ...]:
    """The prerequisites that do not hold: nothing raises exposure while there are any."""
    return tuple(unattested(rollout, rollout.plan.prerequisites, "prerequisite "))


def widening_missing(rollout: Rollout, now: datetime) -> tuple[Blocker, ...]:
    """What is against more users in the current stage: halted, frozen, or a prerequisite that does not hold."""
    return (*halted(rollout), *frozen(rollout, now), *prerequisites_missing(rollout))


def unattested(rollout: Rollout, items: Iterable[Item], what: str = "") -> Iterator[Blocker]:
    for item in items:
        if steps.attested(rollout, item):
            continue
        by = item.attested_by or "the release manager"
        if item.id in rollout.withdrawn:
            yield Blocker(f"{what}{item.text!r} was withdrawn: {by} must attest it again", "attest", item.id, by)
        else:
            yield Blocker(f"{what}{item.text!r} is not attested by {by}", "attest", item.id, by)


def _before_again(rollout: Rollout) -> Iterator[Blocker]:
    for item in rollout.plan.before_release_again:
        if not steps.attested(rollout, item):
            by = item.attested_by or "the release manager"
            text = f"{item.text!r} is not attested by {by} since the rollback"
            yield Blocker(text, "attest", item.id, by)


def _comes_after(move: Asking) -> Iterator[Blocker]:
    """Plans this one comes after: released, by the time the first user is exposed."""
    if move.finished is None or move.step != steps.first_exposure(move.rollout.plan):
        return
    for other in move.rollout.plan.after:
        phase = move.finished.get(other)
        if phase not in ("go_live", "closed"):
            yield Blocker(f"{other!r} comes first and is {phase or 'not adopted'}", "after", other)
