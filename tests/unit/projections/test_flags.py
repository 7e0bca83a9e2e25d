"""The group's answer: one for all toggles, decided by exposure, window and bucket alone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events import codec
from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import BUCKETS, FlagSnapshot, Window, answers, bucket, decode, encode, evaluate, fold
from tests.histories import START, History, Stored, plan, records

VECTORS = json.loads((Path(__file__).parent / "buckets.json").read_text())
HOUR = timedelta(hours=1)
users = st.text(max_size=20)
percentages = st.floats(min_value=0, max_value=100, allow_nan=False).map(lambda p: round(p, 3))


def known(user: str) -> str:
    """A stand-in for the vault's HMAC that a person can read."""
    return f"hmac of {user}"


def snapshot(exposure: Exposure, *windows: Window, **changes: object) -> FlagSnapshot:
    testers = {window.tester: known(window.tester.removeprefix("ref-")) for window in windows}
    made = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), exposure, windows=windows, testers=testers)
    return replace(made, **changes)


def percentage(*shares: float) -> Exposure:
    return Exposure("percentage", tuple(Audience(share) for share in shares))


def folded(*stored: Stored) -> FlagSnapshot:
    state: FlagSnapshot | None = None
    for revision, (_rollout, data, _id) in enumerate(stored, 1):
        state = fold(state, codec.decode(data), revision)
    assert state is not None
    return state


# -- who has it on


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['version']}:{v['rollout']}:{v['user']}")
def test_buckets_are_as_published(vector: dict[str, Any]) -> None:
    made = snapshot(EVERYONE, v=vector["version"], rollout=vector["rollout"])
    assert bucket(made, vector["user"]) == vector["bucket"]


@pytest.mark.parametrize("version", [1, 2])
def test_users_are_spread_evenly_and_anew_in_each_rollout(version: int) -> None:
    one, other = (snapshot(EVERYONE, v=version, rollout=rollout) for rollout in ("vaos", "vaos-2"))
    places = [(bucket(one, str(user)), bucket(other, str(user))) for user in range(40_000)]
    assert {place // 1_000 for place, _ in places} == set(range(100))
    for share in (1_000, 5_000, 25_000, 50_000):  # four standard deviations on either side
        expected = 40_000 * share / BUCKETS
        assert sum(place < share for place, _ in places) == pytest.approx(expected, abs=4 * expected**0.5)
    both = sum(place < 25_000 and elsewhere < 25_000 for place, elsewhere in places)
    assert both == pytest.approx(2_500, abs=4 * 2_500**0.5)


def test_a_rollout_keeps_the_bucketing_it_began_with() -> None:
    """A record of before there were two says nothing of it, and means the first."""
    for said, version in (({}, 1), ({"bucketing": 1}, 1), ({"bucketing": 2}, 2)):
        history = History("vaos")
        began = msgspec.json.decode(history.add("adopt", f.PlanAdopted(plan("vaos"))).data)
        began["facts"][0] |= said
        revised = history.add("revise_plan", f.PlanRevised(replace(plan("vaos"), actor="cookie")))
        adopted = fold(None, codec.decode(msgspec.json.encode(began)), 1)
        assert (adopted.v, fold(adopted, codec.decode(revised.data), 2).v) == (version, version)


def test_a_bucketing_of_a_later_version_is_a_record_that_cannot_be_read() -> None:
    began = msgspec.json.decode(History("vaos").add("adopt", f.PlanAdopted(plan("vaos"))).data)
    began["facts"][0]["bucketing"] = 3
    with pytest.raises(codec.Unreadable, match="bucketing"):
        codec.decode(msgspec.json.encode(began))


def test_nobody_is_off_even_inside_a_window() -> None:
    window = Window("s", "ref-u", START, None, True)
    answer = evaluate(snapshot(NOBODY, window), "u", START, known)
    assert (answer.value, answer.reason, answer.variant) == (False, "DISABLED", "off")


@pytest.mark.parametrize("exposure", [TESTERS, percentage(0), Exposure("cohort", (Audience(group="staff"),)), EVERYONE])
def test_a_tester_inside_the_window_is_on_at_every_other_exposure(exposure: Exposure) -> None:
    window = Window("s", "ref-u", START, START + HOUR)
    assert evaluate(snapshot(exposure, window), "u", START, known).value
    assert evaluate(snapshot(exposure, window), "other", START, known).value == (exposure == EVERYONE)


@given(st.integers(-10, 70))
def test_a_window_holds_from_opens_until_before_closes(minutes: int) -> None:
    window = Window("s", "ref-u", START, START + HOUR)
    at = START + timedelta(minutes=minutes)
    answer = evaluate(snapshot(TESTERS, window), "u", at, known)
    assert answer.value == (0 <= minutes < 60)
    assert answer.reason == "TARGETING_MATCH"


def test_a_halt_keeps_windows_shut_that_had_not_opened() -> None:
    closed, opened = Window("s", "ref-u", START, None), Window("s", "ref-u", START, None, True)
    assert not evaluate(snapshot(TESTERS, closed, halted=True), "u", START, known).value
    assert evaluate(snapshot(TESTERS, opened, halted=True), "u", START, known).value


@pytest.mark.parametrize("exposure", [TESTERS, percentage(99.9), Exposure("cohort", (Audience(users=("u",)),))])
def test_without_a_user_it_is_on_only_for_everyone(exposure: Exposure) -> None:
    assert not evaluate(snapshot(exposure), None, START, known).value
    assert evaluate(snapshot(EVERYONE), None, START, known).value


@given(users, percentages, percentages)
def test_a_wider_percentage_keeps_everyone_of_the_narrower(user: str, one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    if evaluate(snapshot(percentage(narrow)), user, START, known).value:
        assert evaluate(snapshot(percentage(wide)), user, START, known).value


@given(users, percentages)
def test_a_percentage_is_of_a_thousandth_of_a_percent(user: str, share: float) -> None:
    answer = evaluate(snapshot(percentage(share)), user, START, known)
    assert answer.value == (share == 100 or bucket(snapshot(EVERYONE), user) / BUCKETS * 100 < share)


@given(users, st.lists(percentages, max_size=3))
def test_audiences_are_a_union(user: str, shares: list[float]) -> None:
    each = [evaluate(snapshot(percentage(share)), user, START, known).value for share in shares]
    assert evaluate(snapshot(percentage(*shares)), user, START, known).value == any(each)


def test_a_group_is_by_attribute_or_by_id() -> None:
    facility = Audience(group="pilot", attribute="facility", any_of=("983", "984"), users=("vip",))
    exposed = snapshot(Exposure("cohort", (facility,)))
    assert evaluate(exposed, "u", START, known, {"facility": "984"}).value
    assert evaluate(exposed, "vip", START, known).value
    off = evaluate(exposed, "u", START, known, {"facility": "500"})
    assert (off.value, off.reason) == (False, "TARGETING_MATCH")


def test_a_named_group_that_holds_nobody_is_nobody() -> None:
    assert not evaluate(snapshot(Exposure("cohort", (Audience(group="empty"),))), "u", START, known).value


@given(users, percentages)
def test_a_percentage_of_a_group_is_inside_both(user: str, share: float) -> None:
    part = Exposure("percentage", (Audience(share, "pilot", "facility", ("983",)),))
    inside = evaluate(snapshot(part), user, START, known, {"facility": "983"}).value
    assert inside == evaluate(snapshot(percentage(share)), user, START, known).value
    assert not evaluate(snapshot(part), user, START, known).value


def test_the_vault_is_asked_only_while_a_window_holds() -> None:
    def never(_user: str) -> str:
        raise AssertionError("asked")

    ahead = Window("s", "ref-u", START + HOUR, None)
    assert not evaluate(snapshot(TESTERS, ahead), "u", START, never).value


def test_an_erased_tester_is_nobody() -> None:
    window = Window("s", "ref-u", START, None)
    assert not evaluate(snapshot(TESTERS, window, testers={}), "u", START, known).value


# -- the fold


def test_a_halt_remembers_windows_that_time_alone_had_opened() -> None:
    history = History("vaos")
    first = [history.adopted(), history.deployed(), history.testing()]
    opens = history.when + HOUR
    first += [
        history.scheduled("s1", "t-1", opens, opens + HOUR),
        history.scheduled("s2", "t-2", opens + 9 * HOUR, None),
    ]
    halted = folded(*first, history.add("halt", f.Halted(), after=3700))
    assert [(w.session, w.opened) for w in halted.windows] == [("s1", True), ("s2", False)]


def test_a_window_moved_into_the_future_is_shut_again_by_a_halt() -> None:
    history = History("vaos")
    first = [history.adopted(), history.testing(), history.scheduled("s1", "t-1", START, START + HOUR)]
    first.append(history.add("open_window", f.WindowOpened("s1")))
    later = START + 5 * HOUR
    moved = folded(*first, history.add("move_session", f.SessionMoved("s1", later, None, later, later + HOUR)))
    assert (moved.windows[0].opens, moved.windows[0].opened) == (later, False)


@pytest.mark.parametrize("fact", [f.SessionCancelled("s1"), f.WindowClosed("s1")])
def test_a_cancelled_session_and_a_closed_window_leave_nothing(fact: f.Fact) -> None:
    history = History("vaos")
    first = [
        history.adopted(),
        history.scheduled("s1", "t-1", START, None),
        history.scheduled("s2", "t-2", START, None),
    ]
    assert [w.session for w in folded(*first, history.add("x", fact)).windows] == ["s2"]


def test_a_cancelled_rollout_answers_for_no_key() -> None:
    history = History("vaos")
    gone = folded(history.adopted(), history.add("cancel", f.PhaseEntered("cancelled")))
    assert not answers(gone)
    assert gone.toggles == ()


def test_a_closed_rollout_stays_as_it_was() -> None:
    history = History("vaos")
    stored = history.adopted(), history.cut_over(), history.add("close", f.PhaseEntered("closed"))
    assert evaluate(folded(*stored), None, START, known).value


def test_a_retired_toggle_stays_out_over_a_revised_plan() -> None:
    history = History("vaos")
    first = [history.adopted(), history.add("retire_toggle", f.ToggleRetired("vaos_toggle_2"))]
    revised = folded(*first, history.add("revise_plan", f.PlanRevised(plan("vaos"))))
    assert revised.toggles == ("vaos_toggle_1", "vaos_toggle_3", "vaos_toggle_4")


def test_only_one_record_of_a_rollback_stands_between_all_on_and_all_off() -> None:
    history = History("vaos")
    on = folded(history.adopted(), history.cut_over())
    off = fold(on, codec.decode(history.rolled_back().data), 3)
    assert (on.exposure, off.exposure, off.revision) == (EVERYONE, NOBODY, 3)


@given(st.integers(0, 10**6))
def test_stored_snapshots_read_back_as_they_were(seed: int) -> None:
    states: dict[str, FlagSnapshot] = {}
    for revision, stored in enumerate(records(40, 2, seed), 1):
        state = fold(states.get(stored.rollout), codec.decode(stored.data), revision)
        assert decode(encode(state)) == state
        states[stored.rollout] = state


@given(st.timedeltas(-HOUR, 2 * HOUR), users)
def test_the_answer_knows_no_toggle(after: timedelta, user: str) -> None:
    """Whatever the keys of the group, and however many: the same answer."""
    window = Window("s", "ref-u", START, START + HOUR)
    exposed = snapshot(percentage(50), window)
    renamed = replace(exposed, toggles=("z",))
    assert evaluate(exposed, user, START + after, known) == evaluate(renamed, user, START + after, known)


def test_the_snapshot_says_who_reads_the_group_as_the_plan_says() -> None:
    history = History("vaos")
    adopted = folded(history.adopted())
    assert adopted.readers == ("ofrep", "va.gov", "in-process")
    narrower = history.add("revise_plan", f.PlanRevised(replace(plan("vaos"), readers=("ofrep",))))
    assert fold(adopted, codec.decode(narrower.data), 2).readers == ("ofrep",)


def test_a_snapshot_stored_before_readers_were_known_lets_nobody_in_without_a_token() -> None:
    old = b'{"v":1,"rollout":"vaos","revision":1,"when":"2022-07-29T12:00:00Z","phase":"planned","toggles":["a"]}'
    assert decode(old).readers == ()


def test_the_snapshot_says_by_what_a_user_is_known() -> None:
    history = History("vaos")
    adopted = folded(history.adopted())
    assert adopted.actor == "account"
    revised = history.add("revise_plan", f.PlanRevised(replace(plan("vaos"), actor="cookie")))
    assert fold(adopted, codec.decode(revised.data), 2).actor == "cookie"
