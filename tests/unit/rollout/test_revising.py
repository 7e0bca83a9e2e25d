"""What of a plan may change when, what a revision takes with it, and adopting one."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from events import facts as f
from events.facts import EVERYONE, Audience, Exposure
from events.plan.schema import Plan
from services.rollout import commands as c
from services.rollout.asked import Surroundings

from .scenario import (
    FACILITATOR,
    OWNER,
    Story,
    adopted,
    attest_all,
    closed,
    cut_over,
    decided,
    deployed,
    given,
    live,
    plan_of,
    released,
    seed,
    watched,
)

STAFF: dict[str, Any] = {"groups": {"Staff": {"users": ["u1"]}, "Site": {"attribute": "facility", "any_of": ["983"]}}}


def revise(plan: Plan) -> c.RevisePlan:
    return c.RevisePlan(plan=plan)


# -- adopting


def test_adopting_begins_a_rollout() -> None:
    story = given(Story()).when(c.Adopt(plan=seed())).then(f.PlanAdopted(seed(), bucketing=2))
    assert (story.state.phase, story.state.id) == ("planned", "vaos-service-integration")


def test_a_plan_with_errors_is_not_adopted_and_all_of_them_are_said() -> None:
    plan = plan_of(rollout={"stages": ["50%", "5%"]}, deploy={"services": ["api"], "criteria": ["Erors"]})
    given(Story()).when(c.Adopt(plan=plan)).refused("goes down", "'Erors' is not among", code="invalid")


def test_a_draft_with_blanks_is_adopted_and_each_blank_blocks_its_own_move() -> None:
    plan = plan_of(draft=True, testing={"recruiting": "TBD"}, rollout={"dates": "TBD"}, go_live={"date": "mm/dd/yy"})
    story = watched(plan)
    given(story).when(c.StartTesting()).refused_only("the plan says 'TBD' at 'testing / recruiting': fill it in")
    filled = plan_of(
        draft=True,
        testing={"recruiting": "By phone", "testers": 0},
        rollout={"dates": "TBD"},
        go_live={"date": "2022-09-01"},
    )
    story = story.then(revise(filled)).then(c.StartTesting())
    assert any("'rollout / dates'" in text for text in story.missing())


def test_a_blank_among_the_post_launch_questions_blocks_the_close() -> None:
    story = released(plan_of(draft=True, post_launch_questions=["TBD"]))
    story = story.then(c.Decide(decision="go"), by=OWNER).then(c.GoLive())
    given(story).when(c.Close(outcome="keep")).refused("the plan says 'TBD' at 'post_launch_questions / 1'")


def test_a_blank_is_filled_not_left_out() -> None:
    """In its stored form a plan brings its list of blanks with it, so the list is not taken at its word."""
    rest: dict[str, Any] = {"draft": True, "go_no_go": {"decided_by": ["Product Owner"]}}
    plan = plan_of(**rest, rollout={"criteria": "TBD", "stages": ["everyone"]}, prerequisites=["HSRM is live", "TBD"])
    story = attest_all(watched(plan)).then(c.Decide(decision="go"), by=OWNER)
    words = ("the plan said 'TBD' at 'prerequisites / 2': fill it in", "the plan said 'TBD' at 'rollout / criteria'")
    given(story).when(revise(replace(plan, gaps=(), draft=False))).refused_only(*words)
    moved = tuple(replace(gap, step="close") for gap in plan.gaps)
    given(story).when(revise(replace(plan, gaps=moved))).refused_only(
        "the blank at 'prerequisites / 2' blocks stage-1, not close", "the blank at 'rollout / criteria' blocks stage-1"
    )
    reworded = replace(plan.prerequisites[0], text="HSRM is launched")
    given(story).when(revise(replace(plan, gaps=(), draft=False, prerequisites=(reworded,)))).refused_only(*words)


def test_a_blank_that_is_filled_or_new_touches_its_step() -> None:
    rest: dict[str, Any] = {"go_no_go": {"decided_by": ["Product Owner"]}}
    plan = plan_of(**rest, draft=True, links={"Outline": "TBD"})
    story = watched(plan).then(c.Decide(decision="go"), by=OWNER)
    filled = plan_of(**rest, draft=True, links={"Outline": "https://example.org"})
    given(story).when(revise(filled)).then_among(f.PlanRevised(filled, ("links",), ("close",)))
    void = "is void: the plan was revised after it"
    given(story.then(revise(filled))).when(c.CutOver()).refused_only(void)
    reopened = replace(filled, gaps=plan.gaps)
    given(story.then(revise(filled)).then(c.Decide(decision="go"), by=OWNER).then(revise(reopened))).when(
        c.CutOver()
    ).refused_only(void)


@pytest.mark.parametrize(
    ("blank", "filled"),
    [
        ({"prerequisites": ["TBD", "HSRM is live"]}, {"prerequisites": ["VAOS is live", "HSRM is live"]}),
        ({"prerequisites": ["TBD", "HSRM is live"]}, {"prerequisites": ["HSRM is live", "VAOS is live"]}),
        ({"deploy": {"services": ["TBD"]}}, {"deploy": {"services": ["api"]}}),
        ({"toggles": "TBD"}, {"toggles": {"a": "A"}}),
        ({"toggles": {"a": "TBD"}}, {"toggles": {"a": "A"}}),
        ({"toggles": {}}, {"toggles": {}, "switch": "elsewhere"}),
        ({"go_live": {"kpis": ["TBD", "Calls"]}}, {"go_live": {"kpis": ["Users", "Calls"]}}),
        ({"rollout": {"stages": ["5%", {"to": "everyone", "dates": "TBD"}]}}, {"rollout": {"stages": ["everyone"]}}),
        ({"criteria": {"E": {"below": "x%"}}}, {"criteria": {"E": {"below": "5%"}}}),
        ({"report_issues": [{"for": "TBD"}]}, {"report_issues": [{"for": "the site"}]}),
    ],
)
def test_blanks_of_every_kind_can_be_filled(blank: dict[str, Any], filled: dict[str, Any]) -> None:
    story = adopted(plan_of(draft=True, **blank))
    assert story.state.plan.gaps
    assert not given(story).when(revise(plan_of(**filled))).story.state.plan.gaps


def test_a_rollout_is_adopted_once() -> None:
    given(adopted()).when(c.Adopt(plan=seed())).refused("there is a rollout", code="already-exists")


def test_a_toggle_that_another_rollout_holds_is_refused_by_name() -> None:
    story = replace(Story(), around=Surroundings(toggle_owners={"a_toggle": "the-other"}))
    given(story).when(c.Adopt(plan=plan_of())).refused_only("toggle 'a_toggle' belongs to rollout 'the-other'")
    other = replace(adopted(plan_of(toggles={"b": "B"})), around=story.around)
    given(other).when(revise(plan_of())).refused_only("toggle 'a_toggle' belongs to rollout 'the-other'")
    mine = replace(Story(), around=Surroundings(toggle_owners={"a_toggle": "a-plan"}))
    given(mine).when(c.Adopt(plan=plan_of())).then_among(f.PlanAdopted(plan_of(), bucketing=2))


def test_nothing_is_asked_of_a_rollout_that_does_not_exist() -> None:
    given(Story()).when(c.RollBack()).refused("there is no rollout", code="unknown-rollout")


# -- what may change when


def test_a_revision_keeps_the_rollout_s_id() -> None:
    given(adopted(plan_of())).when(revise(replace(plan_of(), id="b"))).refused(
        "the rollout's is 'a-plan'", code="invalid"
    )


def test_what_is_closed_is_not_revised() -> None:
    given(closed()).when(revise(replace(seed(), title="x"))).refused_only("the plan is not revised in phase closed")


def test_steps_not_entered_change_freely() -> None:
    story = released(plan_of(rollout={"stages": ["5%", "25%", "everyone"]}))
    ahead = plan_of(
        rollout={"stages": ["5%", {"to": "10%", "criteria": ["E"], "before": ["Letter"]}, "50%", "everyone"]},
        criteria={"E": {"below": 1}},
    )
    after = given(story).when(revise(ahead)).story
    assert [stage.to for stage in after.state.plan.rollout.stages] == ["5%", "10%", "50%", "everyone"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"deploy": {"services": ["api", "web"]}}, "deploy.services cannot change: code deployment has been passed"),
        ({"testing": {"testers": 3}}, "testing.testers cannot change: testing has been passed"),
        (
            {"rollout": {"stages": ["1%", "25%", "everyone"]}},
            "rollout.stages.1.percentage cannot change: stage 1 (5%) has been passed",
        ),
        ({"rollout": {"stages": ["5%"]}}, "cannot change while stage 2 (25%) is under way"),
    ],
)
def test_steps_that_have_been_passed_never_change(parts: dict[str, Any], words: str) -> None:
    story = released(plan_of(rollout={"stages": ["5%", "25%", "everyone"]})).then(c.Advance())
    given(story).when(revise(plan_of(**({"rollout": {"stages": ["5%", "25%", "everyone"]}} | parts)))).refused(words)


@pytest.mark.parametrize("stage", [{"length": "2 days"}, {"dates": "2022-08-03"}, {"users": "about 100"}])
def test_the_current_stage_changes_in_its_length_dates_and_users(stage: dict[str, str]) -> None:
    story = released(plan_of(rollout={"stages": ["5%", "everyone"]}))
    after = given(story).when(revise(plan_of(rollout={"stages": [{"to": "5%", **stage}, "everyone"]})))
    assert [type(fact) for fact in after.facts] == [f.PlanRevised]


@pytest.mark.parametrize(
    "stage", [{"criteria": ["E"]}, {"before": ["Letter"]}, {"results": ["Calls"]}, {"automatic": True}]
)
def test_the_current_stage_changes_in_nothing_else(stage: dict[str, Any]) -> None:
    parts: dict[str, Any] = {"criteria": {"E": {"below": 1}}, "rollout": {"stages": ["5%", "everyone"]}}
    story = released(plan_of(**parts))
    plan = plan_of(**(parts | {"rollout": {"stages": [{"to": "5%", **stage}, "everyone"]}}))
    words = "cannot change while stage 1 (5%) is under way; only dates, group, length, users can"
    given(story).when(revise(plan)).refused_only(words)


def test_a_criterion_in_use_does_not_change_whatever_its_name_is() -> None:
    for name in ("Errors", "length", "title"):
        stages: dict[str, Any] = {"criteria": [name], "stages": ["5%", "everyone"]}
        story = released(plan_of(criteria={name: {"below": 1}}, rollout=stages))
        plan = plan_of(criteria={name: {"below": 99}}, rollout=stages)
        given(story).when(revise(plan)).refused_only(f"criteria.{name} cannot change while stage 1 (5%) is under way")


def test_the_watch_may_be_lengthened_while_it_lasts_but_not_its_services() -> None:
    longer = plan_of(deploy={"services": ["api"], "watch": [{"until": "48 hours"}]})
    after = deployed(plan_of()).then(revise(longer))
    assert any("lasts until 2022-07-31" in text for text in after.missing())
    given(deployed(plan_of())).when(revise(plan_of(deploy={"services": ["web"]}))).refused_only(
        "deploy.services cannot change while code deployment is under way"
    )


def test_testing_is_waived_before_it_begins_not_after_and_not_unwaived_once_passed() -> None:
    story = watched(plan_of(testing={"testers": 1}))
    assert story.then(revise(plan_of())).then(c.CutOver()).state.phase == "cutover"
    begun = story.then(c.StartTesting())
    given(begun).when(revise(plan_of())).refused("testing.waived cannot change while testing is under way")
    passed = released(plan_of())
    given(passed).when(revise(plan_of(testing={"testers": 1}))).refused(
        "testing.waived cannot change: testing has been"
    )


def test_no_stage_is_added_after_go_live() -> None:
    story = released(plan_of()).then(c.Decide(decision="go"), by=OWNER).then(c.GoLive())
    given(story).when(revise(plan_of(rollout={"stages": ["50%", "everyone"]}))).refused("has been passed")


@pytest.mark.parametrize("part", [{"toggles": {"b": "B"}}, {"prerequisites": ["Another"]}, {"actor": "email"}])
def test_what_the_first_exposure_settles_changes_only_after_a_rollback(part: dict[str, Any]) -> None:
    story = released(plan_of())
    given(story).when(revise(plan_of(**part))).refused_only(
        "cannot change once anybody may have the group on: roll back"
    )
    given(story.then(c.RollBack())).when(revise(plan_of(**part))).then_among()


def test_a_session_s_length_may_not_change_while_testing_but_the_testers_may() -> None:
    story = attest_all(watched(plan_of(testing={"testers": 3}))).then(c.StartTesting())
    given(story).when(revise(plan_of(testing={"testers": 2}))).then_among()
    given(story).when(revise(plan_of(testing={"testers": 3, "sessions": {"length": "2 hours"}}))).refused_only(
        "testing.sessions cannot change while testing is under way; only dates, length, testers can"
    )


# -- groups and exposure


def test_exposure_follows_the_current_stage_s_group() -> None:
    story = released(plan_of(**STAFF, rollout={"stages": ["Staff", "everyone"]}))
    more = {"groups": {**STAFF["groups"], "Staff": {"users": ["u1", "u2"]}}}
    after = given(story).when(revise(plan_of(**more, rollout={"stages": ["Staff", "everyone"]}))).story
    assert after.state.exposure == Exposure("cohort", (Audience(group="Staff", users=("u1", "u2")),))
    other = given(story).when(revise(plan_of(**STAFF, rollout={"stages": ["Site", "everyone"]}))).story
    assert other.state.exposure.audiences[0].group == "Site"


def test_a_group_grows_only_while_prerequisites_hold_and_nothing_is_halted_or_frozen() -> None:
    freeze = {"freezes": [{"first": "2022-07-31", "last": "2022-07-31"}]}
    parts: dict[str, Any] = {**STAFF, "prerequisites": ["HSRM is live"], "rollout": {"stages": ["Staff", "everyone"]}}
    parts |= freeze
    story = released(plan_of(**parts))
    more = revise(plan_of(**(parts | {"groups": {**STAFF["groups"], "Staff": {"users": ["u1", "u2"]}}})))
    less = revise(plan_of(**(parts | {"groups": {**STAFF["groups"], "Staff": {"users": ["u9"]}}})))
    given(story).when(more).then_among()
    withdrawn = story.then(c.Withdraw(item="hsrm-is-live"))
    given(withdrawn).when(more).refused_only("halted", "prerequisite 'HSRM is live' was withdrawn")
    given(withdrawn).when(less).refused("prerequisite")  # other people are more people
    given(story.at(story.now.replace(day=31))).when(more).refused_only("frozen from 2022-07-31 to 2022-07-31")


def test_a_revision_may_narrow_at_any_time() -> None:
    story = released(plan_of(**STAFF, rollout={"stages": ["50% of Staff", "everyone"]})).then(c.Halt(reason="odd"))
    after = given(story).when(revise(plan_of(**STAFF, rollout={"stages": ["10% of Staff", "everyone"]}))).story
    assert after.state.exposure.audiences[0].percentage == 10


@pytest.mark.parametrize("to", ["everyone", "6%", "100%"])
def test_a_revision_does_not_reach_a_larger_share_past_the_guard(to: str) -> None:
    story = released(plan_of(rollout={"stages": ["5%", "everyone"]}))
    words = "a larger share is reached by advancing, not by a revision of the plan"
    given(story).when(revise(plan_of(rollout={"stages": [to, "everyone"]}))).refused_only(words)


def test_a_group_s_stage_is_not_revised_to_a_share_of_all_users() -> None:
    story = released(plan_of(**STAFF, rollout={"stages": ["Staff", "everyone"]}))
    words = "a larger share is reached by advancing, not by a revision of the plan"
    for to in ("99%", "1%"):
        given(story).when(revise(plan_of(**STAFF, rollout={"stages": [to, "everyone"]}))).refused_only(words)
    site = released(plan_of(**STAFF, rollout={"stages": ["5% of Staff", "everyone"]}))
    given(site).when(revise(plan_of(**STAFF, rollout={"stages": ["6% of Staff", "everyone"]}))).refused_only(words)
    given(site).when(revise(plan_of(**STAFF, rollout={"stages": ["Site", "everyone"]}))).then_among()


def test_the_current_stage_s_range_does_not_grow() -> None:
    story = released(plan_of(rollout={"stages": ["5% to 25%", "everyone"]}))
    words = "a larger share is reached by advancing, not by a revision of the plan"
    given(story).when(revise(plan_of(rollout={"stages": ["5% to 99%", "everyone"]}))).refused_only(words)
    given(story).when(revise(plan_of(rollout={"stages": ["5% to 10%", "everyone"]}))).then_among()
    fixed = released(plan_of(rollout={"stages": ["5%", "everyone"]}))
    given(fixed).when(revise(plan_of(rollout={"stages": ["1% to 25%", "everyone"]}))).refused_only(words)
    staff = released(plan_of(**STAFF, rollout={"stages": ["5% to 25% of Staff", "everyone"]}))
    sooner = plan_of(**STAFF, rollout={"stages": ["20% to 25% of Staff", "everyone"]})
    given(staff).when(revise(sooner)).refused_only(words)


def test_a_group_of_a_passed_stage_does_not_change() -> None:
    stages = {"stages": ["Staff", "Site", "everyone"]}
    story = released(plan_of(**STAFF, rollout=stages)).then(c.Advance())
    more = {"groups": {**STAFF["groups"], "Staff": {"users": ["u1", "u2"]}}}
    given(story).when(revise(plan_of(**more, rollout=stages))).refused_only(
        "groups.Staff cannot change: stage 1 (Staff)"
    )


def test_groups_of_stages_ahead_change_freely_while_testers_have_the_group() -> None:
    parts: dict[str, Any] = {"testing": {"testers": 1}, "rollout": {"stages": ["Staff", "everyone"]}}
    story = watched(plan_of(**STAFF, **parts)).then(c.StartTesting())
    more = {"groups": {**STAFF["groups"], "Staff": {"users": ["u1", "u2"]}}}
    given(story).when(revise(plan_of(**more, **parts))).then_among()


def test_what_failed_does_not_come_back_wider_without_a_new_deploy() -> None:
    story = released(plan_of(rollout={"stages": ["5%", "everyone"]})).then(c.RollBack())
    given(story).when(revise(plan_of(rollout={"stages": ["everyone"]}))).refused_only("without a new deploy stage 1")
    given(story).when(revise(plan_of(rollout={"stages": ["1%", "everyone"]}))).then_among()
    redeployed = story.then(c.ReportDeploy(service="api", version="2"))
    given(redeployed).when(revise(plan_of(rollout={"stages": ["everyone"]}))).then_among()


# -- what goes with a revision


def test_a_revision_that_touches_a_step_voids_the_go_and_says_what_it_touches() -> None:
    plan = decided().state.plan
    changed = replace(plan, rollout=replace(plan.rollout, criteria=("Sum of Errors",)))
    facts = given(decided()).when(revise(changed)).facts
    assert facts == (f.PlanRevised(changed, ("rollout.criteria",), ("stage-1",)),)


def test_an_item_that_says_something_else_is_not_attested_any_more() -> None:
    def with_item(**item: str) -> Plan:
        return plan_of(prerequisites=[{"id": "hsrm", "text": "HSRM is live", **item}])

    story = attest_all(watched(with_item()))
    for other in (with_item(text="HSRM is live and tested"), with_item(attested_by="Product Owner")):
        after = given(story).when(revise(other)).then_among(f.AttestationWithdrawn("hsrm"))
        given(after).when(c.CutOver()).refused("was withdrawn")
    same = given(story).when(revise(replace(with_item(), title="Another title"))).story
    assert "hsrm" in same.state.attested


def test_the_same_plan_again_changes_nothing() -> None:
    for story in (adopted(), cut_over(), live()):
        given(story).when(revise(story.state.plan)).already()


def test_only_managers_revise() -> None:
    given(adopted()).when(revise(replace(seed(), title="x")), by=FACILITATOR).refused(
        "revise_plan may be sent by admin, release_manager; you are fay, facilitator", code="forbidden"
    )


def test_results_after_may_be_moved_while_live() -> None:
    plan = live().state.plan
    sooner = replace(plan, go_live=replace(plan.go_live, results_after=plan.go_live.results_after[:1]))
    after = live().then(revise(sooner))
    assert not any("1 month" in text for text in after.missing())
    assert after.state.exposure == EVERYONE


# -- the go that a plan asks for

ASKS: dict[str, Any] = {
    "decided_by": ["Product Owner"],
    "before": ["every stage", "go live"],
    "questions": [{"id": "calls", "text": "Does the call center know? yes/no", "must_be": "yes"}],
}


def asking(**go: Any) -> Plan:
    return plan_of(go_no_go={**ASKS, **go}, rollout={"stages": ["5%", "everyone"]})


def in_first_stage() -> Story:
    story = watched(asking()).then(c.AnswerQuestion(question="calls", answer="yes"), by=OWNER)
    return released_by_go(story)


def released_by_go(story: Story) -> Story:
    return story.then(c.Decide(decision="go"), by=OWNER).then(c.CutOver())


@pytest.mark.parametrize(
    ("go", "words"),
    [
        ({"before": ["first stage", "go live"]}, "(a go before stage 2 (everyone))"),
        ({"before": ["every stage"]}, "(a go before go-live)"),
        ({"decided_by": ["A friend"]}, "(a go by Product Owner)"),
        ({"delegates": {"Product Owner": ["A friend"]}}, "(a go by Product Owner and not A friend)"),
        ({"questions": []}, "(a go with 'Does the call center know?' answered)"),
        ({"questions": [{"id": "calls", "text": "Does the call center know? yes/no"}]}, "know?' answered)"),
    ],
)
def test_a_go_is_not_asked_for_less_once_anybody_may_have_the_group_on(go: dict[str, Any], words: str) -> None:
    story = in_first_stage()
    start = "go_no_go cannot ask for less once anybody may have the group on: roll back first "
    given(story).when(revise(asking(**go))).refused_only(words)
    assert given(story).when(revise(asking(**go))).reasons[0].startswith(start)
    given(story.then(c.RollBack())).when(revise(asking(**go))).then_among()
    given(adopted(asking())).when(revise(asking(**go))).then_among()


def test_a_go_may_be_asked_for_more_at_any_time() -> None:
    story = in_first_stage()
    more = asking(
        decided_by=["Product Owner", "Business Stakeholders"],
        questions=[*ASKS["questions"], "Is the letter out? yes/no"],
        template="https://example.org/meeting",
    )
    given(story).when(revise(more)).then_among()
