"""Criteria: what a value means against the plan's limits, and what follows from it in the same record."""

from __future__ import annotations

from typing import Any

import pytest

from events import facts as f
from events.facts import NOBODY, Actor, Band, Verdict
from events.plan.schema import Criterion, Quantity
from services.rollout import commands as c
from services.rollout.criteria import judge_words, target

from .scenario import (
    CI,
    DAY,
    MONITOR,
    OWNER,
    RELEASE_MANAGER,
    Story,
    cut_over,
    deployed,
    given,
    plan_of,
    released,
)


def criterion(**parts: Any) -> Criterion:
    return plan_of(criteria={"K": parts}, rollout={"criteria": ["K"]}).criteria["K"]


BANDS = {"below": "5%", "stop_above": "50%", "then": "roll back"}


@pytest.mark.parametrize(
    ("limits", "value", "verdict", "band"),
    [
        ({"below": 10}, "9.99", "pass", "green"),
        ({"below": 10}, "10", "fail", "red"),
        ({"at_most": 0}, "0", "pass", "green"),
        ({"at_most": 0}, "none", "pass", "green"),
        ({"at_most": 0}, "1", "fail", "red"),
        ({"between": "1% to 5%"}, "1%", "pass", "green"),
        ({"between": "1% to 5%"}, "0.9%", "fail", "red"),
        ({"between": "1% to 5%"}, "5.1%", "fail", "red"),
        ({"at_least": 25}, "25", "pass", "green"),
        ({"at_least": 25}, "24", "inconclusive", "waiting"),
        ({"above": 25}, "25", "inconclusive", "waiting"),
        ({"at_least": 25, "below": 100}, "100", "fail", "red"),
        (BANDS, "4.9%", "pass", "green"),
        (BANDS, "5%", "inconclusive", "yellow"),
        (BANDS, "50%", "inconclusive", "yellow"),
        (BANDS, "50.1%", "fail", "red"),
        ({"at_least": "95%", "stop_below": "80%", "then": "halt"}, "90%", "inconclusive", "yellow"),
        ({"at_least": "95%", "stop_below": "80%", "then": "halt"}, "79%", "fail", "red"),
        ({"trend": "no higher", "than": "40 calls", "tolerance": "10%"}, "44 calls", "pass", "green"),
        ({"trend": "no higher", "than": "40 calls", "tolerance": "10%"}, "45", "fail", "red"),
        ({"trend": "no lower", "than": 40}, "39", "fail", "red"),
        ({"trend": "no lower", "than": 40, "tolerance": 2}, "38", "pass", "green"),
        ({"trend": "higher", "than": 40}, "40", "fail", "red"),
        ({"trend": "lower", "than": 40}, "39", "pass", "green"),
        ({"below": "5s"}, "4999 ms", "pass", "green"),
        ({"below": "5s"}, "3", "pass", "green"),
        ({"below": "5s"}, "0.1 min", "fail", "red"),
        ({"below": 10}, "NaN", "error", ""),
        ({"below": 10}, "-inf", "error", ""),
        ({"at_least": 10}, "inf", "error", ""),
        ({"below": 10}, "no data", "inconclusive", ""),
        ({"expect": "about 700"}, "12, more or less", "pass", ""),
    ],
)
def test_a_value_against_its_limits(limits: dict[str, Any], value: str, verdict: Verdict, band: Band) -> None:
    judged = judge_words(criterion(**limits), value)
    assert (judged.verdict, judged.band) == (verdict, band), judged.why


@pytest.mark.parametrize(("value", "words"), [("3 calls", "is measured in 's', found '3 calls'"), ("fast", "expected")])
def test_a_value_in_another_unit_or_none_is_refused(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        judge_words(criterion(below="5s"), value)


def test_the_reason_says_the_value_and_the_limit() -> None:
    errors = criterion(below=10, per="any 10 minutes")
    assert judge_words(errors, "12").why == "12 is not below 10"
    assert judge_words(errors, "3").why == "3 keeps to below 10 per any 10 minutes"
    assert target(criterion(**BANDS)) == "below 5%"


# -- recording a verdict


def stage(**limits: Any) -> Story:
    return released(plan_of(criteria={"K": limits}, rollout={"criteria": ["K"], "stages": ["5%", "everyone"]}))


def record(value: str = "", verdict: Verdict | None = None, step: str = "") -> c.RecordVerdict:
    return c.RecordVerdict(criterion="K", value=value, verdict=verdict, step=step)


def test_a_verdict_holds_value_band_span_and_reason() -> None:
    story = stage(below=10, query="sum(errors)").after(DAY)
    given(story).when(record("3"), by=MONITOR).then(
        f.VerdictRecorded(
            "K", "stage-1", "pass", "green", "3 keeps to below 10", story.now - DAY, story.now, Quantity(3.0), True
        )
    )
    by_hand = given(story).when(record("3")).facts[0]
    assert isinstance(by_hand, f.VerdictRecorded)
    assert not by_hand.measured


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", "'K' could not be judged: NaN is no finite number"),
        ("no data", "'K' is inconclusive: there is no data"),
        ("10", "'K' failed: 10 is not below 10"),
    ],
)
def test_nothing_is_promoted_on_missing_nan_or_bad_data(value: str, words: str) -> None:
    given(stage(below=10).then(record(value))).when(c.Advance()).refused_only(words)


def test_a_minimum_that_is_not_reached_waits_and_is_no_breach() -> None:
    story = stage(at_least=25).then(record("24"))
    assert not story.state.halted
    given(story).when(c.Advance()).refused_only("'K' is inconclusive: 24 is not at least 25 yet")
    given(story.then(record("25"))).when(c.Advance()).then_among(f.StageEntered(2))


def test_between_two_limits_going_on_takes_an_explicit_go_given_after_that() -> None:
    story = stage(**BANDS).then(c.Decide(decision="go", step="stage-2"), by=OWNER).then(record("7%"))
    words = "'K' is between its limits (7% is not below 5%, within the stop limit): going on needs an explicit go"
    given(story).when(c.Advance()).refused_only(f"{words} of Product Owner, but none was given after that")
    gone = story.then(c.Decide(decision="go", step="stage-2"), by=OWNER)
    given(gone).when(c.Advance()).then_among(f.StageEntered(2))
    given(gone).when(c.Advance(), by=Actor("olga", "release_manager")).refused_only("is your own")
    worse = gone.then(record("9%"))
    given(worse).when(c.Advance()).refused_only("none was given after that")
    short = story.then(c.Decide(decision="go", step="stage-2", valid_for="1 hour"), by=OWNER)
    given(short.after(DAY)).when(c.Advance()).refused_only("expired at")


def test_between_two_limits_after_go_live_the_go_is_for_go_live() -> None:
    plan = plan_of(criteria={"K": BANDS}, go_live={"criteria": ["K"], "results_after": ["1 week"], "results": []})
    story = released(plan).then(c.Decide(decision="go"), by=OWNER).then(c.GoLive()).then(record("7%"))
    assert any("going on needs an explicit go of Product Owner" in text for text in story.missing())
    assert not any("limits" in text for text in story.then(c.Decide(decision="go"), by=OWNER).missing())


def test_a_dry_run_criterion_blocks_nothing_and_stops_nothing() -> None:
    story = stage(**BANDS, dry_run=True)
    given(story).when(c.Advance()).then_among(f.StageEntered(2))
    failed = given(story).when(record("60%")).story
    assert (failed.state.phase, failed.state.halted) == ("cutover", False)
    given(failed).when(c.Advance()).then_among(f.StageEntered(2))


def test_a_breach_rolls_back_in_the_same_record_where_the_plan_says_so() -> None:
    story = stage(**BANDS).when(record("60%"), by=MONITOR)
    assert story.facts[1:] == (f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back"))
    assert len(story.story.records) == len(stage(**BANDS).records) + 1


def test_a_breach_halts_in_the_same_record_where_the_plan_says_so() -> None:
    story = stage(below="5%", stop_above="50%", then="halt").when(record("60%"), by=MONITOR)
    assert story.facts[1:] == (f.Halted("'K' failed: 60% is above the stop limit 50%"),)


def test_a_limit_that_is_not_kept_stops_nothing_by_itself() -> None:
    story = stage(below=10).when(record("60"), by=MONITOR)
    assert len(story.facts) == 1


def test_while_nobody_is_exposed_a_breach_halts_instead_of_rolling_back() -> None:
    plan = plan_of(criteria={"K": BANDS}, deploy={"services": ["api"], "criteria": ["K"]})
    assert given(deployed(plan)).when(record("60%"), by=MONITOR).story.state.halted


@pytest.mark.parametrize("value", ["NaN", "no data", "inf"])
def test_bad_data_never_halts_or_rolls_back(value: str) -> None:
    assert len(stage(**BANDS).when(record(value), by=MONITOR).facts) == 1


# -- who judges


def test_a_sentence_is_judged_by_a_person() -> None:
    story = stage(text="Nothing that makes us stop")
    given(story).when(record()).refused("'K' needs a verdict (pass or fail)", code="invalid")
    given(story.then(record(verdict="pass"))).when(c.Advance()).then_among(f.StageEntered(2))
    given(story.then(record(verdict="fail"))).when(c.Advance()).refused_only("'K' failed: a person's judgement")


def test_what_has_a_limit_is_recorded_by_its_value_and_not_judged() -> None:
    story = stage(below=10)
    given(story).when(record(verdict="pass")).refused("has a limit (below 10): record its value", code="invalid")
    given(story).when(record("12", "pass")).refused("12 means fail (12 is not below 10), not pass")
    given(story).when(record()).refused("'K' needs a value", code="invalid")
    given(story).when(record("quick")).refused("expected a number", code="invalid")
    given(story).when(record(verdict="error"), by=MONITOR).then_among()


def test_an_expectation_must_be_recorded_and_never_blocks() -> None:
    story = stage(expect="about 700 users")
    given(story).when(c.Advance()).refused_only("'K' has not been judged in stage 1 (5%)")
    given(story.then(record("12"))).when(c.Advance()).then_among(f.StageEntered(2))


def test_criteria_are_judged_for_the_current_step() -> None:
    story = stage(below=10)
    given(story).when(record("1", step="stage-2")).refused_only("criteria are judged for the current step, stage-1")
    given(story).when(record("1", step="nowhere")).refused_only("no step 'nowhere'")
    other = c.RecordVerdict(criterion="L", value="1")
    given(story).when(other).refused_only("'L' is no criterion of stage 1 (5%); it has: K")
    given(cut_over().then(c.RollBack())).when(record("1")).refused_only("no criterion is judged in phase rolled_back")


def test_ci_and_monitor_record_and_others_of_the_service_do_not() -> None:
    for by in (CI, MONITOR, RELEASE_MANAGER):
        given(stage(below=10)).when(record("1"), by=by).then_among()
    given(stage(below=10)).when(record("1"), by=Actor("r", "reader")).refused("may be sent by", code="forbidden")
