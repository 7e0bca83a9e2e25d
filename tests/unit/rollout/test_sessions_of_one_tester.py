"""Overruns, no-shows, and several sessions of one tester: the group is on in the union of their windows."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from events.facts import SessionMoved, SessionRecorded, WindowClosed, WorkflowResult
from projections.flags import FlagSnapshot, evaluate, fold
from services.rollout import commands as c
from services.rollout.sessions import is_open

from .scenario import FACILITATOR, HOUR, MINUTE, RELEASE_MANAGER, Story, given, in_testing, plan_of, scheduled, watched

VETERAN = "veteran-1"


def on(story: Story, at: datetime | None = None) -> bool:
    """Whether the tester of the story has the group on, as a reader of flags sees it."""
    snapshot: FlagSnapshot | None = None
    for n, record in enumerate(story.records, 1):
        snapshot = fold(snapshot, record, n)
    assert snapshot is not None
    snapshot = replace(snapshot, testers={"t-1": "h1"})
    now = at or story.now
    answer = evaluate(snapshot, VETERAN, now, lambda user: {"veteran-1": "h1"}.get(user, "h0")).value
    assert answer == any(is_open(story.state, s, now) for s in story.state.sessions.values())
    return answer


def overlapping() -> Story:
    """Two sessions of one tester: windows [0:30, 1:30) and [0:45, 1:45) from now on."""
    story = in_testing()
    for name, minutes in (("a", 60), ("b", 75)):
        at = (story.now + minutes * MINUTE).isoformat()
        story = story.then(c.ScheduleSession(name, "t-1", at=at, length="30 minutes"), by=FACILITATOR)
    return story


def test_the_group_is_on_in_the_union_of_the_windows() -> None:
    story = overlapping()
    seen = {m: on(story, story.now + m * MINUTE) for m in (29, 30, 44, 45, 89, 90, 104, 105)}
    assert seen == {29: False, 30: True, 44: True, 45: True, 89: True, 90: True, 104: True, 105: False}


def test_closing_or_cancelling_one_session_does_not_end_the_other() -> None:
    for ending in (c.CloseWindow("a"), c.CancelSession("a")):
        story = overlapping().after(50 * MINUTE).tick().then(ending, by=FACILITATOR)
        assert on(story)
        assert on(story, story.now + 54 * MINUTE)
        assert not on(story, story.now + 55 * MINUTE)
        both = story.then(c.CloseWindow("b"), by=FACILITATOR)
        assert not on(both)


def test_the_clock_closes_each_window_on_its_own() -> None:
    story = overlapping().after(50 * MINUTE).tick().after(41 * MINUTE).tick()
    assert [story.state.sessions[name].window for name in "ab"] == ["closed", "open"]
    assert on(story)


def test_recording_one_session_leaves_the_others_window_alone() -> None:
    story = overlapping().after(80 * MINUTE).tick()
    story = story.then(c.RecordSession("a", "no_show"), by=FACILITATOR).then(c.CloseWindow("a"), by=FACILITATOR)
    assert on(story)
    assert story.state.sessions["b"].outcome == ""


# -- overruns


def test_a_session_overruns_its_plan_while_it_is_open() -> None:
    story = scheduled().after(80 * MINUTE).tick()
    session = story.state.sessions["v1"]
    assert session.ends is not None
    longer = session.starts + 45 * MINUTE
    fact = SessionMoved("v1", session.starts, longer, session.opens, longer)
    story = given(story).when(c.MoveSession("v1", length="45 minutes"), by=FACILITATOR).then(fact)
    assert on(story, session.ends)
    assert on(story, longer - MINUTE)
    assert not on(story, longer)
    given(story).when(c.MoveSession("v1", length="45 minutes"), by=FACILITATOR).already()


def test_an_overrun_may_be_cut_short_but_not_into_the_past() -> None:
    story = scheduled().after(80 * MINUTE).tick().then(c.MoveSession("v1", length="2 hours"), by=FACILITATOR)
    shorter = story.then(c.MoveSession("v1", length="25 minutes"), by=FACILITATOR)
    assert not on(shorter, shorter.now + 6 * MINUTE)
    given(story).when(c.MoveSession("v1", length="10 minutes")).refused("has passed: close the window instead")
    given(story).when(c.MoveSession("v1", at="2030-01-01T10:00")).refused("only its length can be changed")


def test_a_window_that_has_closed_is_not_opened_again_by_an_overrun() -> None:
    story = scheduled().after(95 * MINUTE).tick()
    given(story).when(c.MoveSession("v1", length="3 hours")).refused("has closed")
    assert not on(story)


# -- no-shows


def test_a_no_show_counts_for_nothing_and_may_still_turn_into_a_session() -> None:
    story = scheduled().after(HOUR + 10 * MINUTE).tick()
    absent = given(story).when(c.RecordSession("v1", "no_show"), by=FACILITATOR).then(SessionRecorded("v1", False))
    assert any("1 more test session must be held" in text for text in absent.missing())
    assert on(absent), "they may come late: the window ends when it ends"
    closed = given(absent).when(c.CloseWindow("v1"), by=FACILITATOR).then(WindowClosed("v1"))
    assert not on(closed)
    late = absent.then(c.RecordSession("v1", "held"), by=FACILITATOR)
    assert not any("more test session" in text for text in late.missing())
    workflow = story.state.plan.testing.workflows[0]
    tried = c.RecordSession("v1", "no_show", workflows=(WorkflowResult(workflow, True),))
    given(story).when(tried).refused("has done no workflows", code="invalid")


def test_the_window_of_a_recorded_session_can_be_closed_while_halted() -> None:
    story = scheduled().then(c.Halt(reason="errors")).after(HOUR + 10 * MINUTE).tick()
    story = story.then(c.RecordSession("v1", "no_show"), by=FACILITATOR)
    given(story).when(c.CloseWindow("v1"), by=FACILITATOR).then(WindowClosed("v1"))


# -- coverage


def in_testing_of(each: int) -> Story:
    testing = {"workflows": ["View", "Cancel"], "each_workflow": each, "sessions": {"at_least": 1}, "results": []}
    story = watched(plan_of(testing=testing, prerequisites=[]))
    return story.then(c.StartTesting())


def session_of(story: Story, name: str, *tried: WorkflowResult) -> Story:
    at = (story.now + HOUR).isoformat()
    story = story.then(c.ScheduleSession(name, f"t-{name}", at=at), by=FACILITATOR).after(2 * HOUR).tick()
    return story.then(c.RecordSession(name, workflows=tried), by=FACILITATOR)


def test_every_workflow_is_done_as_often_as_the_plan_asks() -> None:
    story = session_of(in_testing_of(2), "a", WorkflowResult("View", True, (1.2, 0.9)), WorkflowResult("Cancel", True))
    for workflow in ("View", "Cancel"):
        assert f"workflow '{workflow}' was done 1 of 2 times" in story.missing()
    story = session_of(story, "b", WorkflowResult("View", True), WorkflowResult("Cancel", False))
    assert [text for text in story.missing() if "workflow" in text] == [
        "workflow 'Cancel' was done 1 of 2 times",
        "workflow 'Cancel' failed in session 'b' and nobody waived it",
    ]
    story = session_of(story, "c", WorkflowResult("Cancel", True))
    assert [text for text in story.missing() if "workflow" in text] == [
        "workflow 'Cancel' failed in session 'b' and nobody waived it",
    ]
    story = story.then(c.WaiveWorkflow("b", "Cancel", reason="by phone"), by=RELEASE_MANAGER)
    assert not any("workflow" in text for text in story.missing())
