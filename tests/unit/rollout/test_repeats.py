"""Every command again, with another id: it changes nothing or is refused with a reason. Never a second effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from msgspec.structs import replace

from events.facts import Actor, WorkflowResult
from services.rollout import commands as c

from .scenario import (
    CI,
    CLOCK,
    DAY,
    FACILITATOR,
    HOUR,
    MINUTE,
    MONITOR,
    PRODUCT_OWNER,
    RELEASE_MANAGER,
    Story,
    adopted,
    after_testing,
    all_done,
    answered,
    attest_all,
    closed,
    cut_over,
    decided,
    given,
    in_testing,
    judge_well,
    live,
    plan_of,
    released,
    scheduled,
    seed,
    watched,
)

Case = tuple[Callable[[], Story], c.Command, Actor, str]  # where, what, by whom, why it is refused ("": already so)

SESSION_AT = "2022-07-30T12:00"
HERALD = Actor("herald", "herald")
SENT = c.RecordDelivery(cause="vaos-service-integration/10/0/0", channel="github", outcome="sent")


def three_stages() -> Story:
    plan = plan_of(criteria={"Errors": {"below": 5}}, rollout={"criteria": ["Errors"], "stages": ["5%", "9%", "100%"]})
    return judge_well(released(plan))


def second_stage() -> Story:
    return released(plan_of(rollout={"stages": ["5%", "9%", "100%"]})).then(c.Advance())


def window_due() -> Story:
    return scheduled().after(30 * MINUTE)


def week_later() -> Story:
    return live().after(8 * DAY)


def failed_workflow() -> Story:
    tried = (WorkflowResult(seed().testing.workflows[0], done=False),)
    return scheduled().after(2 * HOUR).then(c.RecordSession(session="v1", workflows=tried), by=FACILITATOR)


CASES: tuple[Case, ...] = (
    (Story, c.Adopt(plan=seed()), RELEASE_MANAGER, "there is a rollout"),
    (adopted, c.RevisePlan(plan=replace(seed(), on_call=("Ann",))), RELEASE_MANAGER, ""),
    (adopted, c.ReportDeploy(service="vets-api", version="1"), CI, ""),
    (lambda: attest_all(watched()), c.StartTesting(), RELEASE_MANAGER, "not possible in phase veteran_testing"),
    (after_testing, c.Decide(decision="go"), PRODUCT_OWNER, ""),
    (after_testing, c.Decide(decision="go", valid_for="2 days"), PRODUCT_OWNER, ""),
    (after_testing, c.Decide(decision="no_go"), PRODUCT_OWNER, ""),
    (after_testing, c.Decide(decision="pivot"), PRODUCT_OWNER, ""),
    (after_testing, c.Decide(decision="pause", reason="x"), PRODUCT_OWNER, ""),
    (decided, c.CutOver(), RELEASE_MANAGER, "not possible in phase cutover"),
    (three_stages, c.Advance(), RELEASE_MANAGER, "'Errors' has not been judged in stage 2"),
    (three_stages, c.Advance(to="9%"), RELEASE_MANAGER, ""),
    (second_stage, c.GoBack(to="5%", reason="x"), RELEASE_MANAGER, ""),
    (lambda: judge_well(cut_over()), c.GoLive(), RELEASE_MANAGER, "not possible in phase go_live"),
    (answered, c.Close(outcome="keep"), RELEASE_MANAGER, ""),
    (answered, c.Close(outcome="remove"), RELEASE_MANAGER, ""),
    (cut_over, c.Halt(reason="x"), RELEASE_MANAGER, ""),
    (lambda: cut_over().then(c.Halt(reason="x")), c.Resume(reason="y"), RELEASE_MANAGER, ""),
    (cut_over, c.RollBack(), RELEASE_MANAGER, ""),
    (adopted, c.Cancel(reason="x"), RELEASE_MANAGER, ""),
    (adopted, c.Attest(item=seed().prerequisites[0].id), RELEASE_MANAGER, ""),
    (cut_over, c.Withdraw(item=seed().prerequisites[0].id), RELEASE_MANAGER, ""),
    (in_testing, c.ScheduleSession(session="s", tester="t", at=SESSION_AT), FACILITATOR, ""),
    (scheduled, c.MoveSession(session="v1", at="2022-07-31T12:00"), FACILITATOR, ""),
    (scheduled, c.CancelSession(session="v1"), FACILITATOR, ""),
    (window_due, c.OpenWindow(session="v1"), CLOCK, ""),
    (lambda: window_due().tick(), c.CloseWindow(session="v1"), FACILITATOR, ""),
    (lambda: window_due().tick(), c.MoveSession(session="v1", length="50 minutes"), FACILITATOR, ""),
    (lambda: scheduled().after(2 * HOUR), c.RecordSession(session="v1", workflows=all_done(seed())), FACILITATOR, ""),
    (lambda: scheduled().after(2 * HOUR), c.RecordSession(session="v1", outcome="no_show"), FACILITATOR, ""),
    (in_testing, c.RecordResult(item="Record load times", value="2 s"), FACILITATOR, ""),
    (week_later, c.RecordResult(item="Number of unique users", value="120", step="1 week"), RELEASE_MANAGER, ""),
    (cut_over, c.RecordVerdict(criterion="Sum of Errors", value="3"), MONITOR, ""),
    (cut_over, c.RecordVerdict(criterion="Sum of Errors", value="30"), MONITOR, ""),
    (cut_over, c.RecordVerdict(criterion="Sum of Errors", value="no data"), MONITOR, ""),
    (week_later, c.TakeSnapshot(of="1 week"), CLOCK, ""),
    (adopted, c.AnswerQuestion(question=seed().post_launch_questions[0].id, answer="well"), RELEASE_MANAGER, ""),
    (closed, c.RetireToggle(toggle=seed().toggles[0].key), RELEASE_MANAGER, ""),
    (failed_workflow, c.WaiveWorkflow(session="v1", workflow="View upcoming", reason="x"), FACILITATOR, ""),
    (adopted, c.RecordEvidence(kind="tests", about="smoke", outcome="success"), CI, ""),
    (adopted, SENT, HERALD, ""),
    (adopted, replace(SENT, outcome="not sent"), HERALD, ""),
    (adopted, c.Remind(about="x", text="y"), CLOCK, ""),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{c.name_of(case[1])}")
def test_a_command_repeated_has_no_second_effect(case: Case) -> None:
    history, command, by, refusal = case
    first = given(history()).when(command, by)
    assert first.facts, first.refusal
    for later in (first.story, first.story.after(MINUTE)):
        if refusal:
            assert any(refusal in reason for reason in given(later).when(command, by).reasons)
        else:
            given(later).when(command, by).already()


def test_every_command_is_repeated_here_except_notes_and_reports_which_are_made_as_often_as_they_are_written() -> None:
    assert {type(case[1]) for case in CASES} == set(get_args(c.Command)) - {c.AddNote, c.ReportIssue}


def test_a_verdict_is_recorded_again_once_the_full_time_is_over() -> None:
    plan = plan_of(criteria={"E": {"below": 5}}, rollout={"criteria": ["E"], "length": "1 day"})
    judge = c.RecordVerdict(criterion="E", value="1")
    story = released(plan).then(judge, by=MONITOR).after(HOUR)
    given(story).when(judge, by=MONITOR).already()
    over = story.after(DAY)
    assert given(over).when(judge, by=MONITOR).facts
    given(over.then(judge, by=MONITOR).after(HOUR)).when(judge, by=MONITOR).already()


def test_a_breach_that_goes_on_after_a_resume_halts_again() -> None:
    plan = plan_of(criteria={"E": {"below": 5, "stop_above": 9, "then": "halt"}}, rollout={"criteria": ["E"]})
    breach = c.RecordVerdict(criterion="E", value="10")
    story = released(plan).then(breach, by=MONITOR)
    given(story).when(breach, by=MONITOR).already()
    resumed = story.then(c.Resume(reason="it was the probe"))
    assert given(resumed).when(breach, by=MONITOR).story.state.halted
