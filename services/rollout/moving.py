"""The moves: what each writes once the table and its guards allow it.

One rule: every change of exposure is one fact for the whole group, in the same record as the move that made it.
"""

from __future__ import annotations

from events import facts as f
from events.exposed import exposure_words
from events.facts import NOBODY, TESTERS, Exposure, Fact
from events.plan.schema import Plan, Stage
from services.rollout import commands as c
from services.rollout import exposure, steps
from services.rollout.asked import Asked
from services.rollout.guards.move import Move
from services.rollout.phases import RULES, sources
from services.rollout.refusals import Refused, refuse
from services.rollout.snapshots import entries_of
from services.rollout.state import Rollout


def attempt(asked: Asked, name: str, step: str = "", wanted: Exposure | None = None) -> None:
    """Try a move on the table; returns if it may be made, else raises Refused with every reason.

    `wanted`: the exposure it would lead to, where that is another than entering `step` gives.
    """
    rollout = asked.rollout
    move = Move(rollout, step, asked.now, asked.by, asked.reason, asked.around.phases, wanted)
    if rollout.phase not in sources(name):
        raise Refused((_wrong_phase(rollout, name), *(move.still_to_come() if step else ())))
    if not RULES.events[name].trigger(move):
        raise Refused(move.missing)


def _wrong_phase(rollout: Rollout, name: str) -> str:
    return f"{name} is not possible in phase {rollout.phase}; it is in: {', '.join(sources(name))}"


def report_deploy(asked: Asked, command: c.ReportDeploy) -> tuple[Fact, ...]:
    """A deploy counts for the plan's services in its environment; the watch starts when all have reported.

    A rollback switches toggles off and takes no code away: what was reported before it has reported still.
    """
    rollout, plan = asked.rollout, asked.rollout.plan
    if command.environment != plan.environment:
        raise refuse(f"the plan is about {plan.environment!r}, the deploy is of {command.environment!r}")
    if plan.deploy.services and command.service not in plan.deploy.services:
        raise refuse(f"the plan deploys {', '.join(plan.deploy.services)}; found {command.service!r}")
    if not command.service.strip() or not command.version.strip():
        raise refuse("a deploy needs a service and a version", code="invalid")
    known = rollout.deploys.get(command.service)
    if rollout.active and known is not None and known.version == command.version:
        return ()
    attempt(asked, "report_deploy", "code_deploy")
    reported = f.DeployReported(command.service, command.environment, command.version)
    if rollout.phase in ("veteran_testing", "cutover", "go_live"):
        return (reported,)
    entered = () if rollout.phase == "code_deploy" else (f.PhaseEntered("code_deploy"),)
    missing = set(plan.deploy.services) - set(rollout.deploys) - {command.service}
    return (*entered, reported, *(() if missing else (f.WatchStarted(),)))


def start_testing(asked: Asked) -> tuple[Fact, ...]:
    attempt(asked, "start_testing", "veteran_testing")
    on = (f.ExposureSet(TESTERS),) if steps.exposes_testers(asked.rollout.plan) else ()
    return (f.PhaseEntered("veteran_testing"), *on)


def cut_over(asked: Asked) -> tuple[Fact, ...]:
    rollout = asked.rollout
    attempt(asked, "cut_over", steps.FIRST_STAGE)
    closed = (f.WindowClosed(s.id) for s in rollout.sessions.values() if s.closes is None and s.window != "closed")
    return (f.PhaseEntered("cutover"), *_enter_stage(rollout, 1), *closed, *_snapshot(asked))


def advance(asked: Asked, command: c.Advance) -> tuple[Fact, ...]:
    """To a later stage, or to a percentage within the range of the current one."""
    rollout, plan = asked.rollout, asked.rollout.plan
    if rollout.phase != "cutover":
        attempt(asked, "advance")
    within = _within_range(rollout, command.to)
    if within is not None:
        attempt(asked, "advance", steps.current_step(rollout), within)
        return (f.ExposureSet(within),)
    number = _stage_named(plan, command.to) if command.to else rollout.stage + 1
    if command.to and number == rollout.stage:
        return ()
    if not rollout.stage < number <= len(plan.rollout.stages):
        raise refuse(_no_such_stage(rollout, command.to))
    attempt(asked, "advance", steps.stage_step(number))
    return (*_snapshot(asked), *_enter_stage(rollout, number))


def go_back(asked: Asked, command: c.GoBack) -> tuple[Fact, ...]:
    """To an earlier stage, halted: less exposure, and a new go to return."""
    rollout, plan = asked.rollout, asked.rollout.plan
    attempt(asked, "go_back")
    number = _stage_named(plan, command.to)
    if number == rollout.stage and rollout.halted:
        return ()
    if not 0 < number < rollout.stage:
        raise refuse(f"{command.to!r} is no earlier stage; now in {steps.title_of(plan, steps.current_step(rollout))}")
    halted = () if rollout.halted else (f.Halted(f"went back to stage {number}: {asked.reason}"),)
    narrower = f.ExposureSet(exposure.exposure_of(plan, number))
    return (f.StageEntered(number, plan.rollout.stages[number - 1].title), narrower, *halted)


def go_live(asked: Asked) -> tuple[Fact, ...]:
    rollout, plan = asked.rollout, asked.rollout.plan
    last = len(plan.rollout.stages)
    if rollout.phase == "cutover" and rollout.stage < last:
        raise refuse(f"stage {rollout.stage} of {last}: advance through the plan's stages first")
    attempt(asked, "go_live", "go_live")
    everyone = () if rollout.exposure.to == "everyone" else (f.ExposureSet(f.EVERYONE),)
    return (f.PhaseEntered("go_live"), *everyone, *_snapshot(asked))


def close(asked: Asked, command: c.Close) -> tuple[Fact, ...]:
    rollout = asked.rollout
    if rollout.phase == "closed":
        if (command.outcome == "keep") != rollout.exposed:
            was, instead = ("removed", "release it anew") if command.outcome == "keep" else ("kept", "roll back")
            raise refuse(f"the rollout is closed and its toggles were {was}: {instead} instead")
        return ()
    attempt(asked, "close")
    if command.outcome == "remove":
        return (f.ExposureSet(NOBODY), *_unfinished(rollout, "the release is removed"), f.PhaseEntered("closed"))
    return (*_unfinished(rollout, "the rollout is closed"), f.PhaseEntered("closed"))


def halt(asked: Asked) -> tuple[Fact, ...]:
    if asked.rollout.halted:
        return ()
    attempt(asked, "halt")
    return (f.Halted(asked.reason),)


def resume(asked: Asked) -> tuple[Fact, ...]:
    if asked.rollout.active and not asked.rollout.halted:
        return ()
    attempt(asked, "resume")
    return (f.Resumed(),)


def roll_back(asked: Asked) -> tuple[Fact, ...]:
    """Needs nothing: no metric, no approval, no reason. The whole group off in one record."""
    if asked.rollout.phase == "rolled_back":
        return ()
    attempt(asked, "roll_back")
    return rollback_facts(asked.rollout)


def rollback_facts(rollout: Rollout) -> tuple[Fact, ...]:
    """The group off for everyone, the phase, and the sessions that will not take place."""
    off = f.ExposureSet(NOBODY)
    return (off, *_unfinished(rollout, "the release was rolled back"), f.PhaseEntered("rolled_back"))


def cancel(asked: Asked) -> tuple[Fact, ...]:
    if asked.rollout.phase == "cancelled":
        return ()
    attempt(asked, "cancel")
    return (*_unfinished(asked.rollout, "the release was cancelled"), f.PhaseEntered("cancelled"))


def _unfinished(rollout: Rollout, because: str) -> tuple[Fact, ...]:
    """Sessions that will not take place are cancelled; windows of recorded ones that are still open close."""
    pending = [s for s in rollout.sessions.values() if s.window != "closed"]
    return tuple(f.WindowClosed(s.id) if s.outcome else f.SessionCancelled(s.id, because) for s in pending)


def _enter_stage(rollout: Rollout, number: int) -> tuple[Fact, ...]:
    plan = rollout.plan
    stage = plan.rollout.stages[number - 1]
    return (f.StageEntered(number, stage.title), f.ExposureSet(exposure.entered(rollout.exposure, plan, number)))


def _within_range(rollout: Rollout, to: str) -> Exposure | None:
    """The exposure at a percentage inside the current stage's range; None when `to` is something else."""
    stage = rollout.plan.rollout.stages[rollout.stage - 1] if rollout.stage else Stage()
    share = _percentage(to)
    if share is None or stage.up_to is None or stage.percentage is None:
        return None
    if not stage.percentage <= share <= stage.up_to:
        return None
    wider = exposure.widened(rollout.exposure, exposure.audience(rollout.plan, stage, share))
    if not exposure.raises(rollout.exposure, wider):
        raise refuse(f"{share:g}% is not more than now ({exposure_words(rollout.exposure)})")
    return wider


def _percentage(text: str) -> float | None:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        return None


def _stage_named(plan: Plan, words: str) -> int:
    """The stage that `words` name, 0 if none: "stage-2", "2", its title, its audience, "25%"."""
    number = steps.stage_number(steps.find_step(plan, words))
    share = _percentage(words)
    if number or share is None:
        return number
    shares = [100.0 if s.percentage is None and not s.group else s.percentage for s in plan.rollout.stages]
    return shares.index(share) + 1 if share in shares else 0


def _no_such_stage(rollout: Rollout, to: str) -> str:
    later = rollout.plan.rollout.stages[rollout.stage :]
    names = ", ".join(repr(s.title or s.to) for s in later)
    if not names:
        return "this is the last stage: go live"
    return f"{to!r} is no later stage of the plan; still to come: {names}"


def _snapshot(asked: Asked) -> tuple[Fact, ...]:
    """What was known of the step that is being left, frozen with the promotion that rests on it."""
    rollout = asked.rollout
    step = steps.current_step(rollout)
    entries = entries_of(rollout, step) if step else ()
    if not entries:
        return ()
    return (f.SnapshotTaken(step, entries, rollout.step_since, asked.now),)
