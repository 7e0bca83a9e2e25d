"""Pinned reads: one page load is answered from one moment, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window, evaluate
from services.api.reads.moment import Moment, Moments, Wanted
from services.api.reads.pins import EPOCH, Pin, parsed, revision_of
from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk, Flags

FLAGS = "/ofrep/v1/evaluate/flags"
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("a", "b"), EVERYONE)
OFF = replace(VAOS, revision=8, phase="rolled_back", exposure=NOBODY)
USERS = ("u1", "u2", "u3", None)
SECOND = timedelta(seconds=1)


def known(user: str) -> str:
    return f"hmac of {user}"


# -- the words


times = st.timedeltas(timedelta(0), timedelta(days=365 * 7000)).map(lambda after: EPOCH + after)


@given(st.integers(0, 10**17), st.one_of(st.none(), times))
def test_a_pin_reads_back_as_it_was(revision: int, time: datetime | None) -> None:
    assert parsed(str(Pin(revision, time))) == Pin(revision, time)


@given(st.text(max_size=40))
def test_any_other_word_is_no_pin_and_no_etag(text: str) -> None:
    pin = parsed(text)
    assert pin is None or text.removeprefix("r")[0].isdigit()
    assert revision_of(text) >= 0


def test_the_highest_revision_of_several_etags_counts() -> None:
    assert revision_of('W/"r3-ab", "r12-0123456789abcdef", "other"') == 12
    assert revision_of("*") == 0
    assert parsed("r1@999999999999999999") is None  # after the year 9999


# -- one moment


exposures = st.sampled_from(
    [
        NOBODY,
        TESTERS,
        EVERYONE,
        Exposure("percentage", (Audience(50.0),)),
        Exposure("cohort", (Audience(100.0, "g", users=("u1",)),)),
    ]
)
steps = st.one_of(
    st.tuples(st.just("record"), st.sampled_from(["one", "two"]), exposures, st.integers(0, 5), st.integers(1, 5)),
    st.tuples(st.just("time"), st.integers(1, 4)),
)


@given(st.lists(steps, min_size=1, max_size=25))
def test_whatever_happens_after_it_a_pin_gives_the_answers_of_its_moment(history: list[Any]) -> None:
    asyncio.run(_happens(history))


async def _happens(history: list[Any]) -> None:
    flags = Flags()
    moments = Moments(flags, known)
    taken: dict[str, dict[tuple[str, str | None], object]] = {}
    for step in history:
        happen(flags, step)
        moment = moments.now()
        answers = told(moment, lambda: flags.time())
        assert taken.setdefault(moment.pin, answers) == answers
        for pin, before in taken.items():
            again = await moments.get(Wanted(pin=pin))
            assert (again.pin, told(again)) == (pin, before)


def happen(flags: Flags, step: Any) -> None:
    """A record that sets an exposure and a window, or some seconds."""
    if step[0] == "time":
        flags.now += step[1] * SECOND
        flags.ticks += step[1]
        return
    _, rollout, exposure, opens, lasts = step
    window = Window("s", "t", flags.now + opens * SECOND, flags.now + (opens + lasts) * SECOND)
    snapshot = FlagSnapshot(2, rollout, flags.position + 1, flags.now, "cutover", (f"{rollout}_a", f"{rollout}_b"))
    more = replace(snapshot, exposure=exposure, windows=(window,), testers={"t": known("u2")})
    flags.hear(more, more.revision)


def told(moment: Moment, now: Callable[[], datetime] | None = None) -> dict[tuple[str, str | None], object]:
    """Every user's answer for every toggle; with `now`: it must be the one that the projection gives."""
    found: dict[tuple[str, str | None], object] = {}
    for key, owner in moment.state.owners.items():
        for user in USERS:
            snapshot = moment.of_toggle(key)
            assert snapshot is not None
            assert snapshot.rollout == owner
            found[key, user] = moment.answer(snapshot, user, {})
            assert now is None or found[key, user] == evaluate(snapshot, user, now(), known)
    return found


# -- asked for


@pytest.fixture
def reader(known_as: Client, desk: Desk) -> httpx.AsyncClient:
    desk.flags.hear(VAOS, 7)
    return known_as("vets-website", "reader")


async def test_single_flags_of_one_page_load_are_read_at_one_pin(reader: httpx.AsyncClient, desk: Desk) -> None:
    first = (await reader.post(f"{FLAGS}/a", json={})).json()
    pin = first["metadata"]["pin"]
    desk.flags.hear(OFF, 8)
    for context, params in (({"cutoverPin": pin}, {}), ({}, {"at": pin}), ({}, {"at": "7"}), ({}, {"at": "r7"})):
        second = (await reader.post(f"{FLAGS}/b", json={"context": context}, params=params)).json()
        assert (first["value"], second["value"], second["metadata"]["revision"]) == (True, True, 7)
    assert not (await reader.post(f"{FLAGS}/b", json={})).json()["value"]
    assert (await reader.post(FLAGS, json={}, params={"at": pin})).json()["metadata"]["pin"] == pin


async def test_a_window_that_closes_in_the_middle_of_a_page_load_does_not_mix_it(
    reader: httpx.AsyncClient, desk: Desk
) -> None:
    window = Window("s", "t", NOON, NOON + timedelta(minutes=1))
    testing = replace(VAOS, revision=8, exposure=TESTERS, windows=(window,), testers={"t": desk.vault.hmac("u1")})
    desk.flags.hear(testing, 8)
    context: dict[str, str] = {"targetingKey": "u1"}
    first = (await reader.post(f"{FLAGS}/a", json={"context": context})).json()
    desk.flags.now += timedelta(minutes=1)
    context["cutoverPin"] = first["metadata"]["pin"]
    second = (await reader.post(f"{FLAGS}/b", json={"context": context})).json()
    assert (first["value"], second["value"]) == (True, True)
    desk.flags.now += timedelta(minutes=5)
    late = await reader.post(f"{FLAGS}/b", json={"context": context})
    assert (late.status_code, late.json()["errorCode"]) == (410, "GENERAL")


async def test_a_pin_older_than_five_minutes_is_gone(reader: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.hear(OFF, 8)
    desk.flags.ticks += 301
    answer = await reader.post(f"{FLAGS}/a", json={}, params={"at": "r7@0"})
    assert (answer.status_code, answer.json()["key"]) == (410, "a")
    assert "begin again, at revision 8" in answer.json()["errorDetails"]


@pytest.mark.parametrize("pin", ["x", "-1", "r7@", "r7@-1", "r7-0123", "7 ", "r7@99999999999999999", "9" * 30, "é"])
async def test_a_pin_that_is_none_of_ours_or_of_the_future_is_refused(reader: httpx.AsyncClient, pin: str) -> None:
    for context, params in (({"cutoverPin": pin}, {}), ({}, {"at": pin})):
        answer = await reader.post(f"{FLAGS}/a", json={"context": context}, params=params)
        assert (answer.status_code, answer.json()["errorCode"]) == (400, "PARSE_ERROR")
