"""The list of rollouts says of each what its status says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode
from events.facts import Halted, PhaseEntered, StageEntered
from projections.rollouts import RolloutRow, fold
from services.rollout.state import Rollout, apply
from services.rollout.status import status
from tests.histories import History
from tests.wild_histories import Wild


def agree(row: RolloutRow | None, rollout: Rollout) -> None:
    said = status(rollout, rollout.when)
    assert row is not None
    assert (row.id, row.title, row.phase, row.stage) == (said.id, said.title, said.phase, said.stage)
    assert (row.exposure, row.halted, row.revision) == (said.exposure, said.halted, said.revision)
    assert (row.entered_at, row.toggles) == (said.entered_at, said.toggles)


@given(st.integers(0, 1 << 30))
def test_the_list_says_after_every_record_what_the_status_says(seed: int) -> None:
    wild = Wild(seed, ("t-1",))
    rows: dict[str, RolloutRow] = {}
    states: dict[str, Rollout] = {}
    for _ in range(60):
        wild.step()
    for entry in wild.entries:
        record = decode(entry.data)
        rows[entry.rollout] = fold(rows.get(entry.rollout), record, entry.revision)
        states[entry.rollout] = apply(states.get(entry.rollout), record, entry.revision)
        agree(rows[entry.rollout], states[entry.rollout])


def test_a_rollout_that_was_halted_and_then_rolled_back_is_listed_as_rolled_back() -> None:
    history = History("small")
    stored = [history.adopted(), history.deployed(), history.cut_over()]
    stored.append(history.add("advance", StageEntered(2)))
    stored.append(history.add("halt", Halted("errors")))
    stored.append(history.add("roll_back", PhaseEntered("rolled_back")))
    row = None
    for revision, each in enumerate(stored, 1):
        row = fold(row, decode(each.data), revision)
    assert row is not None
    assert (row.phase, row.stage, row.halted) == ("rolled_back", 0, False)
