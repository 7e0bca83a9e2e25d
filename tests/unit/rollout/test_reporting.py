"""Reporting what is wrong, what became of telling people, and waiving what failed."""

from __future__ import annotations

from events.facts import Actor, Announced, IssueReported, SessionRecorded, WorkflowResult, WorkflowWaived
from services.rollout import commands as c

from .scenario import (
    CI,
    CLOCK,
    FACILITATOR,
    HOUR,
    MONITOR,
    RELEASE_MANAGER,
    Story,
    adopted,
    given,
    plan_of,
    rolled_back,
    scheduled,
)

HERALD = Actor("herald", "herald")
CAUSE = "vaos-service-integration/10/0/0"


def test_whoever_acts_may_report_what_is_wrong_in_any_phase() -> None:
    for by in (RELEASE_MANAGER, FACILITATOR, CI, MONITOR):
        given(adopted()).when(c.ReportIssue(" it is slow "), by=by).then(IssueReported("it is slow"))
    given(rolled_back()).when(c.ReportIssue("it is slow")).then(IssueReported("it is slow"))
    given(adopted()).when(c.ReportIssue("it is slow"), by=CLOCK).refused("may be sent by", code="forbidden")


def test_an_issue_needs_words_and_a_way_to_go() -> None:
    given(adopted()).when(c.ReportIssue("  ")).refused("say what is wrong", code="invalid")
    given(adopted(plan_of())).when(c.ReportIssue("it is slow")).refused("names no way to report issues")
    wrong = c.ReportIssue("it is slow", purpose="the back end")
    given(adopted()).when(wrong).refused("'front end issues related to VAOS website'", code="invalid")
    right = c.ReportIssue("it is slow", purpose="Front end")
    given(adopted()).when(right).then(IssueReported("it is slow", "Front end"))


def test_reporting_changes_nothing_that_a_decision_rests_on() -> None:
    story = adopted()
    after = story.then(c.ReportIssue("it is slow")).then(sent(), by=HERALD)
    assert after.state.basis == story.state.basis


def sent(cause: str = CAUSE) -> c.RecordDelivery:
    return c.RecordDelivery(cause, "github", "sent", url="https://github.com/va/team/issues/1")


def not_sent() -> c.RecordDelivery:
    return c.RecordDelivery(CAUSE, "github", "not sent", why="no token", text="the text")


def test_what_was_sent_is_recorded_once_and_stays_sent() -> None:
    fact = Announced(CAUSE, "github", "sent", "https://github.com/va/team/issues/1")
    story = given(adopted()).when(sent(), by=HERALD).then(fact)
    given(story).when(sent(), by=HERALD).already()
    given(story).when(not_sent(), by=HERALD).already()
    assert story.state.announced[f"{CAUSE} github"].url == "https://github.com/va/team/issues/1"


def test_what_was_not_sent_may_be_sent_later() -> None:
    story = (
        given(adopted())
        .when(not_sent(), by=HERALD)
        .then(Announced(CAUSE, "github", "not sent", "", "no token", "the text"))
    )
    given(story).when(not_sent(), by=HERALD).already()
    given(story).when(sent(), by=HERALD).then(Announced(CAUSE, "github", "sent", "https://github.com/va/team/issues/1"))


def test_only_the_herald_says_what_was_sent_and_only_of_the_rollouts_own_causes() -> None:
    given(adopted()).when(sent()).refused("may be sent by herald", code="forbidden")
    given(adopted()).when(sent("another/10/0/0"), by=HERALD).refused("is no cause of rollout", code="invalid")


# -- waiving


def failed() -> Story:
    """A session was held in which everything was done but the last workflow, which failed."""
    story = scheduled().after(2 * HOUR)
    *good, bad = story.state.plan.testing.workflows
    tried = (*(WorkflowResult(w, done=True) for w in good), WorkflowResult(bad, done=False, comments="enc:AA"))
    return story.then(c.RecordSession("v1", workflows=tried), by=FACILITATOR)


def waiving(workflow: str = "Cancel appointment", reason: str = "done by phone") -> c.WaiveWorkflow:
    return c.WaiveWorkflow("v1", workflow, reason=reason)


def test_a_waived_failure_no_longer_blocks_but_the_workflow_must_still_be_done() -> None:
    story = failed()
    bad = story.state.plan.testing.workflows[-1]
    assert any("failed in session 'v1' and nobody waived it" in text for text in story.missing())
    after = given(story).when(waiving(), by=FACILITATOR).then(WorkflowWaived("v1", bad, "done by phone"))
    assert not any("nobody waived it" in text for text in after.missing())
    assert any(f"workflow {bad!r} was done 0 of 1 times" in text for text in after.missing())
    assert after.state.sessions["v1"].workflows[-1].comments == "enc:AA"
    given(after).when(waiving(), by=FACILITATOR).already()


def test_recording_the_session_again_makes_the_failure_count_again() -> None:
    story = failed()
    tried = story.state.sessions["v1"].workflows
    story = (
        story.then(waiving(), by=FACILITATOR)
        .when(c.RecordSession("v1", workflows=tried), by=FACILITATOR)
        .then(SessionRecorded("v1", True, tried))
    )
    assert any("nobody waived it" in text for text in story.missing())


def test_only_what_failed_in_a_held_session_is_waived_and_only_with_a_reason() -> None:
    given(failed()).when(waiving(reason="")).refused("a reason is needed")
    given(failed()).when(waiving("View upcoming")).refused("did not fail")
    given(failed()).when(waiving("View")).refused("begins several workflows", code="invalid")
    given(failed()).when(waiving("Sing")).refused("no workflow that begins with 'Sing'", code="invalid")
    given(scheduled()).when(waiving()).refused("is not recorded as held")
    given(scheduled()).when(c.WaiveWorkflow("v9", "View", reason="x")).refused("there is no session 'v9'")
    given(failed()).when(waiving(), by=CI).refused("may be sent by", code="forbidden")
