"""The past out of the tables is what folding the log's beginning gives, for instants and revisions alike."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from events.codec import decode
from events.facts import PlanRevised
from projections.known import Known, take
from services.database import connect
from services.log.protocol import Entry
from services.projector.folding import Folding, machine
from services.projector.tables import generation, prepare
from services.rollout.state import Rollout, apply
from services.views import past
from services.views.past import NotYet, Past
from services.views.views import Views
from tests.histories import START, History, plan, records


def tables_of(folder: Path, entries: Sequence[Entry], batch: int) -> Engine:
    """The tables after the log was folded in batches of this size."""
    engine = connect(f"sqlite:///{folder / 'cutover.db'}")
    position = prepare(engine)
    folding = Folding(generation(position.generation), machine())
    for start in range(0, len(entries), batch):
        with engine.begin() as connection:
            changes = folding.take(connection, position, entries[start : start + batch])
            folding.write(connection, changes)
        position = changes.after()
    return engine


def refolded(entries: Sequence[Entry]) -> tuple[Rollout, Known] | None:
    """All of one rollout's records, one after the other."""
    state: Rollout | None = None
    known: Known | None = None
    for entry in entries:
        known = take(known, entry.rollout, entry.revision, entry.data).known
        state = apply(state, decode(entry.data), entry.revision)
    return (state, known) if state and known else None


@pytest.fixture(params=[7, 100_000], ids=["often kept", "kept at plans alone"])
def every(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "EVERY", request.param)


@pytest.mark.usefixtures("every")
def test_the_past_is_a_fold_of_the_logs_beginning(tmp_path: Path) -> None:
    rng = random.Random(5)
    entries = [Entry(n, each.rollout, each.data) for n, each in enumerate(records(400, 3), 1)]
    views = Views(tables_of(tmp_path, entries, 150))
    times = {entry.revision: decode(entry.data).when for entry in entries}
    for _ in range(60):
        rollout, revision = f"rollout-{rng.randrange(1, 4)}", rng.randrange(0, 401)
        mine = [entry for entry in entries if entry.rollout == rollout]
        when = START + timedelta(seconds=rng.random() * (max(times.values()) - START).total_seconds())
        instants = [when, *(times[entry.revision] for entry in rng.sample(mine, 2))]
        for instant in instants:
            agree(views.past(rollout, instant), [entry for entry in mine if times[entry.revision] <= instant])
        agree(views.past(rollout, revision), [entry for entry in mine if entry.revision <= revision])


def agree(found: Past | None, history: Sequence[Entry]) -> None:
    assert (found and (found.state, found.known)) == refolded(history)


@pytest.mark.usefixtures("every")
def test_a_revised_plan_is_remembered_as_it_was_at_each_time(tmp_path: Path) -> None:
    history = History("small")
    stored = [history.adopted(), history.attested(), history.deployed()]
    for toggles in (3, 5):
        stored.append(history.add("revise_plan", PlanRevised(plan("small", toggles))))
        stored.append(history.noted("that is better"))
    entries = [Entry(n, "small", each.data) for n, each in enumerate(stored, 1)]
    views = Views(tables_of(tmp_path, entries, 3))
    for revision in range(1, len(entries) + 1):
        agree(views.past("small", revision), entries[:revision])


def test_a_revision_of_another_rollout_is_judged_when_it_was_written(tmp_path: Path) -> None:
    first, second = History("first"), History("second", START + timedelta(days=7))
    entries = [Entry(1, "first", first.adopted().data), Entry(2, "second", second.adopted().data)]
    views = Views(tables_of(tmp_path, entries, 10))
    assert views.past("second", 1) is None
    then = views.past("first", 2)
    assert then is not None
    assert (then.revision, then.now) == (1, second.when)


def test_a_revision_that_the_log_has_not_reached_is_no_answer(tmp_path: Path) -> None:
    views = Views(tables_of(tmp_path, [Entry(1, "small", History("small").adopted().data)], 10))
    with pytest.raises(NotYet, match="revision 2 is not known here: the last one is 1"):
        views.past("small", 2)
