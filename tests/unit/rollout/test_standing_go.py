"""A standing go: who decides, for whom, how long, and what takes its force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from events import facts as f
from events.facts import Actor
from services.rollout import commands as c
from services.rollout.asked import Surroundings

from .scenario import (
    CI,
    CLOCK,
    DAY,
    HOUR,
    MINUTE,
    OWNER,
    PRODUCT_OWNER,
    RELEASE_MANAGER,
    SOMEBODY,
    STAKEHOLDERS,
    Story,
    adopted,
    after_testing,
    attest_all,
    both_decide,
    cut_over,
    decided,
    given,
    in_testing,
    live,
    plan_of,
    released,
    seed,
    watched,
)

GO = c.Decide(decision="go")
FIRST = {"decided_by": ["Product Owner"]}


def ready(**parts: object) -> Story:
    """A small plan before its first stage, only the go missing."""
    return attest_all(watched(plan_of(**{"go_no_go": FIRST, **parts})))


def test_every_approver_decides_for_the_next_step_that_asks_for_a_go() -> None:
    story = after_testing()
    one = (
        given(story)
        .when(GO, by=PRODUCT_OWNER)
        .then(f.Decided("go", "stage-1", "VAOS Product Owner", story.state.plan_revision, story.state.basis))
    )
    given(one).when(c.CutOver()).refused_only("Business Stakeholders has not decided go for stage 1 (everyone)")
    given(one.then(GO, by=STAKEHOLDERS)).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


@pytest.mark.parametrize("history", [adopted, watched, in_testing, cut_over, live], ids=lambda h: h.__name__)
def test_a_go_may_be_decided_in_every_active_phase_and_before(history: Callable[[], Story]) -> None:
    story = history()
    facts = story.when(c.Decide(decision="go", step="stage-1"), by=PRODUCT_OWNER).facts
    assert [type(fact) for fact in facts] == [f.Decided]


def test_nothing_is_decided_once_it_is_over() -> None:
    cancelled = adopted().then(c.Cancel(reason="given up"))
    given(cancelled).when(GO, by=PRODUCT_OWNER).refused_only("decide is not possible in phase cancelled")


def test_a_decision_names_a_step_of_the_plan() -> None:
    given(adopted()).when(c.Decide(decision="go", step="stage-9"), by=PRODUCT_OWNER).refused(
        "'stage-9' is no step of the plan; it has: code_deploy, veteran_testing, stage-1, go_live", code="invalid"
    )


def test_only_who_holds_the_title_decides() -> None:
    given(after_testing()).when(GO, by=SOMEBODY).refused(
        "VAOS Product Owner and Business Stakeholders decide; you are sam, without a title", code="forbidden"
    )
    both = c.Decide(decision="go", title="Business Stakeholders")
    given(after_testing()).when(both, by=PRODUCT_OWNER).refused(
        "Business Stakeholders decides; you are paul", code="forbidden"
    )


def test_a_title_that_decides_nothing_is_named() -> None:
    command = c.Decide(decision="go", title="Office Cat")
    given(after_testing()).when(command, by=PRODUCT_OWNER).refused("'Office Cat' does not decide here", code="invalid")


def test_a_delegate_named_by_title_or_subject_decides_and_it_shows() -> None:
    plan = {**FIRST, "delegates": {"Product Owner": ["Delivery Manager", "dana"]}}
    story = ready(go_no_go=plan)
    for by in (Actor("del", "approver", ("Delivery Manager",)), Actor("dana", "release_manager")):
        outcome = given(story).when(GO, by=by)
        decided_fact = outcome.facts[0]
        assert isinstance(decided_fact, f.Decided)
        assert (decided_fact.title, decided_fact.delegate) == ("Product Owner", True)
        given(outcome.story).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


def test_the_requester_is_never_the_approver_whatever_titles_they_hold() -> None:
    boss = Actor("mia", "release_manager", ("VAOS Product Owner",))
    story = after_testing().then(GO, by=boss).then(GO, by=STAKEHOLDERS)
    given(story).when(c.CutOver(), by=boss).refused_only(
        "the go of VAOS Product Owner for stage 1 (everyone) is your own"
    )
    renamed = Actor("mia", "admin")
    given(story).when(c.CutOver(), by=renamed).refused_only("is your own: somebody else must send the move")
    given(story).when(c.CutOver(), by=Actor("max", "release_manager", boss.titles)).then_among(
        f.PhaseEntered("cutover")
    )


def test_the_service_s_default_approvers_decide_where_the_plan_names_nobody() -> None:
    around = Surroundings(default_approvers=("Platform",))
    plan = plan_of(go_no_go={})
    story = replace(Story(), around=around).when(c.Adopt(plan=plan)).then(f.PlanAdopted(plan, ("Platform",), 2))
    assert story.state.default_approvers == ("Platform",)
    platform = Actor("pia", "approver", ("Platform",))
    story.then(GO, by=platform)


def test_with_nobody_named_at_all_it_says_so() -> None:
    story = watched(plan_of(go_no_go={}))
    given(story).when(c.CutOver()).refused_only("nobody is named to decide go for stage 1 (everyone)")
    given(story).when(GO, by=OWNER).refused_only("the plan names nobody to decide (go_no_go: decided_by)")


# -- how long


def test_a_go_expires_and_expiry_is_judged_when_it_is_used() -> None:
    story = ready(go_no_go={**FIRST, "valid_for": "48 hours"}).then(GO, by=OWNER)
    given(story.after(2 * DAY - MINUTE)).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))
    given(story.after(2 * DAY)).when(c.CutOver()).refused_only(
        "the go of Product Owner for stage 1 (everyone) expired at"
    )


def test_a_decision_may_say_how_long_it_holds_itself() -> None:
    story = ready().then(c.Decide(decision="go", valid_for="1 hour"), by=OWNER)
    given(story.after(HOUR)).when(c.CutOver()).refused_only("expired at")
    given(story).when(c.Decide(decision="go", valid_for="soon"), by=OWNER).refused("length of time", code="invalid")


def test_a_go_that_has_expired_can_be_given_again_and_the_clock_says_that_it_expired() -> None:
    story = ready().then(c.Decide(decision="go", valid_for="1 hour"), by=OWNER).after(HOUR)
    assert any("the go of Product Owner for stage 1 (everyone) has expired" in due.what for due in story.due())
    given(story.then(GO, by=OWNER)).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


def test_without_a_span_a_go_does_not_expire() -> None:
    given(ready().then(GO, by=OWNER).after(timedelta(days=400))).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


# -- what takes its force


def _revised(story: Story) -> Story:
    plan = story.state.plan
    return story.then(c.RevisePlan(plan=replace(plan, go_live=replace(plan.go_live, kpis=()))))


VOIDING: dict[str, tuple[Callable[[Story], Story], str]] = {
    "a plan revision": (_revised, "the plan was revised after it"),
    "a deploy": (
        lambda s: s.then(c.ReportDeploy(service="vets-api", version="2"), by=CI),
        "vets-api 2 was deployed after it",
    ),
    "a withdrawal": (
        lambda s: s.then(c.Withdraw(item=seed().prerequisites[1].id)),
        "an attestation was withdrawn after it",
    ),
    "a halt": (
        lambda s: s.then(c.Halt(reason="odd")).then(c.Resume(reason="fine")),
        "the rollout was halted after it",
    ),
    "a rollback": (lambda s: s.then(c.RollBack()), "the release was rolled back after it"),
    "a no_go": (
        lambda s: s.then(c.Decide(decision="no_go"), by=STAKEHOLDERS),
        "Business Stakeholders decided no_go after it",
    ),
    "a pivot": (
        lambda s: s.then(c.Decide(decision="pivot"), by=STAKEHOLDERS),
        "Business Stakeholders decided pivot after it",
    ),
}


@pytest.mark.parametrize("cause", list(VOIDING))
def test_a_go_has_no_force_any_more_after(cause: str) -> None:
    happen, words = VOIDING[cause]
    story = happen(decided())
    given(story).when(c.CutOver()).refused(f"the go of VAOS Product Owner for stage 1 (everyone) is void: {words}")
    assert not any(choice.decision == "go" and not choice.voided for choice in story.state.choices.values())


def test_a_criterion_that_fails_takes_the_force_of_a_go() -> None:
    story = cut_over().then(c.Decide(decision="go", step="go_live"), by=PRODUCT_OWNER)
    assert story.state.any_go
    failed = story.then(c.RecordVerdict(criterion="Sum of Errors", value="12"))
    assert failed.state.choices["go_live/VAOS Product Owner"].voided == "'Sum of Errors' failed after it"
    again = failed.then(c.Decide(decision="go", step="go_live"), by=PRODUCT_OWNER)
    still = again.then(c.RecordVerdict(criterion="Sum of Errors", value="12"))
    assert not still.state.any_go


def test_a_pause_takes_the_force_of_a_go_and_halts() -> None:
    story = (
        given(decided())
        .when(c.Decide(decision="pause", reason="holidays"), by=STAKEHOLDERS)
        .then_among(f.Halted("Business Stakeholders decided pause: holidays"))
    )
    given(story).when(c.CutOver()).refused_only(
        "halted: Business Stakeholders decided pause: holidays; resume first",
        "the go of VAOS Product Owner for stage 1 (everyone) is void: Business Stakeholders decided pause after it",
        "Business Stakeholders decided pause for stage 1 (everyone)",
    )


def test_a_pause_after_a_resume_pauses_again() -> None:
    pause = c.Decide(decision="pause", reason="holidays")
    story = decided().then(pause, by=STAKEHOLDERS)
    given(story).when(pause, by=STAKEHOLDERS).already()
    resumed = story.then(c.Resume(reason="back"))
    assert given(resumed).when(pause, by=STAKEHOLDERS).story.state.halted


def test_what_says_nothing_about_the_release_leaves_a_go_standing() -> None:
    story = decided().then(c.AddNote(text="lunch"))
    plan = story.state.plan
    story = story.then(c.RevisePlan(plan=replace(plan, links={"Outline": "https://example.org"})))
    story = story.then(c.RecordResult(item="Record load times", value="faster"))
    given(story).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


def test_the_latest_decision_of_a_role_counts() -> None:
    story = decided().then(c.Decide(decision="no_go"), by=PRODUCT_OWNER)
    given(both_decide(story)).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


def test_a_go_is_for_one_step_only() -> None:
    story = released(
        plan_of(go_no_go={**FIRST, "before": "every stage"}, rollout={"stages": ["5%", "10%", "everyone"]})
    )
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 2 (10%)")
    story = story.then(GO, by=OWNER).then(c.Advance())
    given(story).when(c.Advance()).refused_only("Product Owner has not decided go for stage 3 (everyone)")


def test_a_go_before_testing_and_before_go_live_where_the_plan_asks_for_it() -> None:
    story = watched(plan_of(go_no_go={**FIRST, "before": ["testing", "go live"]}, testing={"testers": 1}))
    given(story).when(c.StartTesting()).refused_only("Product Owner has not decided go for testing")
    assert story.then(GO, by=OWNER).then(c.StartTesting()).state.phase == "veteran_testing"


# -- go / no-go questions


def test_go_no_go_questions_are_answered_by_their_role_before_a_go() -> None:
    question = {"text": "Is the help desk trained? yes/no", "answered_by": "Help Desk", "must_be": "yes"}
    story = ready(go_no_go={**FIRST, "questions": [question]})
    desk = Actor("hal", "approver", ("Help Desk",))
    given(story).when(GO, by=OWNER).refused_only("'Is the help desk trained?' is not answered by Help Desk")
    answer = c.AnswerQuestion(question="Is the help desk trained?", answer="no, next week")
    given(story).when(answer, by=OWNER).refused("is answered by Help Desk; you are olga", code="forbidden")
    no = given(story).when(answer, by=desk).then(f.QuestionAnswered("is-the-help-desk-trained", "no", "next week"))
    given(no).when(GO, by=OWNER).refused_only("must be 'yes' for a go, it is 'no'")
    given(no).when(c.Decide(decision="no_go"), by=OWNER).then_among()
    yes = no.then(c.AnswerQuestion(question="is-the-help-desk-trained", answer="Yes"), by=desk)
    yes.then(GO, by=OWNER).then(c.CutOver(), by=RELEASE_MANAGER)


QUESTION = {"id": "calls", "text": "Does the call center know? yes/no", "must_be": "yes"}


def answering(answer: str) -> c.AnswerQuestion:
    return c.AnswerQuestion(question="calls", answer=answer)


def test_another_answer_takes_the_force_of_the_go_that_rests_on_it() -> None:
    story = ready(go_no_go={**FIRST, "questions": [QUESTION]}).then(answering("yes"), by=OWNER).then(GO, by=OWNER)
    for other in ("yes, since today", "no, not yet"):
        changed = given(story).when(answering(other), by=OWNER).story
        given(changed).when(c.CutOver()).refused(
            "the go of Product Owner for stage 1 (everyone) is void: 'Does the call center know?' was answered after it"
        )
    same = given(story).when(answering("yes"), by=OWNER).already()
    given(same).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


def test_a_move_that_needs_a_go_is_held_against_the_answers_too() -> None:
    story = ready(go_no_go={**FIRST, "questions": [QUESTION]})
    given(story).when(c.CutOver()).refused_only(
        "the go/no-go question 'Does the call center know?' is not answered", "Product Owner has not decided go"
    )
    no = story.then(answering("no"), by=OWNER)
    given(no).when(c.CutOver()).refused_only("must be 'yes' for a go, it is 'no'", "Product Owner has not decided go")
    assert no.missing()[0] == "the answer to 'Does the call center know?' must be 'yes' for a go, it is 'no'"


def test_an_answer_to_a_post_launch_question_takes_no_go() -> None:
    story = ready(go_no_go=FIRST).then(GO, by=OWNER).then(c.AnswerQuestion(question="What next?", answer="more"))
    given(story).when(c.CutOver()).then_among(f.PhaseEntered("cutover"))


# -- what goes on by itself

BOTH = Actor("mia", "release_manager", ("Product Owner",))
AUTOMATIC = {
    "go_no_go": {**FIRST, "before": "every stage"},
    "rollout": {"stages": ["10%", {"to": "everyone", "automatic": True}], "length": "1 hour"},
}


def test_the_clock_moves_on_no_go_of_whoever_wrote_the_plan() -> None:
    own = released(plan_of(**AUTOMATIC)).then(GO, by=BOTH).after(2 * HOUR)
    assert not any(isinstance(due.command, c.Advance) for due in own.due())
    given(own).when(c.Advance(), by=CLOCK).refused_only("is by mia, whose plan it is: somebody else must send the move")
    given(own).when(c.Advance(), by=BOTH).refused_only("is your own")
    given(own).when(c.Advance(), by=Actor("max", "release_manager")).then_among(f.StageEntered(2))
    others = released(plan_of(**AUTOMATIC)).then(GO, by=OWNER).after(2 * HOUR).tick()
    assert others.state.stage == 2


def test_who_revised_the_plan_moves_what_is_automatic_too() -> None:
    plan = plan_of(**AUTOMATIC)
    reviser = Actor("rae", "release_manager", ("Product Owner",))
    story = released(plan).then(c.RevisePlan(plan=replace(plan, title="Other words")), by=reviser)
    story = story.then(GO, by=reviser).after(2 * HOUR)
    given(story).when(c.Advance(), by=CLOCK).refused_only("is by rae, whose plan it is")
