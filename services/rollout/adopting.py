"""Adopting a plan, and revising it while it is carried out.

One rule: what has been passed is never rewritten, what is under way only in its length, users, dates and group, and
what lies ahead freely; every revision that touches a step takes the force of a go.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import asdict, replace

from events import facts as f
from events.exposed import exposure_words
from events.facts import Actor, Fact
from events.plan.checks import check
from events.plan.problems import path_words
from events.plan.schema import Plan, Stage
from events.plan.steps import share
from services.rollout import blanks, exposure, steps
from services.rollout import commands as c
from services.rollout.asked import Asked, Surroundings
from services.rollout.guards.blocker import Blocker
from services.rollout.guards.entering import widening_missing
from services.rollout.refusals import Refused, refuse
from services.rollout.state import Rollout

# What may change at any time: it says nothing about who is exposed to what, when.
_WORDS = frozenset({"title", "why_together", "on_call", "report_issues", "reminders", "tasks", "links", "rollback"})
_WORDS_OF_STEP = frozenset({"title", "how_limited", "recruiting", "dashboards", "monitored_by", "reminders"})
# What may change in the step that is under way.
_OPEN = {
    "code_deploy": frozenset({"date", "watch.until", "watch.start"}),
    "veteran_testing": frozenset({"length", "dates", "testers"}),
    "stage": frozenset({"length", "dates", "users", "group"}),
    "go_live": frozenset({"date", "results_after"}),
}


def adopt(command: c.Adopt, rollout: str, by: Actor, around: Surroundings) -> tuple[Fact, ...]:
    """The first record of a rollout. `rollout` is the id asked for, which must be the plan's."""
    plan = command.plan
    if plan.id != rollout:
        raise refuse(f"the plan's id is {plan.id!r}, asked for was {rollout!r}", code="invalid")
    _check(plan)
    _free(plan, around)
    return (f.PlanAdopted(plan, () if plan.go_no_go.decided_by else around.default_approvers, f.BUCKETING),)


def _check(plan: Plan) -> None:
    errors = [f"{path_words(finding.path)}: {finding.text}" for finding in check(plan) if finding.level == "error"]
    if errors:
        raise Refused(errors, "invalid")


def _free(plan: Plan, around: Surroundings) -> None:
    """A toggle key belongs to its rollout for ever, unless that was cancelled."""
    held = [(t.key, around.toggle_owners.get(t.key, plan.id)) for t in plan.toggles]
    taken = [f"toggle {key!r} belongs to rollout {owner!r}" for key, owner in held if owner != plan.id]
    if taken:
        raise Refused(taken)


def revise(asked: Asked, command: c.RevisePlan) -> tuple[Fact, ...]:
    """The plan as it shall be from now on; in cutover with the exposure that follows from it."""
    rollout, old, new = asked.rollout, asked.rollout.plan, command.plan
    if rollout.phase in ("closed", "cancelled"):
        raise refuse(f"the plan is not revised in phase {rollout.phase}")
    if new.id != rollout.id:
        raise refuse(f"the plan's id is {new.id!r}, the rollout's is {rollout.id!r}", code="invalid")
    _check(new)
    _free(new, asked.around)
    changes = tuple(_changes(old, new))
    if not changes and old == new:
        return ()
    forbidden = [reason for change in changes if (reason := _forbidden(rollout, *change))]
    if _settled(rollout):
        forbidden += _weaker_go(rollout, new)
    forbidden += blanks.left_out(old, new)
    if forbidden:
        raise Refused(forbidden)
    _not_wider_than_what_failed(rollout, new)
    touched = [step for step, part in changes if part.split(".")[0] not in _WORDS]
    touches = tuple(dict.fromkeys((*touched, *blanks.touched(old, new))))
    revised = f.PlanRevised(new, tuple(dict.fromkeys(part for _, part in changes)), touches)
    return (revised, *_reworded(rollout, new), *_new_exposure(asked, new))


def _weaker_go(rollout: Rollout, new: Plan) -> Iterator[str]:
    """What of the go would be asked no more: before a step, of a role, by itself alone, on an answer."""
    old, later = rollout.plan.go_no_go, new.go_no_go
    lost = [s for s in steps.steps(new) if steps.asks_go(rollout.plan, s) and not steps.asks_go(new, s)]
    less = [f"before {steps.title_of(new, step)}" for step in lost]
    less += [
        f"by {title}" for title in steps.approvers(rollout) if title not in steps.approvers(replace(rollout, plan=new))
    ]
    for title, names in later.delegates.items():
        less += [f"by {title} and not {name}" for name in names if name not in old.delegates.get(title, ())]
    less += [f"with {question.text!r} answered" for question in old.questions if question not in later.questions]
    if less:
        words = "; ".join(less)
        yield f"go_no_go cannot ask for less once anybody may have the group on: roll back first (a go {words})"


def _not_wider_than_what_failed(rollout: Rollout, new: Plan) -> None:
    """After a rollback without a new deploy no stage under way, or to begin with, goes above what failed."""
    if not rollout.failed_in_stage or rollout.deployed_since_rollback:
        return
    number = max(rollout.stage, 1)
    if exposure.raises(rollout.failed, exposure.exposure_of(new, number)):
        failed = exposure_words(rollout.failed)
        raise refuse(f"without a new deploy stage {number} does not go above {failed}, which failed")


def _reworded(rollout: Rollout, new: Plan) -> Iterator[Fact]:
    """An item that says something else now, or is another's to attest, has not been attested under its old id."""
    said = {item.id: item for item in steps.all_items(rollout.plan)}
    for item in steps.all_items(new):
        if item.id in rollout.attested and said.get(item.id, item) != item:
            yield f.AttestationWithdrawn(item.id)


def _new_exposure(asked: Asked, new: Plan) -> tuple[Fact, ...]:
    """In cutover: who has the group on when the current stage's audience is another one now."""
    rollout = asked.rollout
    if rollout.phase != "cutover":
        return ()
    after = exposure.exposure_of(new, rollout.stage)
    wider = exposure.raises(rollout.exposure, after)
    missing: list[Blocker] = []
    if _larger_share(rollout, new, wider):
        missing.append(Blocker("a larger share is reached by advancing, not by a revision of the plan", "phase"))
    if after == exposure.exposure_of(rollout.plan, rollout.stage) and not missing:
        return ()
    if wider:
        missing += widening_missing(replace(rollout, plan=new), asked.now)
    if missing:
        raise Refused(missing)
    return (f.ExposureSet(after),)


def _larger_share(rollout: Rollout, new: Plan, wider: bool) -> bool:
    """Whether the current stage would reach everyone, or more of the same users, or users of no group after a group.

    Allowed, because volume may be too low and nothing says which is larger: another group, another share of another
    group, a group after a share of all users, and other users in the group.
    """
    was, now = rollout.plan.rollout.stages[rollout.stage - 1], new.rollout.stages[rollout.stage - 1]
    if was.group != now.group:
        return wider and not now.group
    return _end(now) > _end(was) or (wider and share(now) > share(was))


def _end(stage: Stage) -> float:
    """The percentage up to which a stage's range goes."""
    return stage.up_to or share(stage)


def _changes(old: Plan, new: Plan) -> Iterator[tuple[str, str]]:
    """(step, part) of everything that differs; step "" for what belongs to the plan as a whole."""
    before, after = asdict(old), asdict(new)
    for name in before:
        if name in ("deploy", "testing", "go_live", "rollout", "criteria", "groups", "gaps", "draft"):
            continue
        if before[name] != after[name]:
            yield "", name
    yield from _step_changes("code_deploy", "deploy", old.deploy, new.deploy)
    yield from _step_changes("veteran_testing", "testing", old.testing, new.testing)
    yield from _step_changes("go_live", "go_live", old.go_live, new.go_live)
    yield from _stage_changes(old, new)
    for name in (*old.criteria, *(n for n in new.criteria if n not in old.criteria)):
        if old.criteria.get(name) != new.criteria.get(name):
            using = [s for s in steps.steps(old) if name in {k.name for k in steps.criteria(old, s)}]
            yield from ((step, f"criteria.{name}") for step in using or ("",))
    for name in (*old.groups, *(n for n in new.groups if n not in old.groups)):
        if old.groups.get(name) != new.groups.get(name):
            stages = [steps.stage_step(n) for n, stage in enumerate(old.rollout.stages, 1) if stage.group == name]
            yield from ((step, f"groups.{name}") for step in stages or ("",))


def _step_changes(step: str, part: str, old: msgspec.Struct, new: msgspec.Struct) -> Iterator[tuple[str, str]]:
    before, after = asdict(old), asdict(new)
    for name in before:
        if before[name] == after[name]:
            continue
        if name == "watch" and len(before[name]) == len(after[name]):
            for was, now in zip(before[name], after[name], strict=True):
                yield from _step_changes(step, f"{part}.watch", was, now)
        else:
            yield step, f"{part}.{name}"


def _stage_changes(old: Plan, new: Plan) -> Iterator[tuple[str, str]]:
    """A rollout-wide field belongs to every stage; a stage's own to it; stages may be added and dropped ahead."""
    before, after = asdict(old.rollout), asdict(new.rollout)
    for name in before:
        if name != "stages" and before[name] != after[name]:
            yield from ((steps.stage_step(n), f"rollout.{name}") for n in range(1, len(old.rollout.stages) + 1))
    was, now = old.rollout.stages, new.rollout.stages
    for number in range(1, max(len(was), len(now)) + 1):
        first: Stage | None = was[number - 1] if number <= len(was) else None
        second: Stage | None = now[number - 1] if number <= len(now) else None
        if first is None or second is None:
            yield steps.stage_step(number), f"rollout.stages.{number}"
        else:
            yield from _step_changes(steps.stage_step(number), f"rollout.stages.{number}", first, second)


def _forbidden(rollout: Rollout, step: str, part: str) -> str:
    """Why this part may not change now; "" if it may."""
    if step == "":
        return _forbidden_in_plan(rollout, part)
    field = _field(part)
    here = steps.current_step(rollout)
    if here == "" or field in _WORDS_OF_STEP or _position(step) > _position(here):
        return ""
    if _position(step) < _position(here):
        return f"{part} cannot change: {steps.title_of(rollout.plan, step)} has been passed"
    allowed = _OPEN["stage" if steps.stage_number(step) else step]
    tail = f"watch.{field}" if ".watch." in part else field
    audience = ("group", "percentage", "to", "up_to") if "group" in allowed else ()
    if tail in allowed or tail in audience:
        return ""
    names = ", ".join(sorted(a.removeprefix("watch.") for a in allowed))
    return f"{part} cannot change while {steps.title_of(rollout.plan, step)} is under way; only {names} can"


def _field(part: str) -> str:
    """The last word of a part; a criterion's or a group's own name is none of the plan's words."""
    if part.startswith("groups."):
        return "group"
    return "criteria" if part.startswith("criteria.") else part.rsplit(".", 1)[-1]


def _position(step: str) -> float:
    """Where a step stands among all that a plan can have, whether this plan has it or not."""
    named = {"code_deploy": -2.0, "veteran_testing": -1.0, "go_live": float("inf")}
    return named.get(step, float(steps.stage_number(step)))


def _settled(rollout: Rollout) -> bool:
    return rollout.exposed or rollout.phase in ("cutover", "go_live")


def _forbidden_in_plan(rollout: Rollout, part: str) -> str:
    """Toggles, prerequisites, groups and how users are told apart are settled by the first exposure."""
    settled = ("toggles", "prerequisites", "actor", "environment", "switch", "time_zone", "readers")
    if part in settled and _settled(rollout):
        return f"{part} cannot change once anybody may have the group on: roll back first"
    return ""
