"""decide: a command, a rollout, a sender and a time give facts, or a refusal with every reason.

One rule: pure. The same arguments give the same facts; what is so already gives none.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from events.facts import Actor, Fact
from services.rollout import access, adopting, attesting, measuring, moving, recording, reporting, sessions, snapshots
from services.rollout import commands as c
from services.rollout.asked import ALONE, Asked, Surroundings
from services.rollout.refusals import Refused, refuse
from services.rollout.state import Rollout

_WATCHES_SEEN = (c.StartTesting, c.CutOver, c.Advance, c.GoLive, c.Close, c.Decide, c.RevisePlan)


def decide(
    command: c.Command,
    rollout: Rollout | None,
    by: Actor,
    now: datetime,
    around: Surroundings = ALONE,
    *,
    rollout_id: str = "",
) -> tuple[Fact, ...]:
    """The facts that `command` makes true at `now` (UTC); () if it is so already. Raises Refused.

    `rollout` is None where there is none yet: then only `adopt` is possible, and `rollout_id` is the id asked for.
    """
    if not access.may(by.role, command):
        name, allowed = c.name_of(command), ", ".join(access.roles_for(command)) or "nobody"
        raise refuse(f"{name} may be sent by {allowed}; you are {by.subject}, {by.role}", code="forbidden")
    if isinstance(command, c.Adopt):
        if rollout is not None:
            raise refuse(f"there is a rollout {rollout.id!r} already, in phase {rollout.phase}", code="already-exists")
        return adopting.adopt(command, rollout_id or command.plan.id, by, around)
    if rollout is None:
        raise refuse(f"there is no rollout {rollout_id!r}", code="unknown-rollout")
    _look_again(command, rollout)
    asked = Asked(rollout, by, now, command.reason, around)
    return _promote(command, asked) if isinstance(command, measuring.PROMOTIONS) else _decide(command, asked)


def _promote(command: c.Command, asked: Asked) -> tuple[Fact, ...]:
    """What was measured for a promotion is judged first, and stands in the same record."""
    found, judged = measuring.with_measurements(asked)
    try:
        moved = _decide(command, judged)
    except Refused as refused:
        raise measuring.unmeasured(judged, refused) from None
    return (*found, *moved) if moved else ()


def _look_again(command: c.Command, rollout: Rollout) -> None:
    """Promotions and decisions say what they looked at; refused when that has changed since."""
    if command.seen is not None and isinstance(command, _WATCHES_SEEN) and command.seen < rollout.basis:
        text = (
            f"you looked at revision {command.seen}; what this rests on changed at revision {rollout.basis}: look again"
        )
        raise refuse(text, code="changed")


def _decide(command: c.Command, asked: Asked) -> tuple[Fact, ...]:
    match command:
        case c.Adopt():
            raise AssertionError("adopt is decided before")
        case c.RevisePlan():
            return adopting.revise(asked, command)
        case c.ReportDeploy():
            return moving.report_deploy(asked, command)
        case c.StartTesting():
            return moving.start_testing(asked)
        case c.Decide():
            return attesting.decide_step(asked, command)
        case c.CutOver():
            return moving.cut_over(asked)
        case c.Advance():
            return moving.advance(asked, command)
        case c.GoBack():
            return moving.go_back(asked, command)
        case c.GoLive():
            return moving.go_live(asked)
        case c.Close():
            return moving.close(asked, command)
        case c.Halt():
            return moving.halt(asked)
        case c.Resume():
            return moving.resume(asked)
        case c.RollBack():
            return moving.roll_back(asked)
        case c.Cancel():
            return moving.cancel(asked)
        case c.Attest():
            return attesting.attest(asked, command)
        case c.Withdraw():
            return attesting.withdraw(asked, command)
        case c.ScheduleSession():
            return sessions.schedule(asked, command)
        case c.MoveSession():
            return sessions.move(asked, command)
        case c.CancelSession():
            return sessions.cancel(asked, command)
        case c.OpenWindow():
            return sessions.open_window(asked, command)
        case c.CloseWindow():
            return sessions.close_window(asked, command)
        case c.RecordSession():
            return sessions.record(asked, command)
        case c.WaiveWorkflow():
            return sessions.waive(asked, command)
        case c.RecordResult():
            return recording.record_result(asked, command)
        case c.RecordVerdict():
            return recording.record_verdict(asked, command)
        case c.TakeSnapshot():
            return snapshots.take_snapshot(asked, command)
        case c.AnswerQuestion():
            return attesting.answer_question(asked, command)
        case c.RetireToggle():
            return recording.retire_toggle(asked, command)
        case c.RecordEvidence():
            return recording.record_evidence(asked, command)
        case c.AddNote():
            return recording.note(asked, command)
        case c.ReportIssue():
            return reporting.report_issue(asked, command)
        case c.RecordDelivery():
            return reporting.record_delivery(asked, command)
        case c.Remind():
            return recording.remind(asked, command)
    assert_never(command)


__all__ = ["Refused", "Surroundings", "decide"]
