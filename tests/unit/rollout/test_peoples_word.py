"""Attesting and withdrawing, results and answers, notes and what is left after the close."""

from __future__ import annotations

from typing import Any

import pytest

from events import facts as f
from events.facts import Actor
from services.rollout import commands as c

from .scenario import (
    CI,
    CLOCK,
    DAY,
    FACILITATOR,
    MONITOR,
    OWNER,
    PRODUCT_OWNER,
    RELEASE_MANAGER,
    STAKEHOLDERS,
    adopted,
    closed,
    cut_over,
    deployed,
    given,
    in_testing,
    live,
    plan_of,
    released,
    seed,
    watched,
)

HSRM, _, BUSINESS, OWNER_APPROVED = (item.id for item in seed().prerequisites)

# -- attest, withdraw


def test_a_prerequisite_is_attested_by_whoever_the_plan_names() -> None:
    given(adopted()).when(c.Attest(item=BUSINESS), by=STAKEHOLDERS).then(f.Attested(BUSINESS, "Business Stakeholders"))
    given(adopted()).when(c.Attest(item=BUSINESS), by=PRODUCT_OWNER).refused(
        "'Business Stakeholders approved Veteran-facing launch' is attested by Business Stakeholders; you are paul",
        code="forbidden",
    )
    given(adopted()).when(c.Attest(item=HSRM), by=PRODUCT_OWNER).refused("by a release manager", code="forbidden")
    given(adopted()).when(c.Attest(item=HSRM)).then(f.Attested(HSRM))


def test_the_plan_s_own_release_managers_attest_too() -> None:
    story = adopted(plan_of(prerequisites=["Ready"], release_managers="Travel Pay RM"))
    given(story).when(c.Attest(item="ready"), by=Actor("tom", "approver", ("Travel Pay RM",))).then(f.Attested("ready"))


def test_an_item_is_named_by_its_id_or_its_text() -> None:
    text = seed().prerequisites[0].text
    given(adopted()).when(c.Attest(item=text.upper())).then(f.Attested(HSRM))
    given(adopted()).when(c.Attest(item="the moon is full")).refused_only(
        "no item 'the moon is full' to attest; it has: "
    )


def test_withdrawing_while_anybody_is_exposed_also_halts() -> None:
    story = cut_over()
    after = given(story).when(c.Withdraw(item=HSRM, reason="HSRM is down")).story
    assert after.state.halted
    assert after.state.exposure == story.state.exposure
    before = adopted().then(c.Attest(item=HSRM))
    given(before).when(c.Withdraw(item=HSRM)).then(f.AttestationWithdrawn(HSRM))


def test_withdrawing_is_for_its_attester_or_a_manager_and_only_of_what_is_attested() -> None:
    given(cut_over()).when(c.Withdraw(item=BUSINESS), by=STAKEHOLDERS).then_among(f.AttestationWithdrawn(BUSINESS))
    given(cut_over()).when(c.Withdraw(item=BUSINESS)).then_among(f.AttestationWithdrawn(BUSINESS))
    given(cut_over()).when(c.Withdraw(item=BUSINESS), by=PRODUCT_OWNER).refused("is withdrawn by", code="forbidden")
    given(adopted()).when(c.Withdraw(item=BUSINESS)).refused_only("has not been attested")


def test_what_was_withdrawn_is_attested_again() -> None:
    story = cut_over().then(c.Withdraw(item=HSRM))
    given(story).when(c.GoLive()).refused("was withdrawn: the release manager must attest it again")
    again = story.then(c.Attest(item=HSRM)).then(c.Resume(reason="it is back"))
    assert not any("withdrawn" in text for text in again.missing())


def test_every_promotion_needs_the_prerequisites_not_only_the_first() -> None:
    story = released(plan_of(prerequisites=["Ready"], rollout={"stages": ["5%", "everyone"]}))
    story = story.then(c.Withdraw(item="ready"))
    given(story).when(c.Advance()).refused_only("halted", "prerequisite 'Ready' was withdrawn")


def test_nothing_is_attested_once_it_is_over() -> None:
    given(closed()).when(c.Attest(item=HSRM)).refused_only("nothing is attested in phase closed")


# -- results


def test_a_result_belongs_to_the_current_step_unless_it_says_otherwise() -> None:
    given(in_testing()).when(c.RecordResult(item="Record load times", value="2 s"), by=FACILITATOR).then(
        f.ResultRecorded("veteran_testing", "record-load-times", "2 s")
    )
    given(in_testing()).when(c.RecordResult(item="Types of errors logged", value="none", step="code_deploy")).then(
        f.ResultRecorded("code_deploy", "types-of-errors-logged", "none")
    )
    given(in_testing()).when(c.RecordResult(item="Weather", value="fine")).refused_only(
        "'Weather' is no result of testing; it has: record-load-times, "
    )
    given(in_testing()).when(c.RecordResult(item="x", value="y", step="z")).refused("'z' is no step", code="invalid")


def test_after_the_release_a_result_goes_to_the_set_that_is_due_and_lacks_it() -> None:
    users = c.RecordResult(item="Number of unique users", value="120")
    given(live()).when(users).refused_only("no results are due in phase go_live")
    week = live().after(7 * DAY).when(users)
    week.then(f.ResultRecorded("1 week", "number-of-unique-users", "120"))
    month = week.story.after(30 * DAY).when(users)
    month.then(f.ResultRecorded("1 month", "number-of-unique-users", "120"))


def test_there_are_no_results_before_the_release() -> None:
    command = c.RecordResult(item="Number of unique users", value="1", step="1 week")
    given(in_testing()).when(command).refused_only("nothing is released to everyone yet")


def test_a_kpi_is_recorded_beside_its_target_and_never_blocks() -> None:
    kpi = seed().go_live.kpis or live().state.plan.go_live.kpis
    name = kpi[1].name
    outcome = given(live()).when(c.RecordResult(item=name, value="35%", step="1 week"))
    outcome.then(f.ResultRecorded("1 week", name, "35%", verdict="fail"))
    given(live()).when(c.RecordResult(item=name, value=" ", step="1 week")).refused("found nothing", code="invalid")


KINDS: list[tuple[str, str, str, str]] = [
    ("Any issues? yes/no", "Yes, two of them", "yes", "two of them"),
    ("Any issues? yes/no", "no", "no", ""),
    ("Users, number", "1,200", "1,200", ""),
    ("Bugs: found/fixed", "3/2", "3/2", ""),
    ("Bugs: found/fixed", "3 / 2, one is harmless", "3 / 2", "one is harmless"),
    ("Errors logged", " none, really ", "none, really", ""),
]


@pytest.mark.parametrize(("question", "written", "value", "note"), KINDS)
def test_answers_are_typed(question: str, written: str, value: str, note: str) -> None:
    story = released(plan_of(rollout={"results": [question]}))
    (asked,) = story.state.plan.rollout.results
    given(story).when(c.RecordResult(item=asked.id, value=written)).then(
        f.ResultRecorded("stage-1", asked.id, value, note)
    )


@pytest.mark.parametrize(
    ("question", "written", "words"),
    [
        ("Any issues? yes/no", "perhaps", "expected yes or no"),
        ("Users, number", "many", "expected a number"),
        ("Users, number", "nan", "expected a number"),
        ("Users, number", "inf", "expected a number"),
        ("Bugs: found/fixed", "three", "expected two counts such as 3/2"),
        ("Errors logged", "  ", "expected an answer, found nothing"),
    ],
)
def test_answers_of_another_kind_are_refused(question: str, written: str, words: str) -> None:
    story = released(plan_of(rollout={"results": [question]}))
    (asked,) = story.state.plan.rollout.results
    given(story).when(c.RecordResult(item=asked.id, value=written)).refused(words, code="invalid")


def test_a_result_blocks_only_if_it_must_be_something() -> None:
    must: dict[str, Any] = {"text": "Any issues? yes/no", "must_be": "no"}
    story = released(plan_of(rollout={"results": [must], "stages": ["5%", "everyone"]}))
    bad = story.then(c.RecordResult(item="any-issues", value="yes, one"))
    given(bad).when(c.Advance()).refused_only("'Any issues?' must be 'no', recorded was 'yes'")
    given(bad.then(c.RecordResult(item="any-issues", value="No"))).when(c.Advance()).then_among(f.StageEntered(2))


# -- answers


def test_a_post_launch_question_may_be_answered_and_corrected() -> None:
    story = live()
    question = story.state.plan.post_launch_questions[1]
    first = story.then(c.AnswerQuestion(question=question.text, answer="good"))
    given(first).when(c.AnswerQuestion(question=question.id, answer="very good")).then(
        f.QuestionAnswered(question.id, "very good")
    )
    given(story).when(c.AnswerQuestion(question="Why?", answer="so")).refused_only("the plan asks no question 'Why?'")


# -- the rest


def test_a_note_needs_a_text_and_may_be_written_at_any_time() -> None:
    for story in (adopted(), closed(), adopted().then(c.Cancel(reason="x"))):
        given(story).when(c.AddNote(text="remember"), by=CI).then(f.Noted("remember"))
    given(adopted()).when(c.AddNote(text=" ")).refused("a note needs a text", code="invalid")


def test_a_toggle_is_retired_after_the_close() -> None:
    key = seed().toggles[0].key
    given(closed()).when(c.RetireToggle(toggle=key)).then(f.ToggleRetired(key))
    given(live()).when(c.RetireToggle(toggle=key)).refused_only("a toggle is retired once the rollout is closed")
    given(closed()).when(c.RetireToggle(toggle="nope")).refused_only("'nope' is no toggle of the plan; it has: ")


def test_the_clock_speaks_once() -> None:
    said = given(watched()).when(c.Remind(about="x", text="now"), by=CLOCK).then(f.Reminded("x", "now"))
    given(said).when(c.Remind(about="x", text="now"), by=CLOCK).already()


def test_people_do_not_send_the_clock_s_words() -> None:
    for by in (RELEASE_MANAGER, OWNER, FACILITATOR):
        given(watched()).when(c.Remind(about="x", text="now"), by=by).refused("may be sent by clock", code="forbidden")


# -- whom the plan names


def named() -> dict[str, Any]:
    """A plan that names who judges its criterion, and who records its result and its KPI."""
    return {
        "criteria": {"Usable": {"text": "Users find their way", "judged_by": "Product Owner"}},
        "deploy": {
            "services": ["api"],
            "criteria": ["Usable"],
            "watch": [{"until": "1 hour", "results": [{"text": "Errors seen", "answered_by": "Product Owner"}]}],
        },
        "go_live": {"kpis": [{"name": "Calls", "judged_by": "Product Owner"}], "results_after": ["1 week"]},
    }


@pytest.mark.parametrize("by", [CI, FACILITATOR, RELEASE_MANAGER, PRODUCT_OWNER], ids=lambda by: by.subject)
def test_a_verdict_and_a_result_are_whose_the_plan_says(by: Actor) -> None:
    story = deployed(plan_of(**named()))
    verdict = c.RecordVerdict(criterion="Usable", verdict="pass")
    result = c.RecordResult(item="Errors seen", value="none")
    refusal = f"; you are {by.subject}"
    given(story).when(verdict, by=by).refused(f"'Usable' is judged by Product Owner{refusal}", code="forbidden")
    given(story).when(result, by=by).refused(f"'Errors seen' is recorded by Product Owner{refusal}", code="forbidden")
    for sender in (OWNER, MONITOR):
        given(story).when(verdict, by=sender).then_among()
        given(story).when(result, by=sender).then_among()


def test_a_kpi_is_whose_the_plan_says() -> None:
    story = released(plan_of(go_live=named()["go_live"])).after(7 * DAY)
    calls = c.RecordResult(item="Calls", value="12", step="1 week")
    given(story).when(calls, by=FACILITATOR).refused("'Calls' is recorded by Product Owner", code="forbidden")
    given(story).when(calls, by=OWNER).then(f.ResultRecorded("1 week", "Calls", "12"))
