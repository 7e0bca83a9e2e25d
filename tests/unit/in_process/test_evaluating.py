"""The in-process provider answers as the service does, for every snapshot, user and time."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cutover_openfeature import bucketing
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, FlagNotFoundError, InvalidContextError, ProviderNotReadyError
from openfeature.flag_evaluation import Reason

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window, answers, evaluate
from tests.histories import START
from tests.unit.in_process.client import KEY, Fed, hmac_of

VECTORS = json.loads((Path(__file__).parents[1] / "projections" / "buckets.json").read_text())
HOUR = timedelta(hours=1)
ON = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), EVERYONE)

users = st.sampled_from(["", "u0", "u1", "U1", "u2", "Jürgen", "用户"]) | st.text(
    st.characters(blacklist_categories=["Cs"]), max_size=8
)
times = st.integers(0, 6).map(lambda steps: START + steps * timedelta(minutes=10))
values = st.sampled_from(["983", "984", "500"])
audiences = st.builds(
    Audience,
    percentage=st.sampled_from([100.0, 0.0, 0.001, 50.0, 99.999]) | st.floats(0, 100),
    group=st.sampled_from(["", "pilot"]),
    attribute=st.sampled_from(["", "facility", "country"]),
    any_of=st.lists(values, max_size=2).map(tuple),
    users=st.lists(users, max_size=3).map(tuple),
)
exposures = (
    st.sampled_from([NOBODY, TESTERS, EVERYONE])
    | st.builds(Exposure, st.just("cohort"), st.lists(audiences, max_size=3).map(tuple))
    | st.builds(Exposure, st.just("percentage"), st.lists(audiences, max_size=3).map(tuple))
)
windows = st.builds(
    Window,
    session=st.sampled_from(["s1", "s2"]),
    tester=st.sampled_from(["t-u0", "t-u1", "t-gone"]),
    opens=times,
    closes=times | st.none(),
    opened=st.booleans(),
)
snapshots = st.builds(
    FlagSnapshot,
    v=st.sampled_from([1, 2]),
    rollout=st.sampled_from(["vaos", "a-rather-longer-name-of-a-rollout"]),
    revision=st.integers(1, 99),
    when=st.just(START),
    phase=st.sampled_from(["planned", "veteran_testing", "cutover", "go_live", "closed", "rolled_back", "cancelled"]),
    toggles=st.just(("a", "b")),
    exposure=exposures,
    halted=st.booleans(),
    windows=st.lists(windows, max_size=4).map(tuple),
    testers=st.just({"t-u0": hmac_of("u0"), "t-u1": hmac_of("u1")}),
    retired=st.just(("gone",)),
    actor=st.sampled_from(["account", "email", "cookie"]),
)
contexts = st.dictionaries(st.sampled_from(["facility", "country"]), values, max_size=2)


# -- as the service does


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['version']}:{v['rollout']}:{v['user']}")
def test_buckets_are_as_published(vector: dict[str, Any]) -> None:
    assert bucketing(vector["version"], vector["rollout"])(vector["user"]) == vector["bucket"]
    for below, expected in ((vector["bucket"], False), (vector["bucket"] + 1, True)):
        share = Exposure("percentage", (Audience(below / 1000),))
        snapshot = replace(ON, v=vector["version"], rollout=vector["rollout"], exposure=share)
        if vector["user"]:  # an empty one is none
            assert Fed(snapshot).provider.is_on("a", vector["user"]) == expected


@given(snapshots, users, st.lists(times, min_size=1, max_size=4), contexts)
def test_every_answer_is_the_services(
    snapshot: FlagSnapshot, user: str, moments: list[datetime], attributes: dict[str, str]
) -> None:
    fed = Fed()
    fed.clock.wall = min(moments)
    fed.feed(snapshot)
    for now in sorted(moments):
        fed.clock.wall = now
        expected = evaluate(snapshot, user or None, max(now, START), hmac_of, attributes)
        context = EvaluationContext(user, attributes)
        for toggle in snapshot.toggles:
            found = fed.provider.resolve_boolean_details(toggle, not expected.value, context)
            if answers(snapshot):
                assert (found.value, found.reason, found.variant) == (expected.value, expected.reason, expected.variant)
                assert fed.provider.is_on(toggle, user, attributes) == expected.value
            else:
                assert found.error_code == ErrorCode.FLAG_NOT_FOUND


@given(snapshots, st.lists(st.tuples(users, times, contexts), min_size=2, max_size=12))
def test_whoever_was_asked_about_before_changes_nothing(
    snapshot: FlagSnapshot, asked: list[tuple[str, datetime, dict[str, str]]]
) -> None:
    fed = Fed(snapshot)
    latest = START
    for user, now, attributes in asked:
        fed.clock.wall = now
        latest = max(latest, now)
        if answers(snapshot):
            expected = evaluate(snapshot, user or None, latest, hmac_of, attributes).value
            assert [fed.provider.is_on(toggle, user, attributes) for toggle in ("a", "b")] == [expected, expected]


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("actor", ["account", "email"])  # each way of answering remembers its last user
def test_threads_that_ask_about_different_users_do_not_get_each_others_answers(actor: str) -> None:
    half = replace(ON, exposure=Exposure("percentage", (Audience(50),)), actor=actor)
    provider = Fed(half).provider
    expected = {user: evaluate(half, user, START, hmac_of).value for user in ("u0", "u1", "u2", "u3")}
    assert set(expected.values()) == {True, False}
    wrong: list[str] = []

    def ask(turn: int) -> None:
        for number in range(20_000):
            user = f"u{(number + turn) % 4}"
            if provider.is_on("a", user) != expected[user]:
                wrong.append(user)

    threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("value", [983, True, ["983"], {"983": 1}, START, 983.0])
def test_an_attribute_that_is_not_text_is_in_no_group(value: Any) -> None:
    pilot = Exposure("cohort", (Audience(group="pilot", attribute="facility", any_of=("983", "True")),))
    provider = Fed(replace(ON, exposure=pilot)).provider
    assert not provider.resolve_boolean_details("a", True, EvaluationContext("u", {"facility": value})).value


# -- errors, and nothing else, give the default


@pytest.mark.parametrize("default", [True, False])
def test_the_default_comes_with_an_error_alone(default: bool) -> None:
    provider = Fed(replace(ON, retired=("c",))).provider
    for key in ("c", "never-heard-of"):
        found = provider.resolve_boolean_details(key, default)
        assert (found.value, found.reason, found.error_code) == (default, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND)
        with pytest.raises(FlagNotFoundError):
            provider.is_on(key)
    found = provider.resolve_boolean_details("a", default)
    assert (found.value, found.reason, found.error_code) == (True, Reason.STATIC, None)
    assert found.flag_metadata == {"revision": 10, "rollout": "vaos"}


def test_a_toggle_is_boolean() -> None:
    provider = Fed(ON).provider
    codes = [
        provider.resolve_string_details("a", "x").error_code,
        provider.resolve_integer_details("a", 1).error_code,
        provider.resolve_float_details("a", 1.0).error_code,
        provider.resolve_object_details("a", {}).error_code,
    ]
    assert codes == [ErrorCode.TYPE_MISMATCH] * 4
    assert provider.resolve_string_details("x", "x").error_code == ErrorCode.FLAG_NOT_FOUND


def test_a_cold_provider_guesses_nothing() -> None:
    provider = Fed().provider
    for found in (provider.resolve_boolean_details("a", True), provider.resolve_string_details("a", "x")):
        assert found.error_code == ErrorCode.PROVIDER_NOT_READY
    with pytest.raises(ProviderNotReadyError):
        provider.is_on("a")


@pytest.mark.parametrize("user", ["\ud800", 123, b"u", ["u"], {"u": 1}])
@pytest.mark.parametrize("actor", ["account", "email"])  # two ways of answering
def test_a_user_that_is_no_text_is_an_error_of_the_context(user: Any, actor: str) -> None:
    half = Exposure("percentage", (Audience(50),))
    provider = Fed(replace(ON, exposure=half, actor=actor)).provider
    found = provider.resolve_boolean_details("a", True, EvaluationContext(user))
    assert (found.value, found.reason, found.error_code) == (True, Reason.ERROR, ErrorCode.INVALID_CONTEXT)
    for asked in (provider, provider.view()):
        with pytest.raises(InvalidContextError, match="text"):
            asked.is_on("a", user)


async def test_asked_asynchronously_it_answers_the_same() -> None:
    provider = Fed(ON).provider
    found = await provider.resolve_boolean_details_async("a", False)
    assert found == provider.resolve_boolean_details("a", False)


@pytest.mark.parametrize("key", [b"short", "00" * 31, "not hexadecimal"])
def test_a_tester_key_of_another_length_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|hexadecimal"):
        Fed(ON, key=key)


def test_without_a_tester_key_testers_are_off_and_it_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    snapshot = replace(ON, exposure=TESTERS, windows=(Window("s", "t", START, None),), testers={"t": hmac_of("u")})
    assert Fed(snapshot).provider.is_on("a", "u")
    assert caplog.text == ""
    fed = Fed(snapshot, key=None)
    fed.feed(replace(snapshot, revision=11))
    assert not fed.provider.is_on("a", "u")
    assert caplog.text.count("no tester key was given") == 1


def test_the_key_may_be_given_in_hexadecimal() -> None:
    snapshot = replace(ON, exposure=TESTERS, windows=(Window("s", "t", START, None),), testers={"t": hmac_of("u")})
    assert Fed(snapshot, key=KEY.hex()).provider.is_on("a", "u")  # type: ignore[arg-type]
