"""Lengths, halts, deploys, result clocks, and local times across both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from events import facts as f
from services.rollout import commands as c
from services.rollout import steps

from .scenario import (
    CI,
    DAY,
    FACILITATOR,
    HOUR,
    MINUTE,
    OWNER,
    Story,
    attest_all,
    cut_over,
    deployed,
    given,
    live,
    plan_of,
    released,
    watched,
)

TWO_DAYS = {"length": "2 days", "stages": ["5%", "everyone"]}


def until(story: Story) -> str:
    """When the current step's length is over, as the blocker says it."""
    (text,) = [text for text in story.missing() if "lasts until" in text]
    return text.split("lasts until ")[1]


def test_halted_time_does_not_count() -> None:
    story = released(plan_of(rollout=TWO_DAYS))
    assert until(story) == "2022-08-01 13:00 UTC"
    story = story.after(DAY).then(c.Halt(reason="odd")).after(6 * HOUR).then(c.Resume(reason="fine"))
    assert until(story) == "2022-08-01 19:00 UTC"
    story = story.after(HOUR).then(c.Halt(reason="again")).after(MINUTE).then(c.Resume(reason="fine"))
    assert until(story) == "2022-08-01 19:01 UTC"


def test_time_halted_before_a_deploy_is_forgotten_and_the_length_begins_anew() -> None:
    story = released(plan_of(rollout=TWO_DAYS)).then(c.Halt(reason="odd")).after(HOUR)
    story = story.then(c.ReportDeploy(service="api", version="2"), by=CI)
    assert story.state.step_since == story.now
    resumed = story.after(HOUR).then(c.Resume(reason="fine"))
    assert until(resumed) == "2022-08-01 15:00 UTC"


def test_a_deploy_restarts_a_stage_s_length_and_its_criteria() -> None:
    plan = plan_of(criteria={"E": {"below": 5}}, rollout={**TWO_DAYS, "criteria": ["E"], "results": ["Calls"]})
    story = released(plan).after(2 * DAY).then(c.RecordVerdict(criterion="E", value="1"))
    story = story.then(c.RecordResult(item="Calls", value="none"))
    assert story.missing() == ()
    story = story.then(c.ReportDeploy(service="api", version="2"), by=CI)
    assert story.missing() == (
        "stage 1 (5%) lasts until 2022-08-03 13:00 UTC",
        "'E' has not been judged in stage 1 (5%)",
        "'Calls' is not recorded for stage 1 (5%)",
    )


def test_the_same_version_again_restarts_nothing() -> None:
    story = released(plan_of(rollout=TWO_DAYS)).after(DAY)
    given(story).when(c.ReportDeploy(service="api", version="1"), by=CI).already()


def test_a_halt_in_the_watch_prolongs_it() -> None:
    story = deployed().then(c.Halt(reason="odd")).after(3 * HOUR).then(c.Resume(reason="fine"))
    assert until(story) == "2022-07-30 12:00 EDT"


def test_halted_across_the_end_of_a_length_it_is_not_over() -> None:
    story = released(plan_of(rollout=TWO_DAYS)).after(DAY).then(c.Halt(reason="odd")).after(3 * DAY)
    given(story).when(c.Advance()).refused_only("halted: odd; resume first")
    given(story.then(c.Resume(reason="fine"))).when(c.Advance()).refused_only("lasts until 2022-08-04 13:00 UTC")


# -- results count from the first 100%


def test_the_results_clocks_start_at_the_first_hundred_percent_not_at_go_live() -> None:
    story = cut_over()
    first = story.now
    assert live().state.released_at == first
    assert [due.at for due in live().agenda()] == [first + 7 * DAY, first + 30 * DAY]


def test_going_back_and_on_again_does_not_restart_the_results_clocks() -> None:
    story = released(plan_of(rollout={"stages": ["5%", "everyone"]})).then(c.Advance())
    first = story.now
    back = story.after(DAY).then(c.GoBack(to="5%", reason="slow"))
    assert back.state.released_at == first


def test_a_release_after_a_rollback_starts_them_anew() -> None:
    story = released(plan_of()).after(DAY).then(c.RollBack())
    assert story.state.released_at is None
    again = story.after(DAY).then(c.Decide(decision="go", step="stage-1"), by=OWNER).then(c.CutOver())
    assert again.state.released_at == again.now


# -- local times


def session_at(at: str, length: str = "") -> c.ScheduleSession:
    return c.ScheduleSession(session="v1", tester="t-1", at=at, length=length)


def in_new_york() -> Story:
    """In testing, in New York, at the end of January 2022: both changes of that year's clocks are ahead."""
    plan = plan_of(
        time_zone="America/New_York", testing={"sessions": {"length": "2 hours", "toggles_on": "1 hour before"}}
    )
    story = attest_all(watched(plan)).then(c.StartTesting())
    return story.at(datetime(2022, 1, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("at", "starts"),
    [
        ("2022-03-12T10:30", datetime(2022, 3, 12, 15, 30, tzinfo=UTC)),
        ("2022-03-13T10:30", datetime(2022, 3, 13, 14, 30, tzinfo=UTC)),
        ("2022-11-05T10:30", datetime(2022, 11, 5, 14, 30, tzinfo=UTC)),
        ("2022-11-06T10:30", datetime(2022, 11, 6, 15, 30, tzinfo=UTC)),
        ("2022-11-06T01:30-04:00", datetime(2022, 11, 6, 5, 30, tzinfo=UTC)),
        ("2022-11-06T01:30-05:00", datetime(2022, 11, 6, 6, 30, tzinfo=UTC)),
        ("2022-11-06T10:30Z", datetime(2022, 11, 6, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_session_s_time_is_local_to_the_plan_s_zone_on_both_sides_of_a_change(at: str, starts: datetime) -> None:
    fact = given(in_new_york()).when(session_at(at), by=FACILITATOR).facts[0]
    assert isinstance(fact, f.SessionScheduled)
    assert (fact.starts, fact.starts.tzinfo) == (starts, UTC)


@pytest.mark.parametrize(
    ("at", "starts"), [("2022-03-13T01:30", 6.5), ("2022-11-06T00:30", 4.5)], ids=["into summer", "into winter"]
)
def test_a_session_across_a_change_lasts_as_long_as_it_says(at: str, starts: float) -> None:
    fact = given(in_new_york()).when(session_at(at), by=FACILITATOR).facts[0]
    assert isinstance(fact, f.SessionScheduled)
    assert fact.closes is not None
    assert fact.starts.hour + fact.starts.minute / 60 == starts
    assert (fact.starts - fact.opens, fact.closes - fact.starts) == (timedelta(hours=1), timedelta(hours=2))


def test_a_local_time_that_the_clocks_skip_or_that_happens_twice_is_refused() -> None:
    given(in_new_york()).when(session_at("2022-03-13T02:30"), by=FACILITATOR).refused(
        "2022-03-13T02:30 does not exist in America/New_York (the clocks change): write it with its offset",
        code="invalid",
    )
    given(in_new_york()).when(session_at("2022-11-06T01:30"), by=FACILITATOR).refused(
        "2022-11-06T01:30 happens twice in America/New_York", code="invalid"
    )


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00",
        "0001-01-01T00:00+14:00",
        "1969-12-31T23:59",
        "9001-01-01T00:00",
        "9999-12-31T16:00Z",
        "9999-12-31T23:59",
        "9999-12-31T20:00-04:00",
    ],
)
def test_a_year_that_no_plan_reaches_is_refused(at: str) -> None:
    story = in_new_york()
    words = f"expected a year from 1970 to 9000, found '{at}'"
    given(story).when(session_at(at), by=FACILITATOR).refused(words, code="invalid")
    scheduled = story.then(session_at("2022-03-01T10:00"), by=FACILITATOR)
    given(scheduled).when(c.MoveSession(session="v1", at=at), by=FACILITATOR).refused(words, code="invalid")


def test_the_last_year_is_one_that_can_be_shown_everywhere() -> None:
    far = in_new_york().then(session_at("9000-12-31T23:59-12:00"), by=FACILITATOR)
    for zone in ("Asia/Tokyo", "Pacific/Kiritimati", "America/New_York"):
        there = replace(far.state, plan=replace(far.state.plan, time_zone=zone))
        assert steps.local(there, there.sessions["v1"].starts).startswith("9001-01-0")


def test_a_freeze_is_of_local_days() -> None:
    freeze = {"first": "2022-08-01", "last": "2022-08-01"}
    story = watched(plan_of(time_zone="America/New_York", freezes=[freeze]))
    for at, frozen in (
        (datetime(2022, 8, 1, 3, 59, tzinfo=UTC), False),
        (datetime(2022, 8, 1, 4, 0, tzinfo=UTC), True),
        (datetime(2022, 8, 2, 3, 59, tzinfo=UTC), True),
        (datetime(2022, 8, 2, 4, 0, tzinfo=UTC), False),
    ):
        assert any("frozen" in text for text in story.at(at).missing()) is frozen
