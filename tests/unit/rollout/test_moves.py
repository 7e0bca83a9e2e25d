"""Every row of the table of moves: from where, to where, what it needs, in words."""

from __future__ import annotations

from typing import Any

import pytest

from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS
from services.rollout import commands as c
from services.rollout.asked import Surroundings

from .scenario import (
    CI,
    DAY,
    HISTORIES,
    HOUR,
    OWNER,
    RELEASE_MANAGER,
    Story,
    adopted,
    after_testing,
    answered,
    attest_all,
    closed,
    cut_over,
    decided,
    deploy,
    deployed,
    given,
    in_testing,
    judge_well,
    live,
    plan_of,
    record_results,
    released,
    rolled_back,
    seed,
    watched,
)

STAGES = {"stages": ["5%", {"to": "25%", "title": "Quarter"}, "everyone"]}


def report(service: str, version: str = "1", environment: str = "production") -> c.ReportDeploy:
    return c.ReportDeploy(service=service, version=version, environment=environment)


# -- report_deploy


def test_the_watch_starts_when_every_service_has_reported_and_nobody_is_exposed() -> None:
    story = given(adopted()).when(report("vets-api"), by=CI)
    one = story.then(f.PhaseEntered("code_deploy"), f.DeployReported("vets-api", "production", "1"))
    assert one.missing()[0] == "vets-website has not been reported as deployed to production"
    two = given(one).when(report("vets-website"), by=CI)
    after = two.then(f.DeployReported("vets-website", "production", "1"), f.WatchStarted())
    assert after.state.exposure == NOBODY
    assert after.missing()[0] == "code deployment lasts until 2022-07-30 09:00 EDT"


def test_a_new_version_restarts_the_watch() -> None:
    story = watched().when(report("vets-api", "2"), by=CI)
    after = story.then(f.DeployReported("vets-api", "production", "2"), f.WatchStarted())
    assert any("lasts until 2022-07-31 09:00 EDT" in text for text in after.missing())
    assert any("'Sum of Errors' has not been judged" in text for text in after.missing())


@pytest.mark.parametrize("history", ["testing", "cut over", "live"])
def test_a_later_deploy_is_recorded_without_a_move_and_voids_the_go(history: str) -> None:
    story = HISTORIES[history]()
    phase = story.state.phase
    after = given(story).when(report("vets-api", "2"), by=CI).then(f.DeployReported("vets-api", "production", "2"))
    assert (after.state.phase, after.state.exposure) == (phase, story.state.exposure)
    assert after.state.step_since == after.now
    assert not after.state.any_go


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (report("vets-apy"), "the plan deploys vets-website, vets-api; found 'vets-apy'"),
        (report("vets-api", "1", "staging"), "the plan is about 'production', the deploy is of 'staging'"),
    ],
)
def test_a_deploy_of_something_else_is_refused(command: c.ReportDeploy, words: str) -> None:
    given(adopted()).when(command, by=CI).refused_only(words)


def test_a_deploy_needs_a_version() -> None:
    given(adopted()).when(report("vets-api", " "), by=CI).refused("a service and a version", code="invalid")


def test_what_the_plan_asks_for_before_the_deploy_is_attested_first() -> None:
    plan = plan_of(deploy={"services": ["api"], "before": ["The database is migrated"]})
    given(plan).when(report("api"), by=CI).refused_only("'The database is migrated' is not attested")
    given(plan).then(c.Attest(item="the-database-is-migrated")).then(report("api"), by=CI)


# -- start_testing


def test_testing_starts_with_testers_in_their_windows_and_nobody_else() -> None:
    story = attest_all(watched())
    given(story).when(c.StartTesting()).then_among(f.PhaseEntered("veteran_testing"), f.ExposureSet(TESTERS))


def test_testing_does_not_start_while_anything_is_missing_and_all_of_it_is_said() -> None:
    given(deployed()).when(c.StartTesting()).refused_only(
        "code deployment lasts until 2022-07-30 09:00 EDT",
        "'Sum of Errors' has not been judged",
        "'Breaker Skipped Alert' has not been judged",
        "'Average VAOS Latency' has not been judged",
        "'Was the data submitted (if any) easy for VA to process?' is not recorded",
        "'Types of errors logged' is not recorded for code deployment",
        "prerequisite 'HSRM is launched",
        "prerequisite 'VAOS Service is launched",
        "'Business Stakeholders approved Veteran-facing launch' is not attested by Business Stakeholders",
        "'VAOS Product Owner approved Veteran-facing launch' is not attested by VAOS Product Owner",
    )


def test_a_plan_that_waives_testing_does_not_start_it() -> None:
    given(watched(plan_of())).when(c.StartTesting()).refused_only("the plan waives testing (a small change)")


# -- cut_over


def test_cutting_over_switches_the_whole_group_in_one_record() -> None:
    after = (
        given(decided())
        .when(c.CutOver())
        .then_among(f.PhaseEntered("cutover"), f.StageEntered(1), f.ExposureSet(EVERYONE))
    )
    assert (after.state.stage, after.state.released_at) == (1, after.now)


def test_no_cutover_while_a_prerequisite_is_withdrawn() -> None:
    withdrawn = decided().then(c.Withdraw(item=seed().prerequisites[0].id, reason="HSRM is down"))
    given(withdrawn).when(c.CutOver()).refused_only(
        "halted: 'HSRM is launched",
        "was withdrawn: the release manager must attest it again",
        "the go of VAOS Product Owner for stage 1 (everyone) is void: an attestation was withdrawn after it",
        "the go of Business Stakeholders for stage 1 (everyone) is void: an attestation was withdrawn after it",
    )


def test_no_cutover_before_the_testing_that_the_plan_asks_for() -> None:
    given(attest_all(watched())).when(c.CutOver()).refused(
        "the plan asks for testing first", "VAOS Product Owner has not decided go for stage 1 (everyone)"
    )


def test_no_cutover_before_a_session_was_held_and_every_workflow_done() -> None:
    given(in_testing()).when(c.CutOver()).refused(
        "'Record load times' is not recorded for testing",
        "1 more test session must be held and recorded (0 of 1)",
        "workflow 'View upcoming appointments and appointment requests' was done 0 of 1 times",
    )


def test_a_plan_that_waives_testing_cuts_over_after_the_watch() -> None:
    given(watched(plan_of())).when(c.CutOver()).then_among(f.PhaseEntered("cutover"), f.ExposureSet(EVERYONE))


def test_no_cutover_in_a_freeze() -> None:
    plan = plan_of(freezes=[{"first": "2022-07-30", "last": "2022-07-31", "why": "a holiday"}])
    story = watched(plan)
    given(story).when(c.CutOver()).refused_only("frozen from 2022-07-30 to 2022-07-31 (a holiday)")
    given(story.after(2 * DAY)).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))


def test_a_plan_that_comes_after_another_waits_for_its_release() -> None:
    story = watched(plan_of(after=["the-first"]))
    given(story).when(c.CutOver()).refused_only("'the-first' comes first and is not adopted")
    rest = Story(story.rollout, story.now, story.records, Surroundings(phases={"the-first": "cutover"}))
    given(rest).when(c.CutOver()).refused_only("'the-first' comes first and is cutover")
    done = Story(story.rollout, story.now, story.records, Surroundings(phases={"the-first": "go_live"}))
    given(done).when(c.CutOver()).then_among(f.ExposureSet(EVERYONE))


# -- advance


def test_advancing_takes_the_group_from_nobody() -> None:
    groups = {"Staff": {"users": ["u1", "u2"]}}
    story = released(plan_of(groups=groups, rollout={"stages": ["Staff", "10%", "everyone"]}))
    after = story.then(c.Advance())
    staff, ten = f.Audience(group="Staff", users=("u1", "u2")), f.Audience(percentage=10)
    assert after.state.exposure == f.Exposure("cohort", (staff, ten))
    given(after).when(c.Advance()).then(f.StageEntered(3), f.ExposureSet(EVERYONE))


@pytest.mark.parametrize("to", ["", "stage-2", "2", "Quarter", "25%", "25"])
def test_a_stage_is_named_by_number_title_or_audience(to: str) -> None:
    given(released(plan_of(rollout=STAGES))).when(c.Advance(to=to)).then_among(f.StageEntered(2, "Quarter"))


def test_advancing_to_what_is_no_later_stage_is_refused() -> None:
    story = released(plan_of(rollout=STAGES)).then(c.Advance())
    given(story).when(c.Advance(to="half")).refused_only("'half' is no later stage of the plan; still to come")
    given(story).when(c.Advance(to="5%")).refused_only("'5%' is no later stage")
    given(story).when(c.Advance(to="Quarter")).already()
    given(story.then(c.Advance())).when(c.Advance()).refused_only("this is the last stage: go live")


def test_advancing_outside_of_cutover_is_refused() -> None:
    given(decided()).when(c.Advance()).refused_only(
        "advance is not possible in phase veteran_testing; it is in: cutover"
    )


def test_a_stage_is_left_when_its_time_is_over_and_its_criteria_passed_over_all_of_it() -> None:
    rollout = {"length": "2 days", "criteria": ["Errors"], "results": ["Calls"], **STAGES}
    story = released(plan_of(criteria={"Errors": {"below": 5}}, rollout=rollout))
    judge = c.RecordVerdict(criterion="Errors", value="1")
    early = story.after(DAY).then(judge).then(c.RecordResult(item="Calls", value="none"))
    given(early).when(c.Advance()).refused_only(
        "stage 1 (5%) lasts until 2022-08-01 13:00 UTC", "'Errors' was judged before the full time was over"
    )
    over = early.after(DAY)
    given(over).when(c.Advance()).refused_only("'Errors' was judged before the full time was over")
    given(over.then(judge)).when(c.Advance()).then_among(f.StageEntered(2, "Quarter"))


def test_going_up_within_a_range_stays_in_the_stage() -> None:
    story = released(plan_of(rollout={"stages": ["5% to 25%", "everyone"]}))
    after = (
        given(story)
        .when(c.Advance(to="10%"))
        .then(f.ExposureSet(f.Exposure("percentage", (f.Audience(percentage=10),))))
    )
    assert after.state.stage == 1
    given(after).when(c.Advance(to="10%")).refused_only("10% is not more than now (10% of users)")
    given(after).when(c.Advance(to="7%")).refused_only("7% is not more than now")
    given(after).when(c.Advance(to="26%")).refused_only("'26%' is no later stage of the plan")
    given(after).when(c.Advance(to="nan")).refused_only("'nan' is no later stage of the plan")


def test_going_up_within_a_range_needs_good_criteria_prerequisites_and_no_halt() -> None:
    plan = plan_of(
        prerequisites=["The interface is live"],
        criteria={"Errors": {"below": 5}},
        rollout={"criteria": ["Errors"], "stages": ["5% to 25%", "everyone"]},
    )
    story = released(plan)
    given(story).when(c.Advance(to="10%")).refused_only("'Errors' has not been judged in stage 1")
    story = judge_well(story).then(c.Advance(to="10%"))
    story = story.then(c.Withdraw(item="the-interface-is-live"))
    given(story).when(c.Advance(to="20%")).refused_only("halted", "was withdrawn")


def test_skipping_a_stage_skips_none_of_its_checklists_gaps_and_gos() -> None:
    stages: list[Any] = ["5%", {"to": "25%", "before": ["The letter is sent"], "dates": "TBD"}, "everyone"]
    decides = {"decided_by": ["Product Owner"], "before": "every stage"}
    story = released(plan_of(draft=True, go_no_go=decides, rollout={"stages": stages}))
    given(story).when(c.Advance(to="everyone")).refused_only(
        "the plan says 'TBD' at 'rollout / stages / 2 / dates': fill it in",
        "'The letter is sent' is not attested",
        "Product Owner has not decided go for stage 3 (everyone)",
    )
    filled = plan_of(go_no_go=decides, rollout={"stages": [stages[0], {**stages[1], "dates": "2022-08-01"}, stages[2]]})
    story = story.then(c.RevisePlan(plan=filled))
    story = story.then(c.Attest(item="the-letter-is-sent")).then(c.Decide(decision="go", step="stage-3"), by=OWNER)
    given(story).when(c.Advance(to="everyone")).then(f.StageEntered(3), f.ExposureSet(EVERYONE))


# -- go_back


def test_going_back_narrows_halts_and_needs_a_new_go_to_return() -> None:
    story = released(plan_of(rollout=STAGES)).then(c.Advance())
    five = f.Exposure("percentage", (f.Audience(percentage=5),))
    given(story).when(c.GoBack(to="5%")).refused_only("a reason is needed: say why")
    back = (
        given(story)
        .when(c.GoBack(to="5%", reason="slow"))
        .then(f.StageEntered(1), f.ExposureSet(five), f.Halted("went back to stage 1: slow"))
    )
    given(back).when(c.GoBack(to="5%", reason="slow")).already()
    resumed = back.then(c.Resume(reason="mended"))
    given(resumed).when(c.Advance()).refused_only("Product Owner has not decided go for stage 2 (Quarter)")
    resumed.then(c.Decide(decision="go", step="stage-2"), by=OWNER).then(c.Advance())


def test_after_going_back_every_stage_needs_a_go_until_the_one_that_was_left_is_reached_again() -> None:
    story = released(plan_of(rollout={"stages": ["5%", "25%", "50%", "everyone"]})).then(c.Advance()).then(c.Advance())
    story = story.then(c.GoBack(to="5%", reason="slow")).then(c.Resume(reason="mended"))
    story = story.then(c.Decide(decision="go", step="stage-2"), by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 3 (50%)")
    story = story.then(c.Decide(decision="go", step="stage-3"), by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).then_among(f.ExposureSet(EVERYONE))


def went_back_to_10(stages: list[str]) -> Story:
    """At 50% the rollout went back to 10%, was mended, and has another plan from then on."""
    first = {"decided_by": ["Product Owner"]}
    story = released(plan_of(go_no_go=first, rollout={"stages": ["10%", "50%", "everyone"]})).then(c.Advance())
    story = story.then(c.GoBack(to="10%", reason="slow")).then(c.Resume(reason="mended"))
    return story.then(c.RevisePlan(plan=plan_of(go_no_go=first, rollout={"stages": stages})))


def test_a_shorter_plan_does_not_spare_the_go_after_going_back() -> None:
    story = went_back_to_10(["10%"])
    given(story).when(c.GoLive()).refused_only("Product Owner has not decided go for go-live")
    story.then(c.Decide(decision="go"), by=OWNER).then(c.GoLive())


def test_smaller_steps_do_not_spare_the_go_after_going_back() -> None:
    story = went_back_to_10(["10%", "11%", "60%", "everyone"])
    story = story.then(c.Decide(decision="go"), by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 3 (60%)")
    story = story.then(c.Decide(decision="go"), by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).then_among(f.ExposureSet(EVERYONE))


def test_going_back_twice_asks_for_a_go_until_the_first_is_reached_again() -> None:
    first = {"decided_by": ["Product Owner"]}
    stages = ["10%", "25%", "50%", "everyone"]
    story = released(plan_of(go_no_go=first, rollout={"stages": stages})).then(c.Advance()).then(c.Advance())
    story = story.then(c.GoBack(to="25%", reason="slow")).then(c.GoBack(to="10%", reason="slow still"))
    smaller = plan_of(go_no_go=first, rollout={"stages": ["10%", "11%", "26%", "everyone"]})
    story = story.then(c.Resume(reason="mended")).then(c.RevisePlan(plan=smaller))
    for _ in range(2):
        story = story.then(c.Decide(decision="go"), by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 4 (everyone)")


def test_going_back_to_a_level_stage_needs_a_go_to_return_as_well() -> None:
    first = {"decided_by": ["Product Owner"]}
    stages = [{"to": "everyone", "title": "One"}, {"to": "everyone", "title": "Two"}]
    story = released(plan_of(go_no_go=first, rollout={"stages": stages})).then(c.Advance())
    story = story.then(c.GoBack(to="One", reason="slow")).then(c.Resume(reason="mended"))
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 2 (Two)")


def test_going_back_goes_to_an_earlier_stage_only() -> None:
    story = released(plan_of(rollout=STAGES)).then(c.Advance())
    for to in ("everyone", "Quarter", "nowhere", "", " "):
        given(story).when(c.GoBack(to=to, reason="x")).refused("is no earlier stage; now in stage 2 (Quarter)")


# -- go_live


def test_going_live_sets_everyone_if_the_last_stage_was_less() -> None:
    plan = plan_of(go_no_go={"decided_by": ["Product Owner"]}, rollout={"stages": ["50%"]})
    story = released(plan).after(HOUR)
    assert story.state.released_at is None
    after = given(story).when(c.GoLive()).then(f.PhaseEntered("go_live"), f.ExposureSet(EVERYONE))
    assert after.state.released_at == story.now


def test_going_live_needs_every_stage_and_the_go_where_the_plan_asks_for_it() -> None:
    story = released(plan_of(rollout=STAGES))
    given(story).when(c.GoLive()).refused_only("stage 1 of 3: advance through the plan's stages first")
    last = story.then(c.Advance()).then(c.Advance())
    given(last).when(c.GoLive()).refused_only("Product Owner has not decided go for go-live")
    given(last.then(c.Decide(decision="go"), by=OWNER)).when(c.GoLive()).then(f.PhaseEntered("go_live"))


def test_going_live_outside_of_cutover_is_refused() -> None:
    given(decided()).when(c.GoLive()).refused("go_live is not possible in phase veteran_testing")


# -- close


def test_a_rollout_closes_when_every_result_and_question_is_answered() -> None:
    given(live()).when(c.Close(outcome="keep")).refused(
        "the 1 week results are due at 2022-08-06 10:30 EDT",
        "the 1 month results are due at 2022-08-29 10:30 EDT",
        "'What qualitative feedback have you gathered from users or other stakeholders, if any?' is not answered",
    )
    owed = live().after(31 * DAY)
    given(owed).when(c.Close(outcome="keep")).refused(
        "the 1 week snapshot is not taken",
        "'Number of unique users' is not recorded for 1 week",
        "'Example: contact center calls about scheduling, a day' is not recorded for 1 month",
    )
    after = given(answered()).when(c.Close(outcome="keep")).then(f.PhaseEntered("closed"))
    assert after.state.exposure == EVERYONE


def test_closing_to_remove_switches_off_first() -> None:
    given(answered()).when(c.Close(outcome="remove")).then(f.ExposureSet(NOBODY), f.PhaseEntered("closed"))


def test_what_was_closed_one_way_is_not_said_to_be_closed_the_other() -> None:
    given(closed()).when(c.Close(outcome="keep")).already()
    given(closed()).when(c.Close(outcome="remove")).refused_only("its toggles were kept: roll back instead")
    removed = answered().then(c.Close(outcome="remove"))
    given(removed).when(c.Close(outcome="remove")).already()
    given(removed).when(c.Close(outcome="keep")).refused_only("its toggles were removed")


# -- halt, resume


ACTIVE = ["deployed", "watched", "testing", "after testing", "cut over", "live"]


@pytest.mark.parametrize("history", ["deployed", "testing", "cut over", "live"])
def test_halting_leaves_exposure_as_it_is_and_stops_promotions(history: str) -> None:
    story = HISTORIES[history]()
    given(story).when(c.Halt()).refused_only("a reason is needed: say why")
    halted = given(story).when(c.Halt(reason="odd")).then(f.Halted("odd"))
    assert halted.state.exposure == story.state.exposure
    assert halted.missing()[0] == "halted: odd; resume first"
    given(halted).when(c.Halt(reason="odd")).already()
    given(halted).when(c.Resume()).refused_only("a reason is needed: say why")
    resumed = given(halted).when(c.Resume(reason="fine")).then(f.Resumed())
    given(resumed).when(c.Resume(reason="fine")).already()


@pytest.mark.parametrize("history", ["adopted", "closed", "rolled back"])
def test_what_is_not_under_way_is_neither_halted_nor_resumed(history: str) -> None:
    story = HISTORIES[history]()
    given(story).when(c.Halt(reason="x")).refused(f"halt is not possible in phase {story.state.phase}")
    given(story).when(c.Resume(reason="x")).refused(f"resume is not possible in phase {story.state.phase}")


# -- roll_back


@pytest.mark.parametrize("history", ["deployed", "testing", "decided", "cut over", "live", "closed"])
def test_rolling_back_needs_nothing_and_takes_the_whole_group_off_in_one_record(history: str) -> None:
    after = given(HISTORIES[history]()).when(c.RollBack()).then(f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back"))
    given(after).when(c.RollBack()).already()


def test_rolling_back_works_halted_frozen_and_with_a_failing_criterion() -> None:
    story = cut_over().then(c.RecordVerdict(criterion="Sum of Errors", value="99")).then(c.Halt(reason="errors"))
    after = given(story).when(c.RollBack()).then(f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back"))
    assert not after.state.halted


def test_there_is_nothing_to_roll_back_in_a_planned_or_cancelled_rollout() -> None:
    given(adopted()).when(c.RollBack()).refused("roll_back is not possible in phase planned")
    cancelled = adopted().then(c.Cancel(reason="given up"))
    given(cancelled).when(c.RollBack()).refused("roll_back is not possible in phase cancelled")


# -- cancel


@pytest.mark.parametrize("history", ["adopted", "deployed", "rolled back"])
def test_a_rollout_that_exposes_nobody_can_be_cancelled_with_a_reason(history: str) -> None:
    story = HISTORIES[history]()
    given(story).when(c.Cancel()).refused_only("a reason is needed: say why")
    after = given(story).when(c.Cancel(reason="given up")).then(f.PhaseEntered("cancelled"))
    given(after).when(c.Cancel(reason="given up")).already()


@pytest.mark.parametrize("history", ["testing", "cut over", "live", "closed"])
def test_what_exposes_anybody_is_rolled_back_before_it_is_cancelled(history: str) -> None:
    given(HISTORIES[history]()).when(c.Cancel(reason="given up")).refused("cancel is not possible in phase")


# -- moves where they are not possible


@pytest.mark.parametrize("history", list(HISTORIES))
@pytest.mark.parametrize(
    ("command", "phases"),
    [
        (c.StartTesting(), ("code_deploy",)),
        (c.CutOver(), ("code_deploy", "veteran_testing", "rolled_back")),
        (c.Advance(), ("cutover",)),
        (c.GoBack(to="1", reason="x"), ("cutover",)),
        (c.GoLive(), ("cutover",)),
        (c.Close(outcome="keep"), ("go_live", "closed")),
    ],
)
def test_a_move_is_refused_in_every_other_phase(history: str, command: c.Command, phases: tuple[str, ...]) -> None:
    story = HISTORIES[history]()
    if story.state.phase not in phases:
        given(story).when(command).refused(f"{c.name_of(command)} is not possible in phase {story.state.phase}")


def test_a_cutover_that_is_asked_for_too_early_says_what_it_will_need() -> None:
    given(adopted()).when(c.CutOver()).refused(
        "cut_over is not possible in phase planned", "is not attested", "has not decided go"
    )
    given(released()).when(c.CutOver()).refused("cut_over is not possible in phase cutover")


# -- the guard looks at the revision it decides on


def test_what_people_looked_at_must_be_what_it_rests_on() -> None:
    story = decided()
    looked = story.state.revision
    given(story).when(c.CutOver(seen=looked)).then_among(f.PhaseEntered("cutover"))
    changed = story.then(c.RecordResult(item="Record load times", value="slower"))
    given(changed).when(c.CutOver(seen=looked)).refused("look again", code="changed")
    given(changed).when(c.RollBack(seen=looked)).then_among(f.PhaseEntered("rolled_back"))
    noted = story.then(c.AddNote(text="lunch"))
    given(noted).when(c.CutOver(seen=looked)).then_among(f.PhaseEntered("cutover"))


def test_a_plan_without_services_is_deployed_by_any_one() -> None:
    given(plan_of(deploy={})).when(report("anything"), by=CI).then(
        f.PhaseEntered("code_deploy"), f.DeployReported("anything", "production", "1"), f.WatchStarted()
    )


def test_a_release_comes_back_by_a_new_deploy() -> None:
    story = deploy(rolled_back().after(HOUR), "2").after(DAY)
    story = record_results(judge_well(story))
    given(story).when(c.StartTesting(), by=RELEASE_MANAGER).then_among(f.ExposureSet(TESTERS))
    assert after_testing().state.exposure == TESTERS
