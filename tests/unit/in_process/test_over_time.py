"""What the in-process provider knows only goes up, stays one state for whoever pins it, and says when it is old."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cutover_openfeature.known import Held
from cutover_openfeature.snapshot import decode
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window, encode
from tests.histories import START
from tests.unit.in_process.client import Fed, hmac_of

HOUR = timedelta(hours=1)
ON = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b", "c", "d"), EVERYONE)
OFF = replace(ON, revision=11, phase="rolled_back", exposure=NOBODY)
DEEP = b"[" * 100_000 + b"]" * 100_000 + b"}"
TESTING = replace(
    ON,
    exposure=TESTERS,
    windows=(Window("s", "t-u", START + HOUR, START + 2 * HOUR),),
    testers={"t-u": hmac_of("u")},
)


# -- only upwards


@given(st.permutations(range(1, 8)))
def test_a_rollout_never_goes_back(order: list[int]) -> None:
    fed = Fed(replace(ON, revision=0))
    highest = 0
    for revision in order:
        fed.known.value("vaos", encode(replace(ON if revision % 2 else OFF, revision=revision)))
        highest = max(highest, revision)
        assert fed.provider.is_on("a") == bool(highest % 2)


def test_a_later_value_of_the_same_revision_counts_since_testers_are_erased_so() -> None:
    fed = Fed(TESTING)
    fed.clock.forward(3700)
    assert fed.provider.is_on("a", "u")
    fed.feed(replace(TESTING, testers={}))
    assert not fed.provider.is_on("a", "u")


def test_values_that_cannot_be_read_leave_the_last_one_which_is_then_stale(caplog: pytest.LogCaptureFixture) -> None:
    fed = Fed(ON, replace(ON, rollout="other", toggles=("x",)))
    before = fed.provider.view()
    newer: dict[str, Any] = {**msgspec.json.decode(encode(OFF)), "v": 3, "exposure": "in a form of the future"}
    for data in (
        b"damaged",
        msgspec.json.encode(newer),
        b'{"v": 1, "x": ' + DEEP,
        encode(OFF).replace(b"vaos", b"va\xffos"),
    ):
        fed.known.value("vaos", data)
        found = fed.provider.resolve_boolean_details("a", False)
        assert (found.value, found.reason) == (True, Reason.STALE)
        assert found.flag_metadata == {"revision": 10, "rollout": "vaos", "stale_since": START.isoformat()}
    assert fed.provider.resolve_boolean_details("x", False).reason == Reason.STATIC
    assert "its version is 3, this reader knows (1, 2)" in caplog.text
    assert fed.provider.view().changed_since(before) == []
    fed.feed(OFF)
    assert fed.provider.resolve_boolean_details("a", True).reason == Reason.DISABLED


def test_a_value_that_no_answer_can_be_made_from_is_one_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    fed = Fed(ON)
    below = replace(OFF, exposure=Exposure("percentage", (Audience(-1e308),)), when=START + HOUR)
    for _ in range(2):
        fed.feed(below)
        found = fed.provider.resolve_boolean_details("a", False)
        assert (found.value, found.reason) == (True, Reason.STALE)
    assert "the value of 'vaos' cannot be read, the last one stays" in caplog.text
    assert fed.known._clock.now() == START.timestamp()
    fed.feed(replace(OFF, revision=12))
    assert fed.provider.resolve_boolean_details("a", True).reason == Reason.DISABLED


def test_a_value_that_could_never_be_read_has_no_toggles_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    fed = Fed()
    fed.known.value("vaos", b"damaged")
    fed.mark(10)
    found = fed.provider.resolve_boolean_details("a", True)
    assert (found.value, found.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
    assert "the value of 'vaos' cannot be read" in caplog.text


def test_fields_of_the_future_are_ignored() -> None:
    fed = Fed()
    future = {**msgspec.json.decode(encode(ON)), "mood": "good", "windows": []}
    fed.known.value("vaos", msgspec.json.encode(future))
    fed.mark(10)
    assert fed.provider.is_on("a")


def test_a_cancelled_rollouts_keys_go_to_another() -> None:
    fed = Fed(ON)
    fed.feed(replace(ON, revision=11, phase="cancelled", exposure=NOBODY), replace(OFF, rollout="another", revision=12))
    assert fed.provider.resolve_boolean_details("a", True).flag_metadata["rollout"] == "another"


def test_nothing_is_known_before_all_of_the_bucket_is() -> None:
    fed = Fed()
    fed.known.value("vaos", encode(ON))
    with pytest.raises(ProviderNotReadyError):
        fed.provider.is_on("a")
    fed.mark(10)
    assert fed.provider.is_on("a")
    assert fed.provider.wait_for(10, 0)
    assert not fed.provider.wait_for(11, 0)


def test_a_child_takes_up_the_value_that_its_parents_watch_was_taking_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that was at it is not there after a fork."""

    class Forked(BaseException): ...

    def forked(*_: object) -> None:
        raise Forked

    fed = Fed(ON)
    with monkeypatch.context() as patch:
        patch.setattr("cutover_openfeature.known.Group", forked)
        with pytest.raises(Forked):
            fed.known.value("vaos", encode(OFF))
    fed.known.after_fork()
    assert fed.provider.is_on("a")
    fed.feed(OFF)
    assert not fed.provider.is_on("a")


def test_a_child_answers_by_what_its_parent_had_just_heard() -> None:
    fed = Fed(ON)
    fed.known._held["vaos"] = Held(decode(encode(OFF)), encode(OFF))  # as between the two assignments
    fed.known.after_fork()
    fed.feed(OFF)
    assert not fed.provider.is_on("a")


# -- time


def test_a_window_opens_and_closes_by_the_time_alone() -> None:
    provider_of = Fed(TESTING)
    seen = []
    for _ in range(5):
        seen.append(provider_of.provider.is_on("a", "u"))
        provider_of.clock.forward(1800)
    assert seen == [False, False, True, True, False]


def test_a_clock_that_goes_back_opens_nothing_again() -> None:
    fed = Fed(TESTING)
    fed.clock.forward(2 * 3600)
    assert not fed.provider.is_on("a", "u")
    fed.clock.wall = START + 1.5 * HOUR
    fed.feed(replace(TESTING, revision=12))
    assert not fed.provider.is_on("a", "u")


def test_time_is_never_before_a_snapshot_that_is_known() -> None:
    fed = Fed()
    fed.clock.wall = START - HOUR
    fed.feed(replace(TESTING, when=START + HOUR))
    assert fed.provider.is_on("a", "u")


# -- stale


def test_five_seconds_of_silence_make_it_stale_until_something_new_is_heard() -> None:
    fed = Fed(ON)
    fed.clock.forward(4.9)
    assert not fed.known.turn().stale_since  # type: ignore[union-attr]
    fed.clock.forward(0.2)
    fed.known.turn()
    found = fed.provider.resolve_boolean_details("a", False)
    assert (found.value, found.reason, found.flag_metadata["stale_since"]) == (True, Reason.STALE, START.isoformat())
    fed.mark(9)  # from a projector left behind
    assert fed.provider.view().stale_since
    fed.mark(10)
    assert not fed.provider.view().stale_since


def test_a_mark_heard_again_is_no_sign_of_life() -> None:
    fed = Fed(ON)
    fed.clock.forward(6)
    fed.known.turn()
    fed._marks -= 1
    fed.mark(10)
    assert fed.provider.view().stale_since


def test_after_hanging_up_it_is_stale() -> None:
    fed = Fed(ON)
    fed.known.hung_up()
    found = fed.provider.resolve_boolean_details("a", False)
    assert (found.value, found.reason) == (True, Reason.STALE)
    fed.mark(10)  # nobody knows how long it has been lying there
    assert fed.provider.view().stale_since
    fed.mark(10)
    assert not fed.provider.view().stale_since


@pytest.mark.parametrize("data", [b"damaged", b'{"revision": 11, "x": ' + DEEP])
def test_a_mark_that_cannot_be_read_is_no_sign_of_life(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    fed = Fed(ON)
    assert not fed.known.mark(data, 2)
    assert "the mark of the flag bucket cannot be read" in caplog.text


# -- one view


def test_a_pinned_view_stays_as_it_is_for_this_thread_alone() -> None:
    fed = Fed(TESTING)
    fed.clock.forward(3600)
    others: list[bool] = []
    with fed.provider.pinned() as view:
        fed.clock.forward(3600)
        fed.feed(replace(OFF, revision=12))
        context = EvaluationContext("u")
        assert view.is_on("a", "u")
        assert fed.provider.is_on("b", "u")
        assert fed.provider.resolve_boolean_details("c", False, context).value
        thread = threading.Thread(target=lambda: others.append(fed.provider.is_on("a", "u")))
        thread.start()
        thread.join()
        with fed.provider.pinned() as inner:
            assert inner is view
    assert others == [False]
    assert not fed.provider.is_on("a", "u")


@pytest.mark.usefixtures("restless_threads")
def test_eight_threads_never_see_a_mixture_while_the_group_flips_a_thousand_times() -> None:
    fed = Fed(ON)
    reads: deque[None] = deque(maxlen=1)  # emptied now and then: somebody reads before the next flip
    done = threading.Event()
    mixed: list[object] = []
    went_back: list[tuple[int, int]] = []
    seen: list[set[bool]] = []

    def read() -> None:
        last, values = 0, set()
        while not done.is_set():
            with fed.provider.pinned() as view:
                found = [fed.provider.resolve_boolean_details(key, False) for key in ON.toggles]
                group = {(f.value, f.flag_metadata["revision"]) for f in found} | {
                    (view.is_on(key), found[0].flag_metadata["revision"]) for key in ON.toggles
                }
            if len(group) != 1 or found[0].value == found[0].flag_metadata["revision"] % 2:
                mixed.append(group)
            if view.revision < last:
                went_back.append((last, view.revision))
            last = view.revision
            values.add(found[0].value)
            reads.append(None)
        seen.append(values)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for thread in readers:
        thread.start()
    for revision in range(11, 1011):
        fed.feed(replace(OFF if revision % 2 else ON, revision=revision))
        if revision % 25 == 0:  # an odd one and an even one in turn
            reads.clear()
            while not reads:
                time.sleep(0)
    done.set()
    for thread in readers:
        thread.join()
    assert (mixed, went_back) == ([], [])
    assert set.union(*seen) == {True, False}


# -- over a restart


def test_what_is_kept_is_answered_stale_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "flags"
    before = Fed(ON, TESTING_OTHER, file=file)
    before.clock.forward(3 * 3600)
    before.known.turn()
    before.provider._source._save()
    assert file.stat().st_mode & 0o777 == 0o600
    after = restarted(file, START + 1.5 * HOUR)
    found = after.provider.resolve_boolean_details("a", False)
    assert (found.value, found.reason, found.flag_metadata["stale_since"]) == (True, Reason.STALE, START.isoformat())
    assert not after.provider.is_on("x", "u"), "the window had closed before; the clock went back over the restart"
    after.feed(OFF)
    assert not after.provider.is_on("a")
    assert after.provider.view().stale_since == START.isoformat(), "nobody knows how long that mark has been there"
    after.mark(11)
    assert after.provider.view().stale_since is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "not ours"])
def test_a_file_that_is_not_whole_is_not_used(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "flags"
    Fed(ON, file=file).provider._source._save()
    whole = file.read_bytes()
    broken = {"flip": whole.replace(b"vaos", b"vaot"), "cut": whole[:-9], "empty": b"", "not ours": b"x\n{}"}
    file.write_bytes(broken[damage])
    with pytest.raises(ProviderNotReadyError):
        restarted(file, START).provider.is_on("a")
    assert "is not whole" in caplog.text


@pytest.mark.parametrize(("back", "said"), [(301, 1), (299, 0)])
def test_a_kept_time_that_is_far_ahead_of_the_clock_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, back: float, said: int
) -> None:
    file = tmp_path / "flags"
    Fed(ON, file=file).provider._source._save()
    restarted(file, START - timedelta(seconds=back))
    assert caplog.text.count(f"the clock is {back} s behind the kept time") == said


def test_what_is_older_does_not_replace_what_another_process_has_kept(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    newer, older = Fed(OFF, file=file), Fed(ON, file=file)
    newer.provider._source._save()
    older.provider._source._save()
    assert not restarted(file, START).provider.is_on("a")


def test_while_it_is_stale_only_a_change_is_worth_keeping(tmp_path: Path) -> None:
    fed = Fed(TESTING, file=tmp_path / "flags")
    source = fed.provider._source
    source._save()
    assert source._has_news(), "it is still so"
    fed.clock.forward(6)
    fed.known.turn()
    assert source._has_news()
    source._save()
    assert not source._has_news()
    fed.clock.forward(3600)  # a window opens
    fed.known.turn()
    assert source._has_news()


def restarted(file: Path, at: datetime) -> Fed:
    """Another process, up to where it would connect."""
    from cutover_openfeature import kept

    fed = Fed(file=file)
    fed.clock.wall = at
    if found := kept.read(file):
        fed.known.take_up(found)
    return fed


TESTING_OTHER = replace(TESTING, rollout="other", toggles=("x",))


# -- events


class Told:
    """What the SDK would be told."""

    def __init__(self, fed: Fed) -> None:
        self.events: list[tuple[str, list[str] | None]] = []
        fed.provider.attach(self.keep)
        self._fed = fed

    def keep(self, _provider: object, event: ProviderEvent, details: ProviderEventDetails) -> None:
        self.events.append((event.value.removeprefix("PROVIDER_"), details.flags_changed))

    def by_now(self) -> list[tuple[str, list[str] | None]]:
        self._fed.known.turn()
        self._fed.provider._source._teller.tell(self._fed.known.view)
        told, self.events = self.events, []
        return told


def test_only_toggles_whose_answers_changed_are_named() -> None:
    fed = Fed(ON, TESTING_OTHER)
    told = Told(fed)
    fed.provider._source._teller.started(fed.known.view)
    assert told.by_now() == []
    fed.feed(replace(ON, revision=11))
    assert told.by_now() == []
    fed.feed(replace(OFF, revision=12))
    assert told.by_now() == [("CONFIGURATION_CHANGED", ["a", "b", "c", "d"])]
    fed.clock.wall += HOUR
    assert told.by_now() == [("CONFIGURATION_CHANGED", ["x"])]
    fed.clock.wall += HOUR
    assert told.by_now() == [("CONFIGURATION_CHANGED", ["x"])]
    fed.feed(replace(OFF, revision=13, toggles=("a", "b")))
    assert told.by_now() == [("CONFIGURATION_CHANGED", ["c", "d"])]


def test_a_silence_and_its_end_are_told_once_each() -> None:
    fed = Fed(ON)
    told = Told(fed)
    fed.provider._source._teller.started(fed.known.view)
    fed.clock.forward(6)
    assert told.by_now() == [("STALE", None)]
    assert told.by_now() == []
    fed.feed(OFF)
    assert told.by_now() == [("READY", None), ("CONFIGURATION_CHANGED", ["a", "b", "c", "d"])]


def test_a_start_that_failed_is_followed_by_ready() -> None:
    fed = Fed()
    told = Told(fed)
    fed.feed(ON)
    assert told.by_now() == [], "the SDK has not said yet how the start went"
    fed.provider._source._teller.started(None)
    assert told.by_now() == [("READY", None), ("CONFIGURATION_CHANGED", ["a", "b", "c", "d"])]


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
def test_a_start_from_the_file_is_stale_and_then_ready(monkeypatch: pytest.MonkeyPatch, ticks: int) -> None:
    monkeypatch.setattr("cutover_openfeature.events.AGAIN_AFTER", -1.0)
    fed = Fed(ON)
    fed.clock.forward(6)
    told = Told(fed)
    fed.provider._source._teller.started(fed.known.turn())
    said = [event for _ in range(ticks) for event, _ in told.by_now()]
    assert said == ["STALE"] * min(ticks, 1)
    fed.mark(10)
    assert told.by_now() == ([("READY", None)] if ticks else [])


def test_what_recovers_just_when_it_would_be_called_stale_again_is_called_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fed = Fed(ON)
    fed.clock.forward(6)
    told = Told(fed)
    teller = fed.provider._source._teller
    teller.started(fed.known.turn())
    assert told.by_now() == [("STALE", None)]
    monkeypatch.setattr(teller, "_again", 0.0)
    assert told.by_now() == [("STALE", None)]
    assert told.by_now() == []
    monkeypatch.setattr(teller, "_again", 0.0)
    fed.mark(10)
    assert told.by_now() == [("READY", None)]
