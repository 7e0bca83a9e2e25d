"""What belongs to one release does not count for the next: results, answers, sessions, windows after a rollback."""

from __future__ import annotations

from typing import Any

from events import facts as f
from events.facts import EVERYONE, NOBODY
from services.rollout import commands as c

from .scenario import (
    CLOCK,
    DAY,
    FACILITATOR,
    HOUR,
    MINUTE,
    OWNER,
    PRODUCT_OWNER,
    STAKEHOLDERS,
    Story,
    all_done,
    answered,
    attest_all,
    both_decide,
    decided,
    deploy,
    given,
    held_at,
    in_testing,
    judge_well,
    plan_of,
    record_results,
    released,
    rolled_back,
    scheduled,
    watched,
)


def again_in_testing() -> Story:
    """Rolled back, deployed anew, and in testing again."""
    story = deploy(rolled_back().after(HOUR), "2").after(DAY)
    return record_results(judge_well(story)).then(c.StartTesting())


def test_after_a_rollback_and_a_new_deploy_everything_is_judged_recorded_and_tested_anew() -> None:
    story = deploy(rolled_back().after(HOUR), "2").after(DAY)
    given(story).when(c.StartTesting()).refused_only(
        "'Sum of Errors' has not been judged",
        "'Breaker Skipped Alert' has not been judged",
        "'Average VAOS Latency' has not been judged",
        "'Was the data submitted (if any) easy for VA to process?' is not recorded",
        "'Types of errors logged' is not recorded",
    )


def test_sessions_of_the_round_before_do_not_count() -> None:
    missing = again_in_testing().missing()
    assert any("1 more test session must be held" in text for text in missing)
    assert any("was done 0 of 1 times" in text for text in missing)


def test_a_session_that_nobody_recorded_before_a_rollback_does_not_block_the_next_round() -> None:
    over = scheduled().after(2 * HOUR).tick().then(c.RollBack())
    story = record_results(judge_well(deploy(over, "2").after(DAY))).then(c.StartTesting())
    assert not any("'v1'" in text for text in story.missing())


def test_a_rollback_before_any_stage_leads_to_no_cutover_without_a_new_deploy() -> None:
    story = both_decide(in_testing().then(c.RollBack()))
    given(story).when(c.CutOver()).refused_only("without a new deploy the rollout does not go above testing")
    assert story.missing() == ("rolled back before the first stage: a new deploy must be reported",)


def test_rolling_back_twice_does_not_skip_the_testing_of_a_new_version() -> None:
    story = both_decide(deploy(rolled_back(), "2").then(c.RollBack()))
    given(story).when(c.CutOver()).refused("without a new deploy")


def test_after_a_rollback_without_a_new_deploy_the_stage_that_failed_is_the_highest() -> None:
    stages = {"stages": ["5%", "25%", "everyone"]}
    story = released(plan_of(rollout=stages)).then(c.Advance()).then(c.RollBack())
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER).then(c.CutOver()).then(c.Advance())
    given(story).when(c.Advance()).refused_only("without a new deploy the rollout does not go above 25% of users")
    assert "without a new deploy the rollout does not go above 25% of users, which failed" in story.missing()
    given(deploy(story, "2")).when(c.Advance()).then_among(f.StageEntered(3))


def test_going_live_is_above_the_last_stage_when_that_failed_at_less_than_everyone() -> None:
    plan = plan_of(go_no_go={"decided_by": ["Product Owner"]}, rollout={"stages": ["5%"]})
    go = c.Decide(decision="go", step="stage-1")
    again = released(plan).then(c.RollBack()).then(go, by=OWNER).then(c.CutOver())
    given(again).when(c.GoLive()).refused_only(
        "without a new deploy the rollout does not go above 5% of users, which failed"
    )
    given(deploy(again, "2")).when(c.GoLive()).then_among(f.ExposureSet(EVERYONE))
    was_live = released(plan).then(c.GoLive()).then(c.RollBack()).then(go, by=OWNER).then(c.CutOver())
    given(was_live).when(c.GoLive()).then_among(f.ExposureSet(EVERYONE))


def test_a_plan_cannot_be_revised_to_come_back_wider_than_what_failed() -> None:
    story = released(plan_of(rollout={"stages": ["5%", "everyone"]})).then(c.RollBack())
    wider = plan_of(rollout={"stages": ["everyone"]})
    given(story).when(c.RevisePlan(plan=wider)).refused("without a new deploy")
    narrower = plan_of(rollout={"stages": ["1%", "everyone"]})
    given(story).when(c.RevisePlan(plan=narrower)).then_among()


def test_a_shorter_plan_does_not_come_back_above_what_failed() -> None:
    gone = {"decided_by": ["Product Owner"]}
    story = released(plan_of(go_no_go=gone, rollout={"stages": ["10%", "50%", "everyone"]}))
    story = story.then(c.Advance(to="50%")).then(c.RollBack())
    shorter = c.RevisePlan(plan=plan_of(go_no_go=gone, rollout={"stages": ["10%"]}))
    everyone = c.RevisePlan(plan=plan_of(go_no_go=gone, rollout={"stages": ["everyone"]}))
    words = "without a new deploy stage 1 does not go above 50% of users, which failed"
    given(story.then(shorter)).when(everyone).refused_only(words)
    again = story.then(shorter).then(c.Decide(decision="go"), by=OWNER).then(c.CutOver())
    given(again).when(c.GoLive()).refused_only("does not go above 50% of users, which failed")
    given(deploy(again, "2")).when(c.GoLive()).then_among(f.ExposureSet(EVERYONE))


def test_a_range_put_into_the_plan_does_not_reach_above_what_failed() -> None:
    story = released(plan_of(rollout={"stages": ["10%", "50%", "everyone"]})).then(c.RollBack())
    story = story.then(c.RevisePlan(plan=plan_of(rollout={"stages": ["5% to 90%", "everyone"]})))
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER).then(c.CutOver())
    given(story).when(c.Advance(to="90%")).refused_only("does not go above 10% of users, which failed")
    given(story).when(c.Advance(to="10%")).then_among()


def test_a_plan_is_not_revised_above_what_failed_once_it_is_cut_over_again() -> None:
    parts: dict[str, Any] = {"groups": {"Staff": {"users": ["u1"]}}}
    story = released(plan_of(**parts, rollout={"stages": ["10%", "everyone"]})).then(c.RollBack())
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER).then(c.CutOver())
    staff = c.RevisePlan(plan=plan_of(**parts, rollout={"stages": ["Staff", "everyone"]}))
    given(story).when(staff).refused_only("without a new deploy stage 1 does not go above 10% of users, which failed")
    given(deploy(story, "2")).when(staff).then_among()


def test_the_stage_under_way_is_not_revised_above_what_failed_either() -> None:
    parts: dict[str, Any] = {"groups": {"Staff": {"users": ["u1"]}}}
    story = released(plan_of(**parts, rollout={"stages": ["10%", "50%", "everyone"]})).then(c.Advance())
    story = story.then(c.RollBack()).then(c.Decide(decision="go", step="stage-1"), by=OWNER).then(c.CutOver())
    staff = c.RevisePlan(plan=plan_of(**parts, rollout={"stages": ["10%", "Staff", "everyone"]}))
    given(story.then(c.Advance())).when(staff).refused_only("stage 2 does not go above 50% of users, which failed")


def test_a_release_that_was_removed_and_rolled_back_comes_back_to_everyone() -> None:
    story = both_decide(answered().then(c.Close(outcome="remove")).then(c.RollBack()))
    given(story).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))


def test_answers_from_before_a_rollback_do_not_close_the_next_release() -> None:
    story = answered().then(c.RollBack())
    story = both_decide(story).then(c.CutOver())
    story = judge_well(story).then(c.GoLive()).after(31 * DAY)
    missing = story.missing()
    assert sum("is not answered" in text for text in missing) == 4
    assert sum("is not recorded" in text for text in missing) == 16
    question = story.state.plan.post_launch_questions[0].id
    given(story).when(c.AnswerQuestion(question=question, answer="as hoped")).then(
        f.QuestionAnswered(question, "as hoped")
    )


def test_go_no_go_questions_are_answered_again_after_a_rollback() -> None:
    asked = {"decided_by": ["Product Owner"], "questions": ["Is the help desk trained? yes/no"]}
    story = attest_all(watched(plan_of(go_no_go=asked)))
    answer = c.AnswerQuestion(question="Is the help desk trained?", answer="yes")
    story = story.then(answer, by=OWNER).then(c.Decide(decision="go"), by=OWNER).then(c.CutOver()).then(c.RollBack())
    given(story).when(c.Decide(decision="go"), by=OWNER).refused("'Is the help desk trained?' is not answered")
    story.then(answer, by=OWNER).then(c.Decide(decision="go"), by=OWNER)


def test_a_snapshot_holds_nothing_of_the_round_before() -> None:
    story = both_decide(answered().then(c.RollBack())).then(c.CutOver()).after(8 * DAY)
    facts = story.when(c.TakeSnapshot(of="1 week"), by=CLOCK).facts
    (snapshot,) = facts
    assert isinstance(snapshot, f.SnapshotTaken)
    assert {entry.value for entry in snapshot.entries} == {""}


def test_a_window_that_is_open_when_its_session_is_recorded_ends_with_the_rollback() -> None:
    story = scheduled().after(65 * MINUTE).tick()
    story = story.then(c.RecordSession(session="v1", workflows=all_done(story.state.plan)), by=FACILITATOR)
    given(story).when(c.RollBack()).then(f.ExposureSet(NOBODY), f.WindowClosed("v1"), f.PhaseEntered("rolled_back"))


def test_every_window_ends_with_the_rollout() -> None:
    for end in (c.RollBack(), c.Close(outcome="keep"), c.Close(outcome="remove")):
        story = answered()
        at = (story.now + MINUTE).isoformat()
        story = story.then(c.ScheduleSession(session="late", tester="t-9", at=at), by=FACILITATOR)
        after = story.then(end)
        assert {s.window for s in after.state.sessions.values()} == {"closed"}
        assert after.state.sessions["late"].outcome == "cancelled"


def test_sessions_planned_ahead_end_when_the_rollout_is_cancelled() -> None:
    story = watched()
    at = (story.now + HOUR).isoformat()
    story = story.then(c.ScheduleSession(session="v1", tester="t-1", at=at), by=FACILITATOR)
    given(story).when(c.Cancel(reason="given up")).then(
        f.SessionCancelled("v1", "the release was cancelled"), f.PhaseEntered("cancelled")
    )


def test_access_for_the_whole_phase_ends_at_the_cutover_recorded_or_not() -> None:
    plan = plan_of(testing={"access": "whole phase", "testers": 2}, rollout={"stages": ["5%", "everyone"]})
    story = attest_all(watched(plan)).then(c.StartTesting())
    for name in ("one", "two"):
        story = story.then(c.ScheduleSession(session=name, tester=name), by=FACILITATOR).tick()
    story = story.then(c.RecordSession(session="one"), by=FACILITATOR)
    given(story).when(c.CutOver()).then_among(f.WindowClosed("one"), f.WindowClosed("two"))
    later = story.then(c.CutOver())
    given(later).when(c.ScheduleSession(session="three", tester="three"), by=FACILITATOR).refused(
        "testing has ended", code="invalid"
    )


def test_a_plan_switched_elsewhere_has_each_exposure_attested_again() -> None:
    story = released(plan_of(switch="elsewhere", toggles={})).then(c.RollBack())
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER)
    given(story).when(c.CutOver()).refused_only("'switched elsewhere to everyone' is not attested")
    story.then(c.Attest(item="switched-stage-1")).then(c.CutOver())


def test_going_on_after_a_rollback_needs_a_go_from_after_it() -> None:
    story = rolled_back()
    given(story).when(c.CutOver()).refused_only(
        "the go of VAOS Product Owner for stage 1 (everyone) is void: the release was rolled back after it",
        "the go of Business Stakeholders for stage 1 (everyone) is void: the release was rolled back after it",
    )
    story = story.then(c.Decide(decision="go"), by=PRODUCT_OWNER).then(c.Decide(decision="go"), by=STAKEHOLDERS)
    given(story).when(c.CutOver()).then_among(f.PhaseEntered("cutover"), f.ExposureSet(f.EVERYONE))


def test_what_must_be_so_before_a_release_again_is_attested_after_the_rollback() -> None:
    plan = plan_of(before_release_again=["The cause is known"])
    story = released(plan)
    story = story.then(c.Attest(item="The cause is known")).then(c.RollBack())
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER)
    given(story).when(c.CutOver()).refused_only("'The cause is known' is not attested by the release manager since")
    story.then(c.Attest(item="the-cause-is-known")).then(c.CutOver())


def test_a_second_round_counts_its_own_sessions() -> None:
    story = both_decide(record_results(held_at(again_in_testing(), "v2", "t-1")))
    given(story).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))
    assert decided().missing() == story.missing() == ()


def test_a_rollback_takes_no_code_away_so_one_new_version_starts_the_watch() -> None:
    story = rolled_back()
    assert len(story.state.plan.deploy.services) == 2
    given(story).when(c.ReportDeploy(service="vets-api", version="2")).then(
        f.PhaseEntered("code_deploy"), f.DeployReported("vets-api", "production", "2"), f.WatchStarted()
    )
