"""Leaving testing: sessions held and recorded, testers taken part, every workflow done and none failing unwaived."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.rollout import steps
from services.rollout.guards.blocker import Blocker
from services.rollout.state import Rollout, Session


def uncovered(rollout: Rollout, now: datetime) -> Iterator[Blocker]:
    plan = rollout.plan.testing
    if not steps.exposes_testers(rollout.plan):
        return
    took_place = [s for s in rollout.sessions.values() if s.outcome not in ("cancelled", "no_show")]
    sessions = [s for s in took_place if counts(rollout, s)]
    held = [s for s in sessions if s.outcome == "held"]
    if plan.access == "sessions" and len(held) < plan.sessions.at_least:
        missing = plan.sessions.at_least - len(held)
        yield Blocker(
            f"{missing} more test session{'s' * (missing > 1)} must be held and recorded "
            f"({len(held)} of {plan.sessions.at_least})",
            "session",
        )
    testers = {s.tester for s in (held if plan.access == "sessions" else sessions)}
    if len(testers) < plan.testers:
        yield Blocker(f"{len(testers)} of {plan.testers} testers have taken part", "session")
    for session in sessions:
        if not session.outcome and session.ends is not None and session.ends <= now:
            yield Blocker(f"session {session.id!r} is over and its results are not recorded", "session", session.id)
    for workflow in plan.workflows:
        yield from _workflow(workflow, plan.each_workflow, held)


def counts(rollout: Rollout, session: Session) -> bool:
    """Whether a session tests what is being released now: of this round, and not over before testing began."""
    this_round = session.ordinal > rollout.rolled_back_ordinal
    return this_round and (session.closes is None or session.closes > rollout.entered_at)


def _workflow(workflow: str, at_least: int, held: list[Session]) -> Iterator[Blocker]:
    done = [(s.id, w) for s in held for w in s.workflows if w.workflow == workflow]
    passed = sum(1 for _, w in done if w.done)
    if passed < at_least:
        yield Blocker(f"workflow {workflow!r} was done {passed} of {at_least} times", "workflow", workflow)
    for session, w in done:
        if not w.done and not w.waived:
            yield Blocker(
                f"workflow {workflow!r} failed in session {session!r} and nobody waived it", "workflow", workflow
            )
