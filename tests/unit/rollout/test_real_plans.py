"""What real plans say, and what the machine does with it: one test a row.

What reading and checking make of each row is tested in tests/unit/plan/test_real_plans.py; here is what happens with
it while a rollout is carried out.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS, Actor
from events.plan.checks import check
from services.rollout import commands as c
from services.rollout.asked import Surroundings
from services.rollout.status import status

from .scenario import (
    DAY,
    FACILITATOR,
    HOUR,
    MINUTE,
    MONITOR,
    OWNER,
    RELEASE_MANAGER,
    Story,
    adopted,
    attest_all,
    given,
    judge_well,
    plan_of,
    released,
    watched,
)

STAGES = ["5%", "everyone"]


def staged(**parts: Any) -> Story:
    """In the first of two stages."""
    rollout = {"stages": STAGES, **parts.pop("rollout", {})}
    return released(plan_of(rollout=rollout, **parts))


def verdict(value: str, name: str = "Errors") -> c.RecordVerdict:
    return c.RecordVerdict(criterion=name, value=value)


@pytest.mark.parametrize("blank", ["TBD", "xx lorem ipsum", "[FILL_IN]", "mm/dd/yy", "x"])
def test_gaps_block_entering_their_own_phase_not_adoption_and_a_revision_fills_them(blank: str) -> None:
    parts: dict[str, Any] = {"go_no_go": {"decided_by": ["Product Owner"]}}
    story = released(plan_of(draft=True, go_live={"date": blank, "results": []}, **parts))
    assert any(f"the plan says {blank!r} at 'go_live / date'" in text for text in story.missing())
    given(story).when(c.GoLive()).refused_only("go_live / date")
    filled = story.then(c.RevisePlan(plan=plan_of(draft=True, go_live={"date": "2022-09-01", "results": []}, **parts)))
    given(filled).when(c.GoLive()).then_among(f.PhaseEntered("go_live"))


TWO_LIMITS = {"Errors": {"below": "5%", "stop_above": "50%", "then": "roll back"}}


def test_two_limits_the_pass_limit_gates_only_the_stop_limit_stops_and_between_them_a_go_is_needed() -> None:
    story = staged(criteria=TWO_LIMITS, rollout={"criteria": ["Errors"]})
    given(story.then(verdict("1%"))).when(c.Advance()).then_among(f.StageEntered(2))
    between = story.then(verdict("7%"))
    assert between.state.phase == "cutover"
    assert not between.state.halted
    given(between).when(c.Advance()).refused_only("going on needs an explicit go of Product Owner")
    given(between.then(c.Decide(decision="go", step="stage-2"), by=OWNER)).when(c.Advance()).then_among(
        f.StageEntered(2)
    )
    given(story).when(verdict("51%"), by=MONITOR).then_among(f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back"))


def test_minimums_are_waited_for_and_never_a_breach() -> None:
    story = staged(criteria={"Users": {"at_least": 25}}, rollout={"criteria": ["Users"]}).then(verdict("3", "Users"))
    assert (story.state.phase, story.state.halted) == ("cutover", False)
    given(story).when(c.Advance()).refused_only("'Users' is inconclusive: 3 is not at least 25 yet")


def test_no_number_or_only_an_expectation_is_recorded_before_leaving_and_its_value_never_blocks() -> None:
    story = staged(criteria={"Users": {"expect": "about 700"}}, rollout={"criteria": ["Users"]})
    given(story).when(c.Advance()).refused_only("'Users' has not been judged")
    given(story.then(verdict("3", "Users"))).when(c.Advance()).then_among(f.StageEntered(2))


def test_a_trend_without_a_threshold_is_judged_by_a_person_and_with_one_it_is_measured() -> None:
    judged = staged(criteria={"Calls": {"trend": "no higher"}}, rollout={"criteria": ["Calls"]})
    by_person = c.RecordVerdict(criterion="Calls", verdict="pass")
    given(judged.then(by_person)).when(c.Advance()).then_among(f.StageEntered(2))
    trend = {"trend": "no higher", "than": "40 calls", "tolerance": "10%"}
    measured = staged(criteria={"Calls": trend}, rollout={"criteria": ["Calls"]})
    given(measured).when(by_person).refused("record its value", code="invalid")
    given(measured.then(verdict("45", "Calls"))).when(c.Advance()).refused_only(
        "45 calls is not no higher than 40 calls"
    )
    given(measured.then(verdict("44", "Calls"))).when(c.Advance()).then_among(f.StageEntered(2))


def test_written_the_wrong_way_round_is_never_turned_round() -> None:
    plan = plan_of(criteria={"Error rate": {"at_least": "5%"}}, rollout={"criteria": ["Error rate"], "stages": STAGES})
    assert any("right way round" in finding.text for finding in check(plan))
    given(released(plan).then(verdict("7%", "Error rate"))).when(c.Advance()).then_among(f.StageEntered(2))
    given(released(plan).then(verdict("1%", "Error rate"))).when(c.Advance()).refused_only("is not at least 5%")


def test_entry_criteria_are_attested_before_a_step_and_prerequisites_before_the_first_exposure() -> None:
    testing = {"testers": 1, "before": [{"text": "Scripts are ready", "attested_by": "Product Owner"}]}
    story = watched(plan_of(testing=testing, prerequisites=["HSRM is live"]))
    given(story).when(c.StartTesting()).refused_only(
        "prerequisite 'HSRM is live' is not attested", "'Scripts are ready' is not attested by Product Owner"
    )
    story = story.then(c.Attest(item="scripts-are-ready"), by=OWNER).then(c.Attest(item="hsrm-is-live"))
    given(story).when(c.StartTesting()).then_among(f.ExposureSet(TESTERS))


def test_banners_and_letters_gate_only_under_before() -> None:
    second: dict[str, Any] = {"to": "everyone", "reminders": ["Put up the banner"]}
    given(staged(rollout={"stages": ["5%", second]})).when(c.Advance()).then_among(f.StageEntered(2))
    gating = staged(rollout={"stages": ["5%", {**second, "before": ["The letter is sent"]}]})
    given(gating).when(c.Advance()).refused_only("'The letter is sent' is not attested")


def test_testing_without_meetings_counts_testers_for_the_whole_phase() -> None:
    story = watched(plan_of(testing={"access": "whole phase", "testers": 2})).then(c.StartTesting())
    given(story).when(c.CutOver()).refused_only("0 of 2 testers have taken part")
    for name in ("one", "two"):
        story = story.then(c.ScheduleSession(session=name, tester=name), by=FACILITATOR).tick()
    given(story).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))
    missed = story.then(c.RecordSession(session="two", outcome="no_show"))
    given(missed).when(c.CutOver()).refused_only("1 of 2 testers have taken part")


def test_testing_with_workflows_covers_them_only_where_they_are_listed() -> None:
    meetings = {"sessions": {"length": "30 minutes"}, "workflows": ["View", "Cancel"]}
    story = watched(plan_of(testing=meetings)).then(c.StartTesting())
    assert sum("workflow" in text for text in story.missing()) == 2
    none = watched(plan_of(testing={"sessions": {"length": "30 minutes"}})).then(c.StartTesting())
    assert none.missing() == ("1 more test session must be held and recorded (0 of 1)",)


def test_testing_in_staging_has_results_and_no_windows() -> None:
    staging = plan_of(prerequisites=["Ready"], testing={"environment": "staging", "testers": 3, "results": ["Bugs"]})
    story = given(watched(staging)).when(c.StartTesting()).then_among(f.PhaseEntered("veteran_testing"))
    assert story.state.exposure == NOBODY
    given(story).when(c.CutOver()).refused_only("'Bugs' is not recorded for testing", "prerequisite 'Ready'")


def test_the_watch_is_an_interval_since_the_deploy_that_ends_with_its_last_part() -> None:
    plan = plan_of(deploy={"services": ["api"], "watch": [{"until": "0-4 hrs"}, {"until": "4-48 hours"}]})
    story = adopted(plan).then(c.ReportDeploy(service="api", version="1"))
    given(story.after(47 * HOUR)).when(c.CutOver()).refused_only("code deployment lasts until 2022-07-31 13:00 UTC")
    given(story.after(48 * HOUR)).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))


def test_four_hours_to_one_day_is_a_minimum_and_a_maximum() -> None:
    story = staged(rollout={"stages": [{"to": "5%", "length": "4 hours to 1 day"}, "everyone"]})
    given(story.after(3 * HOUR)).when(c.Advance()).refused_only("lasts until")
    given(story.after(4 * HOUR)).when(c.Advance()).then_among(f.StageEntered(2))
    said = story.after(4 * HOUR).tick().after(DAY)
    assert [due.what for due in said.due()] == ["stage 1 (5%) has lasted as long as the plan allows"]
    given(said).when(c.Advance()).then_among(f.StageEntered(2))


def test_dates_stand_beside_the_actual_and_gate_nothing() -> None:
    story = staged(
        rollout={"dates": "week of 2023-01-02", "stages": [{"to": "5%", "dates": "2023-01-02 3am-8am"}, "25%"]}
    )
    given(story).when(c.Advance()).then_among(f.StageEntered(2))


def test_expected_users_never_gate() -> None:
    story = staged(rollout={"stages": [{"to": "5%", "users": "about 700"}, "everyone"]})
    given(story).when(c.Advance()).then_among(f.StageEntered(2))


def test_who_monitors_and_who_is_on_call_gate_nothing() -> None:
    story = staged(on_call=["Ann"], rollout={"monitored_by": ["The team"]})
    given(story).when(c.Advance()).then_among(f.StageEntered(2))


def test_go_no_go_questions_are_answered_by_their_role_before_go_and_their_answers_stay() -> None:
    question = {"text": "Is the help desk trained? yes/no", "answered_by": "Help Desk"}
    story = watched(plan_of(go_no_go={"decided_by": ["Product Owner"], "questions": [question]}))
    go = c.Decide(decision="go")
    given(story).when(go, by=OWNER).refused_only("'Is the help desk trained?' is not answered by Help Desk")
    desk = Actor("hal", "approver", ("Help Desk",))
    story = story.then(c.AnswerQuestion(question="is-the-help-desk-trained", answer="yes, all"), by=desk)
    story = story.then(go, by=OWNER)
    answer = story.state.answers["is-the-help-desk-trained"]
    assert (answer.value, answer.note, answer.subject) == ("yes", "all", "hal")


def test_rollback_triggers_are_a_reason_and_steps_come_after_it_never_before() -> None:
    rollback = {"triggers": ["Help desk asks"], "steps": ["Tell the help desk"], "decided_by": ["Product Owner"]}
    story = staged(rollback=rollback)
    given(story).when(c.RollBack(reason="Help desk asks"), by=FACILITATOR).then(
        f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back")
    )


def test_before_release_again_is_attested_after_the_rollback_and_before_a_later_cutover() -> None:
    plan = plan_of(before_release_again=[{"text": "The cause is known", "attested_by": "Product Owner"}])
    assert released(plan).state.phase == "cutover"
    story = released(plan).then(c.Attest(item="the-cause-is-known"), by=OWNER).after(MINUTE).then(c.RollBack())
    story = judge_well(story.then(c.ReportDeploy(service="api", version="2")).after(DAY))
    story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER)
    given(story).when(c.CutOver()).refused_only(
        "'The cause is known' is not attested by Product Owner since the rollback"
    )
    given(story.then(c.Attest(item="the-cause-is-known"), by=OWNER)).when(c.CutOver()).then_among(
        f.ExposureSet(EVERYONE)
    )


def test_an_experiment_s_end_is_asked_about_by_the_clock_which_switches_nothing() -> None:
    story = released(plan_of(go_live={"experiment": "6 weeks", "results_after": [], "results": []})).after(42 * DAY)
    (end,) = story.due()
    assert end.what == "the experiment is over: Keep, change or remove?"
    asked = story.tick()
    assert asked.state.exposure == EVERYONE
    assert asked.due() == ()


def test_typed_answers_block_only_if_a_criterion_says_so() -> None:
    results = ["Bugs: found/fixed", "Any issues? yes/no, and a note"]
    story = staged(rollout={"results": results})
    for item, value in (("bugs", "3/1"), ("any-issues", "yes, one")):
        story = story.then(c.RecordResult(item=item, value=value))
    given(story).when(c.Advance()).then_among(f.StageEntered(2))
    must = staged(rollout={"results": [{"text": "Any issues? yes/no", "must_be": "no"}]})
    must = must.then(c.RecordResult(item="any-issues", value="yes"))
    given(must).when(c.Advance()).refused_only("'Any issues?' must be 'no', recorded was 'yes'")


def test_clean_up_comes_after_the_close_and_toggles_answer_until_they_are_retired() -> None:
    parts: dict[str, Any] = {"go_no_go": {"decided_by": ["Product Owner"]}, "post_launch_questions": []}
    plan = plan_of(tasks=["Remove the toggle"], go_live={"results_after": [], "results": []}, **parts)
    story = released(plan).then(c.GoLive()).then(c.Close(outcome="keep"))
    assert (story.state.exposure, status(story.state, story.now).toggles) == (EVERYONE, ("a_toggle",))
    retired = story.then(c.RetireToggle(toggle="a_toggle"))
    assert status(retired.state, retired.now).toggles == ()


def test_no_toggle_named_blocks_the_first_exposure() -> None:
    story = watched(plan_of(draft=True, toggles="TBD"))
    given(story).when(c.CutOver()).refused_only("the plan says 'TBD' at 'toggles'", "the plan names no toggle")
    testing = watched(plan_of(draft=True, toggles="TBD", testing={"testers": 1}))
    given(testing).when(c.StartTesting()).refused_only("the plan says 'TBD' at 'toggles'", "the plan names no toggle")
    named = story.then(c.RevisePlan(plan=plan_of()))
    given(named).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))


def test_switched_elsewhere_a_person_attests_each_exposure() -> None:
    story = watched(plan_of(switch="elsewhere", toggles={}, rollout={"stages": STAGES}))
    given(story).when(c.CutOver()).refused_only("'switched elsewhere to 5%' is not attested by the release manager")
    story = story.then(c.Attest(item="switched-stage-1")).then(c.CutOver())
    given(story).when(c.Advance()).refused_only("'switched elsewhere to everyone' is not attested")
    given(story.then(c.Attest(item="switched-stage-2"))).when(c.Advance()).then_among(f.ExposureSet(EVERYONE))


def test_no_approver_named_means_the_service_s_default_and_with_none_decide_says_so() -> None:
    plan = plan_of(go_no_go={})
    platform = Actor("pia", "approver", ("Platform",))
    around = Surroundings(default_approvers=("Platform",))
    story = replace(Story(), around=around).then(c.Adopt(plan=plan))
    story = story.then(c.ReportDeploy(service="api", version="1")).after(DAY)
    given(story).when(c.CutOver()).refused_only("Platform has not decided go for stage 1 (everyone)")
    given(story.then(c.Decide(decision="go"), by=platform)).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))
    nobody = watched(plan)
    given(nobody).when(c.Decide(decision="go"), by=platform).refused_only("names nobody to decide")
    given(nobody).when(c.CutOver()).refused_only("nobody is named to decide go for stage 1 (everyone)")


def test_results_after_two_and_three_months_and_a_kpi_with_a_baseline() -> None:
    kpi = {"name": "Claims", "at_least": "1,000", "before": "an average of 900"}
    go_live = {"results_after": ["2 months", "3 months"], "results": [], "kpis": [kpi]}
    story = released(plan_of(go_no_go={"decided_by": ["Product Owner"]}, go_live=go_live)).then(c.GoLive())
    assert [due.command for due in story.after(90 * DAY).due()] == [
        c.TakeSnapshot(of="2 months"),
        c.TakeSnapshot(of="3 months"),
    ]
    recorded = story.when(c.RecordResult(item="Claims", value="950", step="2 months"))
    recorded.then(f.ResultRecorded("2 months", "Claims", "950", verdict="inconclusive"))


def test_volume_too_low_revises_the_length_or_the_group_of_the_current_stage() -> None:
    groups: dict[str, Any] = {"One": {"attribute": "site", "any_of": ["983"]}}
    stages: list[Any] = [{"to": "One", "length": "2 days"}, "everyone"]
    story = released(plan_of(groups=groups, rollout={"stages": stages}))
    longer = plan_of(groups=groups, rollout={"stages": [{"to": "One", "length": "1 week"}, "everyone"]})
    assert "stage 1 (One) lasts until 2022-08-06 13:00 UTC" in story.then(c.RevisePlan(plan=longer)).missing()
    wider = plan_of(groups={"One": {"attribute": "site", "any_of": ["983", "984"]}}, rollout={"stages": stages})
    after = story.then(c.RevisePlan(plan=wider))
    assert after.state.exposure.audiences[0].any_of == ("983", "984")
    assert not after.state.any_go


def test_several_plans_for_one_release_wait_for_each_other() -> None:
    story = attest_all(watched(plan_of(after=["the-first"])))
    given(story).when(c.CutOver(), by=RELEASE_MANAGER).refused_only("'the-first' comes first and is not adopted")
    for phase in ("go_live", "closed"):
        later = replace(story, around=Surroundings(phases={"the-first": phase}))
        given(later).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))
