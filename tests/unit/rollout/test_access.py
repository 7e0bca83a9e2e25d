"""Who may send what: by role; titles are the plan's matter."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from events.facts import Actor, Role
from services.rollout import access
from services.rollout import commands as c

from .scenario import adopted, given, seed

SAMPLES: dict[str, c.Command] = {
    c.name_of(command): command
    for command in (
        c.Adopt(plan=seed()),
        c.RevisePlan(plan=seed()),
        c.ReportDeploy(service="s", version="1"),
        c.StartTesting(),
        c.Decide(decision="go"),
        c.CutOver(),
        c.Advance(),
        c.GoBack(to="1"),
        c.GoLive(),
        c.Close(outcome="keep"),
        c.Halt(),
        c.Resume(),
        c.RollBack(),
        c.Cancel(),
        c.Attest(item="i"),
        c.Withdraw(item="i"),
        c.ScheduleSession(session="s", tester="t"),
        c.MoveSession(session="s"),
        c.CancelSession(session="s"),
        c.OpenWindow(session="s"),
        c.CloseWindow(session="s"),
        c.RecordSession(session="s"),
        c.RecordResult(item="i", value="v"),
        c.RecordVerdict(criterion="c"),
        c.TakeSnapshot(of="1 week"),
        c.AnswerQuestion(question="q", answer="a"),
        c.RetireToggle(toggle="t"),
        c.AddNote(text="t"),
        c.Remind(about="a", text="t"),
        c.ReportIssue(text="t"),
        c.WaiveWorkflow(session="s", workflow="w"),
        c.RecordDelivery(cause="c", channel="github", outcome="sent"),
        c.RecordEvidence(kind="ci", about="a"),
    )
}
STOP = {"halt", "roll_back", "note", "report_issue"}
PEOPLE = {"attest", "withdraw", "answer_question", "record_result", "record_verdict", "record_evidence"}
SESSIONS = {"schedule_session", "move_session", "cancel_session", "open_window", "close_window", "record_session"} | {
    "waive_workflow"
}

MAY: dict[Role, set[str]] = {
    "admin": set(SAMPLES) - {"remind", "record_delivery"},
    "release_manager": set(SAMPLES) - {"remind", "record_delivery"},
    "approver": STOP | PEOPLE | {"decide"},
    "facilitator": STOP | PEOPLE | SESSIONS,
    "ci": STOP | {"report_deploy", "record_result", "record_verdict", "record_evidence"},
    "monitor": STOP | {"record_result", "record_verdict", "take_snapshot"},
    "clock": {"open_window", "close_window", "take_snapshot", "remind", "advance"},
    "herald": {"record_delivery"},
    "auditor": set(),
    "reader": set(),
}


def test_every_command_is_here() -> None:
    assert {type(command) for command in SAMPLES.values()} == set(get_args(c.Command))


@pytest.mark.parametrize("role", get_args(Role))
def test_a_role_may_send(role: Role) -> None:
    assert {name for name, command in SAMPLES.items() if access.may(role, command)} == MAY[role]


@pytest.mark.parametrize("role", [role for role in get_args(Role) if MAY[role] and role not in ("clock", "herald")])
def test_whoever_acts_at_all_may_also_stop(role: Role) -> None:
    assert MAY[role] >= STOP


@pytest.mark.parametrize("role", get_args(Role))
def test_what_a_role_may_not_send_is_refused_by_name(role: Role) -> None:
    for name, command in SAMPLES.items():
        if name not in MAY[role]:
            outcome = given(adopted()).when(command, by=Actor("x", role))
            outcome.refused(f"{name} may be sent by ", f"; you are x, {role}", code="forbidden")


def test_every_command_travels_as_json() -> None:
    for command in SAMPLES.values():
        assert msgspec.json.decode(msgspec.json.encode(command), type=c.Command) == command
