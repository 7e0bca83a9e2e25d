"""Who has the group on: from the plan's stages to an Exposure, and whether one is wider than another.

One rule: the exposure of a stage is the union of the stages so far; advancing takes the group from nobody.
"""

from __future__ import annotations

from events.facts import EVERYONE, NOBODY, Audience, Exposure
from events.plan.schema import Plan, Stage

_ORDER = {"nobody": 0, "testers": 1, "cohort": 2, "percentage": 2, "everyone": 3}


def audience(plan: Plan, stage: Stage, percentage: float | None = None) -> Audience:
    """The audience of one stage; `percentage` overrides the stage's own (within its range)."""
    share = percentage if percentage is not None else stage.percentage
    group = plan.groups.get(stage.group)
    return Audience(
        percentage=100.0 if share is None else share,
        group=stage.group,
        attribute=group.attribute if group else "",
        any_of=group.any_of if group else (),
        users=group.users if group else (),
    )


def exposure_of(plan: Plan, stage: int) -> Exposure:
    """The union of stages 1..stage, each where its range begins."""
    audiences: tuple[Audience, ...] = ()
    for each in plan.rollout.stages[:stage]:
        audiences = join(audiences, audience(plan, each))
    return as_exposure(audiences)


def entered(now: Exposure, plan: Plan, stage: int) -> Exposure:
    """Everybody who has the group now, and the audience of every stage up to this one."""
    for each in plan.rollout.stages[:stage]:
        now = widened(now, audience(plan, each))
    return now


def widened(old: Exposure, new: Audience) -> Exposure:
    """Everybody who has the group now, and the new audience."""
    return EVERYONE if old.to == "everyone" else as_exposure(join(old.audiences, new))


def join(audiences: tuple[Audience, ...], new: Audience) -> tuple[Audience, ...]:
    """The union, without audiences that another one covers."""
    if any(_covers(old, new) for old in audiences):
        return audiences
    return (*(old for old in audiences if not _covers(new, old)), new)


def as_exposure(audiences: tuple[Audience, ...]) -> Exposure:
    """The exposure that these audiences make."""
    if not audiences:
        return NOBODY
    if any(not a.group and a.percentage >= 100 for a in audiences):
        return EVERYONE
    return Exposure("cohort" if any(a.group for a in audiences) else "percentage", audiences)


def _covers(wide: Audience, narrow: Audience) -> bool:
    """Whether everybody in `narrow` is in `wide`: the same or every user, and at least the percentage."""
    same = not wide.group or (wide.group, wide.attribute, wide.any_of, wide.users) == (
        narrow.group,
        narrow.attribute,
        narrow.any_of,
        narrow.users,
    )
    return same and wide.percentage >= narrow.percentage


def raises(old: Exposure, new: Exposure) -> bool:
    """Whether `new` gives the group to anybody who does not have it at `old`."""
    if new.to == "nobody" or old.to == "everyone":
        return False
    if new.to in ("testers", "everyone") or old.to in ("nobody", "testers"):
        return _ORDER[new.to] > _ORDER[old.to]
    return not all(any(_covers(wide, narrow) for wide in old.audiences) for narrow in new.audiences)
