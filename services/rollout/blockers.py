"""What blocks the next move: the guards' own list, without trying.

One rule: what a person is told beforehand and what a refusal says come from the same guards.
"""

from __future__ import annotations

from datetime import datetime

from events.facts import Actor, Phase
from services.rollout import steps
from services.rollout.guards.blocker import Blocker
from services.rollout.guards.leaving import undeployed
from services.rollout.guards.move import Move
from services.rollout.phases import RULES
from services.rollout.state import Rollout


def next_move(rollout: Rollout) -> str:
    """The move that would carry the rollout on; "" when there is none."""
    if rollout.phase == "code_deploy":
        return "cut_over" if rollout.plan.testing.waived else "start_testing"
    if rollout.phase == "cutover":
        return "advance" if rollout.stage < len(rollout.plan.rollout.stages) else "go_live"
    if rollout.phase == "rolled_back":
        return "cut_over" if rollout.failed_in_stage else "report_deploy"
    follows = {"planned": "report_deploy", "veteran_testing": "cut_over", "go_live": "close"}
    return follows.get(rollout.phase, "")


def blockers(
    rollout: Rollout, now: datetime, finished: dict[str, Phase] | None = None, by: Actor | None = None
) -> tuple[Blocker, ...]:
    """Everything that is missing for the next move at `now` (UTC), whoever would ask for it; or if `by` does."""
    name = next_move(rollout)
    if not name:
        return ()
    move = Move(rollout, steps.next_step(rollout), now, by, finished=finished)
    RULES.events[name].trigger(move)
    missing = list(move.missing)
    if name == "report_deploy" and rollout.phase == "rolled_back":
        missing.append(Blocker("rolled back before the first stage: a new deploy must be reported", "deploy"))
    elif name == "report_deploy":
        missing += [undeployed(rollout, s) for s in rollout.plan.deploy.services or ("a service of the plan",)]
    return tuple(missing)


__all__ = ["Blocker", "blockers", "next_move"]
