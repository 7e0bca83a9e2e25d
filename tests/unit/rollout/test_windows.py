"""Sessions, their windows, and everything else that is due by itself."""

from __future__ import annotations

import re

import pytest

from events import facts as f
from events.facts import Actor, WorkflowResult
from services.rollout import commands as c
from services.rollout.state import Session

from .scenario import (
    CLOCK,
    DAY,
    FACILITATOR,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    Story,
    all_done,
    attest_all,
    cut_over,
    deploy,
    given,
    in_testing,
    judge_well,
    live,
    plan_of,
    record_results,
    released,
    scheduled,
    seed,
    watched,
)


def schedule(story: Story, session: str = "v1", tester: str = "t-1", length: str = "") -> c.ScheduleSession:
    return c.ScheduleSession(session=session, tester=tester, at=(story.now + HOUR).isoformat(), length=length)


def v1(story: Story) -> Session:
    return story.state.sessions["v1"]


# -- scheduling


def test_a_window_opens_before_the_meeting_and_closes_at_its_end() -> None:
    story = in_testing()
    begins = story.now + HOUR
    given(story).when(schedule(story), by=FACILITATOR).then(
        f.SessionScheduled("v1", "t-1", begins, begins + 30 * MINUTE, begins - 30 * MINUTE, begins + 30 * MINUTE)
    )


def test_a_session_may_be_planned_before_testing_begins_and_after_the_cutover() -> None:
    for story in (watched(), cut_over(), live()):
        given(story).when(schedule(story, "another"), by=FACILITATOR).then_among()


def test_no_session_is_scheduled_where_testers_see_nothing() -> None:
    rolled_back = scheduled().then(c.RollBack())
    given(rolled_back).when(schedule(rolled_back, "v2"), by=FACILITATOR).refused_only(
        "no session is scheduled in phase"
    )
    waived = watched(plan_of())
    given(waived).when(schedule(waived), by=FACILITATOR).refused_only("switches nothing on for testers: a small change")
    staging = watched(plan_of(testing={"environment": "staging"}))
    given(staging).when(schedule(staging), by=FACILITATOR).refused_only("testing is in staging")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (c.ScheduleSession(session="v 2", tester="t", at="2022-08-02T10:00"), "a session's name is of letters"),
        (c.ScheduleSession(session="v2\n", tester="t", at="2022-08-02T10:00"), "a session's name is of letters"),
        (c.ScheduleSession(session="v2", tester=" ", at="2022-08-02T10:00"), "a session needs a tester"),
        (c.ScheduleSession(session="v2", tester="t"), "say when the session is"),
        (c.ScheduleSession(session="v2", tester="t", at="tomorrow"), "expected a time such as 2026-03-02T10:30"),
        (c.ScheduleSession(session="v2", tester="t", at="2022-08-02T10:00", length="0 minutes"), "longer than nothing"),
    ],
)
def test_what_makes_no_session_is_refused(command: c.Command, words: str) -> None:
    given(in_testing()).when(command, by=FACILITATOR).refused(words, code="invalid")


def test_a_session_is_not_longer_than_the_plan_allows_and_not_over_already() -> None:
    story = in_testing()
    given(story).when(schedule(story, length="45 minutes"), by=FACILITATOR).refused_only("last at most 30 minutes")
    late = c.ScheduleSession(session="v1", tester="t-1", at="2022-07-01T10:00")
    given(story).when(late, by=FACILITATOR).refused_only("the session would be over")


def test_a_session_s_name_is_used_once() -> None:
    story = scheduled()
    other = c.ScheduleSession(session="v1", tester="t-2", at="2022-08-02T10:00")
    given(story).when(other, by=FACILITATOR).refused_only("there is a session 'v1' already")
    cancelled = story.then(c.CancelSession(session="v1"), by=FACILITATOR)
    given(cancelled).when(other, by=FACILITATOR).refused_only("there is a session 'v1' already")


def test_access_for_the_whole_phase_has_no_end_of_its_own_and_a_cancelled_name_is_no_access() -> None:
    plan = plan_of(testing={"access": "whole phase", "testers": 1})
    story = attest_all(watched(plan)).then(c.StartTesting())
    tester = c.ScheduleSession(session="one", tester="t-1")
    on = (
        given(story)
        .when(tester, by=FACILITATOR)
        .then(f.SessionScheduled("one", "t-1", story.now, None, story.now, None))
    )
    assert [due.command for due in on.due()] == [c.OpenWindow(session="one")]
    given(on).when(tester, by=FACILITATOR).already()
    off = on.then(c.CancelSession(session="one"), by=FACILITATOR)
    given(off).when(tester, by=FACILITATOR).refused_only("there is a session 'one' already")


def test_whole_phase_testers_named_before_testing_begins_get_on_when_it_does() -> None:
    plan = plan_of(testing={"access": "whole phase", "testers": 1})
    story = attest_all(watched(plan)).then(c.ScheduleSession(session="one", tester="t-1"), by=FACILITATOR)
    assert not any("could not open" in due.what or "should open" in due.what for due in story.due())
    assert c.OpenWindow(session="one") in [due.command for due in story.then(c.StartTesting()).due()]


# -- windows by the clock


def test_windows_open_and_close_by_themselves_at_their_times() -> None:
    story = scheduled()
    opens, closes = story.agenda()[0], story.agenda()[1]
    assert (opens.at, opens.command) == (story.now + 30 * MINUTE, c.OpenWindow(session="v1"))
    assert (closes.at, closes.command) == (story.now + 90 * MINUTE, c.CloseWindow(session="v1"))
    assert story.after(30 * MINUTE - SECOND).due() == ()
    opened = given(story.after(30 * MINUTE)).when(opens.command, by=CLOCK).then(f.WindowOpened("v1"))
    assert opened.after(HOUR - SECOND).due() == ()
    closed = given(opened.after(HOUR)).when(closes.command, by=CLOCK).then(f.WindowClosed("v1"))
    assert closed.agenda() == ()


def test_command_ids_of_the_clock_name_what_made_them_due() -> None:
    story = scheduled()
    ordinal = v1(story).ordinal
    assert [due.command_id for due in story.agenda()] == [
        f"clock:open:v1:{ordinal}:20220730T133000",
        f"clock:close:v1:{ordinal}:20220730T143000",
    ]
    moved = story.then(c.MoveSession(session="v1", at="2022-07-31T12:00"), by=FACILITATOR)
    assert not {due.command_id for due in moved.agenda()} & {due.command_id for due in story.agenda()}


def test_what_differs_at_its_end_or_in_another_script_has_another_command_id() -> None:
    title = "Approver of " + "x" * 180
    plan = plan_of(
        go_no_go={"decided_by": [title], "before": ["go live"], "valid_for": "1 hour"},
        go_live={"results_after": [{"text": "après", "seconds": "1 day"}, {"text": "aprés", "seconds": "1 day"}]},
    )
    approver, story = Actor("olga", "approver", (title,)), released(plan)
    ids: set[str] = set()
    for n in (1, 2):
        story = story.then(c.Decide(decision="go", step="go_live"), by=approver).after(2 * HOUR)
        ids |= {each.command_id for each in story.agenda()}
        assert len(ids) == n + 2
        story = story.tick()
    assert all(re.fullmatch(r"[!-~]{1,200}", name) for name in ids)


def test_after_an_outage_a_window_that_is_over_is_only_closed() -> None:
    story = scheduled().after(DAY)
    assert [due.command for due in story.due()] == [c.CloseWindow(session="v1")]
    assert story.tick().state.sessions["v1"].window == "closed"


def test_a_window_closes_by_the_clock_though_its_session_is_recorded_already() -> None:
    story = scheduled().after(65 * MINUTE).tick()
    story = story.then(c.RecordSession(session="v1", workflows=all_done(story.state.plan)), by=FACILITATOR)
    assert [due.command for due in story.after(HOUR).due()] == [c.CloseWindow(session="v1")]


def test_a_window_that_cannot_open_in_time_is_announced_once() -> None:
    halted = scheduled().then(c.Halt(reason="odd")).after(30 * MINUTE)
    given(halted).when(c.OpenWindow(session="v1"), by=CLOCK).refused_only("halted: odd; no new window opens")
    (missed,) = halted.due()
    assert missed.command == c.Remind(
        about=f"missed:v1:{v1(halted).ordinal}:20220730T133000",
        text="the window of session v1 could not open in time: the rollout is halted",
    )
    assert halted.tick().due() == ()
    resumed = halted.tick().then(c.Resume(reason="fine"))
    assert [due.command for due in resumed.due()] == [c.OpenWindow(session="v1")]


def test_a_halt_before_the_opening_is_recorded_leaves_the_window_open_and_people_can_close_it() -> None:
    halted = scheduled().after(40 * MINUTE).then(c.Halt(reason="odd"))
    assert v1(halted).window == "open"
    assert halted.due() == ()
    given(halted).when(c.CloseWindow(session="v1"), by=FACILITATOR).then(f.WindowClosed("v1"))
    assert [due.command for due in halted.after(HOUR).due()] == [c.CloseWindow(session="v1")]


def test_a_window_does_not_open_before_testing_begins() -> None:
    story = watched()
    story = story.then(schedule(story), by=FACILITATOR).after(45 * MINUTE)
    given(story).when(c.OpenWindow(session="v1"), by=CLOCK).refused_only(
        "nobody can have the group on in phase code_deploy"
    )
    assert any("the window of v1 should open" in due.what for due in story.due())


def test_a_window_opens_neither_early_nor_late() -> None:
    given(scheduled()).when(c.OpenWindow(session="v1"), by=FACILITATOR).refused_only("opens 2022-07-30 09:30 EDT")
    given(scheduled().after(DAY)).when(c.OpenWindow(session="v1"), by=FACILITATOR).refused_only(
        "closed 2022-07-30 10:30"
    )


# -- people and windows


def test_a_window_is_closed_early_and_does_not_open_again() -> None:
    story = scheduled()
    given(story).when(c.CloseWindow(session="v1"), by=FACILITATOR).refused_only(
        "is not open; it opens 2022-07-30 09:30 EDT"
    )
    early = given(story.after(40 * MINUTE)).when(c.CloseWindow(session="v1"), by=FACILITATOR).then(f.WindowClosed("v1"))
    assert early.due() == ()
    given(early).when(c.OpenWindow(session="v1"), by=FACILITATOR).refused_only("the window of session 'v1' has closed")


def test_closing_a_window_never_lowers_a_wider_exposure() -> None:
    story = cut_over()
    story = story.then(schedule(story, "late"), by=FACILITATOR).after(45 * MINUTE)
    after = story.then(c.CloseWindow(session="late"), by=FACILITATOR)
    assert after.state.exposure == f.EVERYONE


def test_a_session_is_moved_while_its_window_is_ahead() -> None:
    story = scheduled()
    after = story.then(c.MoveSession(session="v1", at="2022-07-31T12:00", length="15 minutes"), by=FACILITATOR)
    session = v1(after)
    assert session.ends is not None
    assert (session.ends - session.starts, session.starts - session.opens) == (15 * MINUTE, 30 * MINUTE)
    given(story).when(c.MoveSession(session="v1", at="2022-07-01T10:00"), by=FACILITATOR).refused_only("would be over")


def test_of_an_open_window_only_the_end_moves() -> None:
    story = scheduled().after(70 * MINUTE).tick()
    given(story).when(c.MoveSession(session="v1", at="2022-07-31T12:00"), by=FACILITATOR).refused_only(
        "the window of 'v1' is open: only its length can be changed"
    )
    longer = story.then(c.MoveSession(session="v1", length="50 minutes"), by=FACILITATOR)
    assert v1(longer).closes == v1(story).starts + 50 * MINUTE
    given(story).when(c.MoveSession(session="v1", length="5 minutes"), by=FACILITATOR).refused_only("close the window")
    given(story).when(c.MoveSession(session="v1"), by=FACILITATOR).refused("say the new length", code="invalid")


def test_what_is_over_cancelled_or_unknown_is_not_moved() -> None:
    given(scheduled().after(DAY)).when(c.MoveSession(session="v1", at="2022-08-09T10:00")).refused_only(
        "is over: record"
    )
    cancelled = scheduled().then(c.CancelSession(session="v1"))
    given(cancelled).when(c.MoveSession(session="v1", at="2022-08-09T10:00")).refused_only("'v1' was cancelled")
    given(cancelled).when(c.OpenWindow(session="v1"), by=CLOCK).refused_only("'v1' was cancelled")
    given(cancelled).when(c.MoveSession(session="v9")).refused_only("there is no session 'v9'; there are: v1")


def test_cancelling_a_session_ends_its_window() -> None:
    story = scheduled().after(40 * MINUTE).tick()
    after = given(story).when(c.CancelSession(session="v1", reason="ill")).then(f.SessionCancelled("v1", "ill"))
    assert (v1(after).window, after.agenda()) == ("closed", ())
    recorded = story.after(HOUR).then(c.RecordSession(session="v1", outcome="no_show"))
    given(recorded).when(c.CancelSession(session="v1")).refused_only("is recorded already")


# -- recording


def test_a_session_is_recorded_once_begun_and_may_be_corrected() -> None:
    story = scheduled()
    done = c.RecordSession(session="v1", workflows=all_done(story.state.plan))
    given(story).when(done, by=FACILITATOR).refused_only("session 'v1' has not begun")
    held = story.after(2 * HOUR).then(done, by=FACILITATOR)
    corrected = held.then(c.RecordSession(session="v1", workflows=done.workflows[:1]), by=FACILITATOR)
    assert len(v1(corrected).workflows) == 1
    assert sum("was done 0 of 1 times" in text for text in corrected.missing()) == 3


def test_a_no_show_does_not_count_as_a_session() -> None:
    story = scheduled().after(2 * HOUR).then(c.RecordSession(session="v1", outcome="no_show"), by=FACILITATOR)
    assert "1 more test session must be held and recorded (0 of 1)" in story.missing()
    workflows = (WorkflowResult("View upcoming", done=True),)
    both = c.RecordSession(session="v1", outcome="no_show", workflows=workflows)
    given(story).when(both, by=FACILITATOR).refused("who did not come has done no workflows", code="invalid")


def test_a_session_that_is_over_must_be_recorded_before_going_on() -> None:
    assert "session 'v1' is over and its results are not recorded" in scheduled().after(2 * HOUR).missing()


def test_a_session_held_while_nobody_could_have_the_group_on_is_none() -> None:
    story = watched()
    story = story.then(schedule(story), by=FACILITATOR).after(HOUR)
    given(story).when(c.RecordSession(session="v1"), by=FACILITATOR).refused_only("nobody has had the group on yet")


def test_a_workflow_is_named_by_its_beginning_once_and_of_the_plan() -> None:
    story = scheduled().after(2 * HOUR)

    def record(*names: str) -> c.RecordSession:
        return c.RecordSession(session="v1", workflows=tuple(WorkflowResult(n, done=True) for n in names))

    given(story).when(record("view up", "cancel"), by=FACILITATOR).then_among()
    given(story).when(record("View"), by=FACILITATOR).refused("begins several workflows", code="invalid")
    given(story).when(record("Fly"), by=FACILITATOR).refused("'Fly' is no workflow of the plan", code="invalid")
    given(story).when(record("view up", "View upc"), by=FACILITATOR).refused("named twice", code="invalid")


def test_load_times_are_finite_seconds() -> None:
    story = scheduled().after(2 * HOUR)
    for time in (float("nan"), float("inf"), -1.0):
        result = WorkflowResult("Cancel", done=True, load_times=(time,))
        given(story).when(c.RecordSession(session="v1", workflows=(result,))).refused("load times", code="invalid")


def test_a_failed_workflow_blocks_until_it_is_waived() -> None:
    story = scheduled().after(2 * HOUR)
    fine = all_done(story.state.plan)
    failed = (WorkflowResult("Cancel", done=False), *fine[:3])
    after = story.then(c.RecordSession(session="v1", workflows=failed))
    assert any("failed in session 'v1' and nobody waived it" in text for text in after.missing())
    waived = (WorkflowResult("Cancel", done=False, waived="known; fixed in 2"), *fine[:3])
    assert not any("waived" in text for text in story.then(c.RecordSession(session="v1", workflows=waived)).missing())


# -- lengths, automatic stages, snapshots, reminders


def test_the_end_of_a_watch_is_said_once() -> None:
    story = watched()
    (over,) = story.due()
    assert over.what == "the time of code deployment is over"
    assert story.tick().due() == ()


AUTOMATIC = {
    "criteria": ["Errors"],
    "length": "2 days",
    "stages": ["5%", {"to": "25%", "automatic": True}, "everyone"],
}


def test_the_clock_advances_only_where_the_plan_says_so_and_nothing_blocks() -> None:
    story = released(plan_of(criteria={"Errors": {"below": 5}}, rollout=AUTOMATIC))
    assert any(isinstance(due.command, c.Advance) for due in story.agenda())
    over = story.after(2 * DAY)
    assert not any(isinstance(due.command, c.Advance) for due in over.due())
    passed = judge_well(over)
    advance = next(due for due in passed.due() if isinstance(due.command, c.Advance))
    assert advance.command_id == f"clock:advance:stage-2:{passed.state.step_ordinal}:{passed.state.basis}"
    given(passed).when(advance.command, by=CLOCK).then_among(f.StageEntered(2))
    second = judge_well(passed.tick().after(2 * DAY))
    assert second.state.stage == 2
    assert not any(isinstance(due.command, c.Advance) for due in second.due())
    given(second).when(c.Advance(), by=CLOCK).refused_only("does not say that this step is entered automatically")


def test_an_automatic_stage_waits_while_the_rollout_is_halted() -> None:
    story = judge_well(released(plan_of(criteria={"Errors": {"below": 5}}, rollout=AUTOMATIC)).after(2 * DAY))
    halted = story.then(c.Halt(reason="odd"))
    assert halted.due() == ()


def test_a_step_that_has_lasted_as_long_as_the_plan_allows_is_announced() -> None:
    story = released(plan_of(rollout={"stages": [{"to": "5%", "length": "4 hours to 1 day"}, "everyone"]}))
    assert [due.what for due in story.after(4 * HOUR).due()] == ["the time of stage 1 (5%) is over"]
    said = story.after(4 * HOUR).tick().after(DAY)
    assert [due.what for due in said.due()] == ["stage 1 (5%) has lasted as long as the plan allows"]
    given(said).when(c.Advance()).then_among(f.StageEntered(2))


def test_results_are_frozen_when_their_time_is_over() -> None:
    story = cut_over()
    released_at = story.now
    assert [(due.at, due.command) for due in story.agenda()] == [
        (released_at + WEEK, c.TakeSnapshot(of="1 week")),
        (released_at + 30 * DAY, c.TakeSnapshot(of="1 month")),
    ]
    given(story).when(c.TakeSnapshot(of="1 week"), by=CLOCK).refused_only("the 1 week results are due at")
    recorded = story.then(c.RecordResult(item="Number of unique users", value="120", step="1 week"))
    (snapshot,) = recorded.after(WEEK).when(c.TakeSnapshot(of="1 week"), by=CLOCK).facts
    assert isinstance(snapshot, f.SnapshotTaken)
    assert (snapshot.since, snapshot.until) == (released_at, released_at + WEEK)
    users = next(entry for entry in snapshot.entries if entry.item == "Number of unique users")
    assert (users.value, users.revision) == ("120", recorded.state.revision)


def test_a_snapshot_is_of_a_set_of_results_that_the_plan_has_and_after_the_release() -> None:
    given(live()).when(c.TakeSnapshot(of="1 year")).refused_only("no results after '1 year'; it has: 1 week, 1 month")
    given(in_testing()).when(c.TakeSnapshot(of="1 week")).refused_only("nothing is released to everyone yet")


def test_a_promotion_freezes_what_was_known_of_the_step_it_leaves() -> None:
    story = judge_well(cut_over())
    snapshot = story.when(c.GoLive()).facts[-1]
    assert isinstance(snapshot, f.SnapshotTaken)
    assert snapshot.of == "stage-1"
    assert [(entry.item, entry.verdict) for entry in snapshot.entries] == [
        ("Sum of Errors", "pass"),
        ("Breaker Skipped Alert", "pass"),
        ("Average VAOS Latency", "pass"),
    ]


def test_nothing_is_due_once_it_is_over() -> None:
    for end in (c.RollBack(), c.Close(outcome="keep")):
        outcome = live().when(end)
        if outcome.facts:
            assert outcome.story.agenda() == ()
    assert scheduled().then(c.RollBack()).agenda() == ()


# -- windows that never open


def held(session: str = "v1") -> c.RecordSession:
    return c.RecordSession(session=session)


@pytest.mark.parametrize("closed_by_hand", [False, True])
def test_a_session_whose_whole_window_lay_in_a_halt_was_not_held(closed_by_hand: bool) -> None:
    words = "the window of 'v1' never opened, the rollout was halted: no session was held"
    story = scheduled().then(c.Halt(reason="odd"))
    given(story.after(70 * MINUTE)).when(held(), by=FACILITATOR).refused_only(words)
    over = story.after(3 * HOUR).tick()
    if closed_by_hand:
        over = over.then(c.CloseWindow(session="v1"), by=FACILITATOR)
    for halted in (over, over.then(c.Resume(reason="mended")), over.then(c.Resume(reason="mended")).tick()):
        given(halted).when(held(), by=FACILITATOR).refused_only(words)
        given(halted).when(c.RecordSession(session="v1", outcome="no_show"), by=FACILITATOR).then_among()


def test_a_session_is_held_where_a_halt_left_any_of_its_window() -> None:
    began = scheduled().then(c.Halt(reason="odd")).after(80 * MINUTE).then(c.Resume(reason="mended")).after(HOUR)
    given(began.tick()).when(held(), by=FACILITATOR).then_among()
    ended = scheduled().after(40 * MINUTE).then(c.Halt(reason="odd")).after(2 * HOUR).tick()
    given(ended).when(held(), by=FACILITATOR).then_among()
    before = scheduled().then(c.Halt(reason="odd")).then(c.Resume(reason="mended")).after(2 * HOUR).tick()
    given(before).when(held(), by=FACILITATOR).then_among()


def test_a_halt_that_a_rollback_ended_is_over_for_the_next_round() -> None:
    story = scheduled().then(c.Halt(reason="odd")).then(c.RollBack()).after(HOUR)
    story = record_results(judge_well(deploy(story, "2").after(DAY))).then(c.StartTesting())
    story = story.then(schedule(story, "v2"), by=FACILITATOR).after(HOUR).tick()
    given(story).when(held("v2"), by=FACILITATOR).then_among()


def test_no_window_opens_while_a_prerequisite_is_withdrawn() -> None:
    item = seed().prerequisites[0]
    story = in_testing().then(c.Withdraw(item=item.id))
    resume = c.Resume(reason="go on")
    given(story).when(resume).refused_only(f"prerequisite {item.text!r} was withdrawn")
    story.then(c.Attest(item=item.id)).then(resume)
