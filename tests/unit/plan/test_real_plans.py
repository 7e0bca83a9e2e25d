"""What real plans say, and what reading and checking make of it: one test a row.

What the machine does with it at run time is tested where the machine is.
"""

from __future__ import annotations

from typing import Any

import pytest

from events.plan.checks import check
from events.plan.reading import PlanError, read_plan
from events.plan.schema import Length, Plan, Quantity

TOGGLES = {"a_toggle": "A toggle"}
DECIDED = {"decided_by": ["Product Owner"]}


def plan_with(**parts: Any) -> Plan:
    return read_plan({"title": "A plan", "toggles": TOGGLES, "go_no_go": DECIDED} | parts)


def found(plan: Plan, level: str) -> list[str]:
    return [finding.words() for finding in check(plan) if finding.level == level]


@pytest.mark.parametrize(
    "blank",
    [
        *("TBD", "TBD by Office of Community Care", "xx lorem ipsum", "[FILL_IN]", r"\[link here\]", "_TBD_"),
        *("mm/dd/yy", "mm/dd/yyyy", "x", "xx", "???", "TODO", "todo: ask Ann", "<your team>"),
    ],
)
def test_a_blank_is_a_gap_of_the_step_that_needs_it(blank: str) -> None:
    plan = plan_with(draft=True, go_live={"date": blank}, rollout={"dates": blank})
    assert [(gap.path, gap.step) for gap in plan.gaps] == [
        ("rollout / dates", "stage-1"),
        ("go_live / date", "go_live"),
    ]
    assert len(found(plan, "gap")) == 2
    assert found(plan, "error") == []


def test_without_draft_a_blank_is_an_error_of_the_check() -> None:
    (error,) = found(plan_with(go_live={"date": "TBD"}), "error")
    assert error.startswith("go_live / date: is still open (TBD); it blocks go-live; fill it")


def test_each_part_of_a_plan_blocks_its_own_step() -> None:
    plan = read_plan(
        {
            "title": "A plan",
            "toggles": "TBD",
            "prerequisites": ["TBD"],
            "criteria": {"Errors": {"below": "TBD"}, "Late": {"below": "x"}},
            "deploy": {"services": ["TBD"], "criteria": ["Errors"]},
            "testing": {"recruiting": "TBD"},
            "rollout": {"stages": ["5%", {"to": "everyone", "length": "TBD", "criteria": ["Late"]}]},
            "go_live": {"kpis": ["TBD"]},
            "post_launch_questions": ["TBD"],
        }
    )
    steps = {gap.path: gap.step for gap in plan.gaps}
    assert steps == {
        "toggles": "stage-1",
        "prerequisites / 1": "stage-1",
        "criteria / Errors / below": "code_deploy",
        "criteria / Late / below": "stage-2",
        "deploy / services / 1": "code_deploy",
        "testing / recruiting": "veteran_testing",
        "rollout / stages / 2 / length": "stage-2",
        "go_live / kpis / 1": "go_live",
        "post_launch_questions / 1": "close",
    }


def test_ordinary_words_are_no_blanks() -> None:
    said = ["See the [template](https://example.org)", "Box 5 [optional]", "Texas", "x-ray images load", "What else?"]
    assert plan_with(reminders=said).gaps == ()


def test_two_limits_are_a_pass_limit_and_a_stop_limit() -> None:
    plan = plan_with(criteria={"Errors": {"below": "5%", "stop_above": "50%", "then": "roll back"}})
    errors = plan.criteria["Errors"]
    assert (errors.below, errors.stop_above, errors.then) == (Quantity(5, "%"), Quantity(50, "%"), "roll back")


def test_a_stop_limit_inside_the_pass_limit_is_an_error() -> None:
    plan = plan_with(criteria={"Errors": {"below": "5%", "stop_above": "3%", "then": "halt"}})
    assert any("would stop at values that pass" in text for text in found(plan, "error"))


def test_then_without_a_stop_limit_is_an_error() -> None:
    plan = plan_with(criteria={"Errors": {"below": "5%", "then": "halt"}})
    assert any("needs stop_above" in text for text in found(plan, "error"))


def test_a_minimum_is_a_limit_that_never_stops_by_itself() -> None:
    plan = plan_with(criteria={"Users": {"at_least": 25}}, rollout={"criteria": ["Users"]})
    assert plan.criteria["Users"].at_least == Quantity(25)
    assert not plan.criteria["Users"].then
    assert check(plan) == ()


def test_no_number_is_a_criterion_that_a_person_judges() -> None:
    plan = plan_with(criteria={"Comments": "Nothing that makes us stop"}, rollout={"criteria": ["Comments"]})
    assert plan.criteria["Comments"].text == "Nothing that makes us stop"
    assert any("a person judges" in text for text in found(plan, "warning"))


def test_a_limit_only_in_words_is_asked_about() -> None:
    plan = plan_with(criteria={"Errors": "should be less than 10"}, rollout={"criteria": ["Errors"]})
    assert any("a limit in its words only" in text for text in found(plan, "question"))


def test_a_trend_without_a_threshold_is_judged_and_with_one_it_is_not() -> None:
    judged = plan_with(criteria={"Calls": {"trend": "no higher"}}, rollout={"criteria": ["Calls"]})
    assert any("trend without than" in text for text in found(judged, "warning"))
    trend = {"trend": "no higher", "than": "40 calls", "tolerance": "10%"}
    measured = plan_with(criteria={"Calls": trend}, rollout={"criteria": ["Calls"]})
    assert measured.criteria["Calls"].than == Quantity(40, "calls")
    assert check(measured) == ()


@pytest.mark.parametrize(
    ("name", "limit"),
    [("Error rate", {"at_least": "5%"}), ("Average latency", {"above": "2s"}), ("Success rate", {"below": "95%"})],
)
def test_a_limit_written_the_wrong_way_round_is_asked_about_until_it_is_answered(
    name: str, limit: dict[str, object]
) -> None:
    plan = plan_with(criteria={name: limit}, rollout={"criteria": [name]})
    assert any("right way round" in text for text in found(plan, "question"))
    answered = plan_with(criteria={name: limit | {"asked": True}}, rollout={"criteria": [name]})
    assert check(answered) == ()


def test_entry_criteria_are_the_checklist_of_a_step() -> None:
    plan = plan_with(testing={"before": [{"text": "Scripts are ready", "attested_by": "Test Lead"}]})
    (item,) = plan.testing.before
    assert (item.text, item.attested_by, item.id) == ("Scripts are ready", "Test Lead", "scripts-are-ready")


def test_banners_and_letters_are_reminders_or_stand_under_before() -> None:
    stage = {"to": "5%", "reminders": ["Put up the banner"], "before": ["The letter is sent"]}
    (first, _) = plan_with(rollout={"stages": [stage, "everyone"]}).rollout.stages
    assert first.reminders == ("Put up the banner",)
    assert [item.text for item in first.before] == ["The letter is sent"]


def test_testing_may_be_the_whole_phase_counting_testers_or_in_staging_or_waived() -> None:
    whole = plan_with(testing={"access": "whole phase", "testers": "at least 5"}).testing
    assert (whole.access, whole.testers, whole.workflows) == ("whole phase", 5, ())
    assert plan_with(testing={"environment": "staging", "results": ["Bugs"]}).testing.environment == "staging"
    assert plan_with(testing={"waived": "no UAT: a copy change"}).testing.waived == "no UAT: a copy change"


def test_a_watch_is_an_interval_since_the_deploy() -> None:
    plan = plan_with(deploy={"watch": [{"until": "0-4 hrs"}, {"until": "4-48 hours"}]})
    assert [(watch.start, watch.until) for watch in plan.deploy.watch] == [(0, 14_400), (14_400, 172_800)]
    assert check(plan) == ()


def test_a_hole_between_watches_is_named() -> None:
    plan = plan_with(deploy={"watch": [{"until": "4 hours"}, {"until": "24-48 hours"}]})
    assert any("nobody watches before" in text for text in found(plan, "warning"))


def test_a_length_may_have_a_minimum_and_a_maximum() -> None:
    stages = [{"to": "5%", "length": "4 hours to 1 day"}, {"to": "everyone", "length": "at least 2 days"}]
    plan = plan_with(rollout={"stages": stages})
    assert [stage.length for stage in plan.rollout.stages] == [Length(14_400, 86_400), Length(172_800)]


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        ("2022-08-01", "2022-08-01", "2022-08-01"),
        ("07/29/22", "2022-07-29", "2022-07-29"),
        ("week of 2022-08-01", "2022-08-01", "2022-08-07"),
        ("2022-08-01 3am-8am", "2022-08-01", "2022-08-01"),
        ("8/1 - 8/5/22", "2022-08-01", "2022-08-05"),
        ("August 1 to August 5, 2022", "2022-08-01", "2022-08-05"),
        ("end of the quarter", "", ""),
    ],
)
def test_planned_dates_keep_their_words_and_name_their_days(words: str, first: str, last: str) -> None:
    date = plan_with(deploy={"date": words}).deploy.date
    assert date is not None
    assert (date.text, date.first, date.last) == (words, first, last)


def test_dates_that_contradict_each_other_are_warned_about() -> None:
    plan = plan_with(deploy={"date": "2022-09-01"}, go_live={"date": "2022-08-01"})
    assert any("before deploy / date begins" in text for text in found(plan, "warning"))
    assert found(plan, "error") == []


def test_a_date_in_a_freeze_is_warned_about() -> None:
    plan = plan_with(freezes=[{"first": "11/24/22", "last": "2022-11-27"}], go_live={"date": "2022-11-25"})
    assert any("falls into the freeze" in text for text in found(plan, "warning"))


def test_a_freeze_without_its_days_is_a_gap_and_no_freeze() -> None:
    plan = plan_with(freezes=[{"first": "TBD", "why": "Holidays"}])
    assert plan.freezes == ()
    assert {gap.path for gap in plan.gaps} == {"freezes / 1 / first", "freezes / 1 / last"}


def test_expected_users_are_words_beside_the_actual() -> None:
    plan = plan_with(rollout={"stages": [{"to": "5%", "users": "about 700"}, {"to": "everyone", "users": 14000}]})
    assert [stage.users for stage in plan.rollout.stages] == ["about 700", "14000"]


def test_who_monitors_may_be_one_name_or_several() -> None:
    plan = plan_with(
        on_call="The team", deploy={"watch": [{"monitored_by": "Ann"}]}, rollout={"monitored_by": ["A", "B"]}
    )
    assert plan.on_call == ("The team",)
    assert plan.deploy.watch[0].monitored_by == ("Ann",)
    assert plan.rollout.monitored_by == ("A", "B")


def test_go_no_go_questions_are_typed_and_have_a_role() -> None:
    question = {"text": "Is the help desk trained? yes/no", "answered_by": "Help Desk Lead", "must_be": "yes"}
    plan = plan_with(go_no_go=DECIDED | {"questions": [question]})
    (asked,) = plan.go_no_go.questions
    assert (asked.text, asked.kind, asked.answered_by, asked.must_be) == (
        "Is the help desk trained?",
        "yes/no",
        "Help Desk Lead",
        "yes",
    )


def test_rollback_triggers_and_steps_and_what_must_be_so_before_the_next_release() -> None:
    plan = plan_with(
        rollback={"triggers": ["Errors in red"], "steps": ["Tell the help desk"], "decided_by": "On call"},
        before_release_again=["The cause is known"],
    )
    assert plan.rollback.steps == ("Tell the help desk",)
    assert [item.id for item in plan.before_release_again] == ["the-cause-is-known"]


def test_an_experiment_has_an_end_and_a_question() -> None:
    experiment = plan_with(go_live={"experiment": "6 weeks"}).go_live.experiment
    assert experiment is not None
    assert (experiment.ends_after, experiment.question) == (3_628_800, "Keep, change or remove?")


@pytest.mark.parametrize(
    ("written", "text", "kind"),
    [
        ("Bugs: found/fixed", "Bugs", "found/fixed"),
        ("Was the data easy to process?: yes/no", "Was the data easy to process?", "yes/no"),
        ("Any issues? (yes/no)", "Any issues?", "yes/no"),
        ("Any issues? yes/no, and a note", "Any issues?", "yes/no"),
        ("How many calls? number", "How many calls?", "number"),
        ("Number of unique users", "Number of unique users", "number"),
        ("Record the confirmation number", "Record the confirmation number", "text"),
    ],
)
def test_results_are_typed_by_their_last_words(written: str, text: str, kind: str) -> None:
    (result,) = plan_with(rollout={"results": [written]}).rollout.results
    assert (result.text, result.kind) == (text, kind)


def test_clean_up_and_links_are_kept() -> None:
    plan = plan_with(tasks=["Remove the toggle"], links={"Outline": "https://example.org"})
    assert (plan.tasks, plan.links) == (("Remove the toggle",), {"Outline": "https://example.org"})


def test_no_toggle_named_blocks_the_first_exposure_unless_switched_elsewhere() -> None:
    (gap,) = read_plan({"title": "A plan", "draft": True}).gaps
    assert (gap.path, gap.step) == ("toggles", "stage-1")
    assert read_plan({"title": "A plan", "switch": "elsewhere"}).gaps == ()


def test_no_approver_named_is_warned_about() -> None:
    assert any("names no approver" in text for text in found(plan_with(go_no_go={}), "warning"))


def test_results_may_come_at_any_time_and_a_kpi_may_have_a_baseline() -> None:
    kpi = {"name": "Claims", "at_least": "1,000", "before": "an average of 900"}
    go_live = plan_with(go_live={"results_after": ["1 month", "2 months", "3 months"], "kpis": [kpi]}).go_live
    assert [after.seconds // 86_400 for after in go_live.results_after] == [30, 60, 90]
    assert (go_live.kpis[0].before, go_live.kpis[0].at_least) == ("an average of 900", Quantity(1_000))


def test_several_plans_for_one_release_name_each_other() -> None:
    assert plan_with(after=["the-plan-before"]).after == ("the-plan-before",)


def test_stages_may_be_level_groups_or_shares_of_a_group() -> None:
    plan = plan_with(
        groups={"Riverbend": {"attribute": "facility_id", "any_of": [983]}, "Staff": {"users": ["u1"]}},
        rollout={"stages": ["Staff", "10% of Riverbend", 25, {"to": "25%"}, "25% to 50% of Riverbend", "100%"]},
    )
    assert [(one.group, one.percentage, one.up_to) for one in plan.rollout.stages] == [
        ("Staff", None, None),
        ("Riverbend", 10, None),
        ("", 25, None),
        ("", 25, None),
        ("Riverbend", 25, 50),
        ("", None, None),
    ]
    assert plan.groups["Riverbend"].any_of == ("983",)
    assert check(plan) == ()


@pytest.mark.parametrize(
    "stages", [["50%", "25%"], ["everyone", "50%"], ["everyone", "Staff"], ["Staff", "5% of Staff"]]
)
def test_stages_that_go_down_are_an_error(stages: list[str]) -> None:
    plan = plan_with(groups={"Staff": {"users": ["u1"]}}, rollout={"stages": stages})
    assert any("goes down" in text for text in found(plan, "error"))


def test_a_percentage_with_flipper_among_the_readers_is_an_error_that_says_why() -> None:
    (error,) = found(plan_with(readers=["flipper"], rollout={"stages": ["25%", "everyone"]}), "error")
    assert "18%, 67% and 88%" in error
    assert found(plan_with(readers=["flipper"]), "error") == []


def test_a_group_by_attribute_with_flipper_among_the_readers_is_an_error() -> None:
    groups = {"Site": {"attribute": "facility", "any_of": ["983"]}}
    rollout = {"stages": ["Site", "everyone"]}
    (error,) = found(plan_with(readers=["flipper"], groups=groups, rollout=rollout), "error")
    assert "it knows ids only" in error


def test_ids_of_another_kind_than_the_actors_are_an_error_where_flipper_compares_them() -> None:
    groups = {"Staff": {"users": ["u1", "ann@example.org"]}}
    (error,) = found(plan_with(readers=["flipper"], groups=groups), "error")
    assert "looks like an email address, but the actor is the account" in error


def test_email_addresses_with_capitals_are_an_error_where_they_are_the_actors() -> None:
    plan = plan_with(actor="email", groups={"Staff": {"users": ["Ann@example.org"]}})
    assert any("written in lower case" in error for error in found(plan, "error"))


def test_several_kinds_of_actor_are_refused_with_the_reason() -> None:
    with pytest.raises(PlanError, match="on in one place and off in the other"):
        plan_with(actor=["account", "email"])


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"time_zone": "Eastern"}, "expected a time zone such as America/New_York, found 'Eastern'"),
        ({"rollout": {"stages": ["Riverband"]}}, "'Riverband' is not everyone, a percentage or a group"),
        ({"deploy": {"criteria": ["Erors"]}, "criteria": {"Errors": {"below": 1}}}, "the nearest is 'Errors'"),
        ({"toggles": ["a_toggle", "A_toggle"]}, "too much like 'a_toggle'"),
        ({"toggles": ["a_toggle", "a_toggle"]}, "a toggle is named once"),
        ({"go_no_go": DECIDED | {"delegates": {"Product Ownr": ["X"]}}}, "the nearest is 'Product Owner'"),
        ({"groups": {"Both": {"users": ["a"], "attribute": "b", "any_of": ["c"]}}}, "either users: or attribute:"),
        ({"rollout": {"stages": []}}, "is empty"),
        ({"deploy": {"watch": []}}, "is empty"),
        ({"after": ["Another Plan"]}, "expected the id of a plan, found 'Another Plan'"),
        ({"rollout": {"stages": [{"percentage": 50, "up_to": 25}, "everyone"]}}, "goes down: from 50% to 25%"),
    ],
)
def test_what_cannot_be_adopted_is_an_error_of_the_check(parts: dict[str, Any], text: str) -> None:
    assert any(text in error for error in found(plan_with(**parts), "error"))


def test_what_looks_like_an_email_address_in_a_group_is_warned_about() -> None:
    plan = plan_with(groups={"Staff": {"users": ["ann@example.org"]}})
    assert any("looks like an email address" in text for text in found(plan, "warning"))
