"""What people read beforehand: the status, what blocks the next move, and what a command would mean for whom."""

from __future__ import annotations

from services.rollout import commands as c
from services.rollout.blockers import blockers
from services.rollout.effects import effects
from services.rollout.status import status

from .scenario import (
    CLOCK,
    DAY,
    FACILITATOR,
    HISTORIES,
    HOUR,
    RELEASE_MANAGER,
    Story,
    adopted,
    closed,
    cut_over,
    decided,
    deployed,
    given,
    in_testing,
    plan_of,
    released,
    rolled_back,
    scheduled,
)


def said(story: Story, command: c.Command) -> tuple[str, ...]:
    return effects(story.state, story.then(command).state)


def test_what_is_told_beforehand_is_what_a_refusal_says() -> None:
    moves: dict[str, c.Command] = {
        "start_testing": c.StartTesting(),
        "cut_over": c.CutOver(),
        "go_live": c.GoLive(),
        "close": c.Close(outcome="keep"),
    }
    for history in HISTORIES.values():
        story = history()
        command = moves.get(status(story.state, story.now).next_move)
        if command is not None and story.missing():
            assert given(story).when(command, by=RELEASE_MANAGER).reasons == story.missing()


def test_a_blocker_says_who_can_mend_it_or_when_time_will() -> None:
    found = {b.kind: b for b in blockers(deployed().state, deployed().now)}
    assert found["length"].until == deployed().now + DAY
    assert found["attest"].by in ("VAOS Product Owner", "Business Stakeholders", "the release manager")
    (first, second) = blockers(rolled_back().state, rolled_back().now)
    assert (first.kind, first.item, first.by, second.by) == (
        "decide",
        "stage-1",
        "VAOS Product Owner",
        "Business Stakeholders",
    )


def test_the_status_of_a_new_rollout() -> None:
    now = status(adopted().state, adopted().now)
    assert (now.phase, now.stage, now.stages, now.exposure, now.halted) == ("planned", 0, 1, "nobody", False)
    assert (now.next_move, now.next, len(now.toggles)) == ("report_deploy", None, 4)


def test_the_status_says_what_happens_next_by_itself() -> None:
    story = scheduled()
    upcoming = status(story.state, story.now).next
    assert upcoming is not None
    assert (upcoming.at, upcoming.what) == (story.agenda()[0].at, "the window of v1 opens")


def test_a_closed_rollout_has_nothing_ahead() -> None:
    now = status(closed().state, closed().now)
    assert (now.next_move, now.next, now.blockers, now.exposure) == ("", None, (), "everyone")


def test_effects_say_who_gets_the_group_and_who_loses_it() -> None:
    assert effects(None, adopted().state) == ("the rollout begins in planned",)
    assert said(decided(), c.CutOver()) == (
        "the rollout goes from veteran_testing to cutover",
        "everyone has all 4 toggles on, together",
    )
    assert said(cut_over(), c.RollBack()) == (
        "the rollout goes from cutover to rolled_back",
        "all 4 toggles go off for everyone, together",
    )
    assert said(released(plan_of(rollout={"stages": ["5%", "25%"]})), c.Advance()) == (
        "the rollout enters stage 2 (25%)",
        "25% of users: the toggle on, together",
    )


def test_effects_say_what_happens_to_sessions_and_halts() -> None:
    story = in_testing()
    at = (story.now + HOUR).isoformat()
    planned = story.then(c.ScheduleSession(session="v1", tester="t-1", at=at), by=FACILITATOR)
    assert effects(story.state, planned.state) == (
        "the tester of v1 has the group on from 2022-07-30 09:30 EDT until 2022-07-30 10:30 EDT",
    )
    assert said(planned, c.CancelSession(session="v1")) == ("session v1 is cancelled",)
    assert said(planned, c.Halt(reason="x"))[0].startswith("the rollout halts: no promotion and no new window")
    assert said(planned.then(c.Halt(reason="x")), c.Resume(reason="y")) == ("the rollout is no longer halted",)
    assert said(planned, c.AddNote(text="x")) == ("nobody's toggles change",)
    reminded = planned.then(c.Remind(about="x", text="y"), by=CLOCK)
    assert effects(planned.state, reminded.state) == ("nobody's toggles change",)
