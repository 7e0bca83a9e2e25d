"""The states that flags are answered from: what was current stays what it was, for five minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.facts import EVERYONE, NOBODY
from projections.flags import FlagSnapshot, Window
from services.flags import states as flag_states
from services.flags.states import KEPT_FOR, FlagStates
from tests.histories import START

NAMES = ("one", "two", "three")
ON = FlagSnapshot(2, "one", 1, START, "cutover", ("a", "b"), EVERYONE)


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        return self.now


changes = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(st.none(), st.tuples(st.sampled_from([EVERYONE, NOBODY]), st.integers(0, 3))),
    max_size=3,
)


def snapshots(change: dict[str, tuple[object, int] | None], revision: int) -> dict[str, FlagSnapshot | None]:
    """One snapshot a rollout, with so many toggles and one window."""
    made: dict[str, FlagSnapshot | None] = dict.fromkeys(change)
    for name, what in change.items():
        if what is not None:
            exposure, count = what
            keys = tuple(f"{name}_{n}" for n in range(count))
            window = Window("s", "t", START + timedelta(minutes=revision), START + timedelta(minutes=revision + 2))
            made[name] = replace(
                ON, rollout=name, revision=revision, toggles=keys, exposure=exposure, windows=(window,)
            )
    return made


@given(st.lists(st.tuples(changes, st.floats(0, 100)), min_size=1, max_size=20))
def test_a_state_of_the_last_five_minutes_is_what_it_was_and_older_ones_are_gone(
    steps: list[tuple[dict[str, tuple[object, int] | None], float]],
) -> None:
    ticks = Ticks()
    states = FlagStates(ticks)
    seen = {}
    for revision, (change, passing) in enumerate(steps, 1):
        states.publish(snapshots(change, revision), revision)
        seen[revision] = (states.current, ticks.now)
        ticks.now += passing
    for revision, (state, _) in seen.items():
        found = states.at(revision)
        until = seen[revision + 1][1] if revision + 1 in seen else ticks.now
        if ticks.now - until > KEPT_FOR:
            assert found is None
        else:
            assert found is not None
            assert (found.revision, dict(found.snapshots)) == (revision, dict(state.snapshots))
            assert (dict(found.owners), found.edges) == (dict(state.owners), state.edges)
            assert list(found.snapshots) == sorted(found.snapshots)


def test_a_revision_that_was_never_held_is_not_made_up() -> None:
    states = FlagStates(Ticks())
    states.publish({"one": ON}, 1)
    states.publish({"one": replace(ON, revision=4)}, 4)
    assert states.at(1) is not None
    assert [states.at(revision) for revision in (2, 3, 5)] == [None, None, None]


def test_memory_is_bounded_however_fast_records_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_states, "MOST", 10)
    states = FlagStates(Ticks())
    for revision in range(1, 100):
        states.publish({"one": replace(ON, revision=revision)}, revision)
    kept = [revision for revision in range(1, 100) if states.at(revision)]
    assert kept == list(range(89, 100))


def test_only_what_changes_an_answer_is_said_to_change_one() -> None:
    states = FlagStates(Ticks())
    assert states.publish({"one": ON}, 1)
    assert not states.publish({"one": replace(ON, revision=2, when=START + timedelta(hours=1))}, 2)
    assert states.publish({"one": replace(ON, revision=3, exposure=NOBODY)}, 3)
    assert states.publish({"one": None}, 4)
    assert not states.publish({}, 5)


def test_a_toggles_key_goes_over_to_the_rollout_that_has_it_now() -> None:
    states = FlagStates(Ticks())
    states.publish({"one": ON}, 1)
    other = replace(ON, rollout="two", revision=2)
    states.publish({"one": None, "two": other}, 2)
    assert states.current.of_toggle("a") == other
    before = states.at(1)
    assert before is not None
    assert before.of_toggle("a") == ON
