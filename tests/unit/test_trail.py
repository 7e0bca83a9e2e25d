"""Pages of the trail: whatever is asked for, in either order, while both streams grow and the tables are exchanged."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Engine, inspect, text

from events import codec
from events import facts as f
from events.facts import Attempt
from projections import rollouts
from projections.audit import AuditRow
from projections.rollouts import RolloutRow
from projections.terms import words
from services.database import connect
from services.log.protocol import Entry
from services.projector.attempts import keep_attempts
from services.projector.folding import Folding, machine
from services.projector.tables import (
    FOLD,
    Position,
    begin_generation,
    generation,
    live_position,
    position_of,
    prepare,
    swap,
)
from services.views.trail import Filters, read_cursor
from services.views.views import Views
from tests.histories import MANAGER, STAKEHOLDER, START, History, Stored, records

COUNT = 150


class Told(NamedTuple):
    """What the log holds, and how each record found its rollout and left it."""

    entries: list[Entry]
    attempts: list[Entry]
    around: dict[int, tuple[RolloutRow | None, RolloutRow]]


def told(seed: int) -> Told:
    """Some lives, and beside them a rollout that gives a toggle up; every fifth record has a refused attempt."""
    rng = random.Random(seed)
    stored = [*records(COUNT, 4, seed), *_giving_up()]
    around: dict[int, tuple[RolloutRow | None, RolloutRow]] = {}
    last: dict[str, RolloutRow] = {}
    attempts: list[Entry] = []
    for revision, one in enumerate(stored, 1):
        record = codec.decode(one.data)
        before = last.get(one.rollout)
        last[one.rollout] = rollouts.fold(before, record, revision)
        around[revision] = before, last[one.rollout]
        if revision % 5 == 0:
            who, row = rng.choice((MANAGER, STAKEHOLDER)), last[one.rollout]
            refusal = Attempt(1, one.rollout, record.when, who, "cut_over", f"c{revision}", ("nobody decided",))
            refusal = replace(refusal, phase=row.phase, toggles=row.toggles)
            attempts.append(Entry(len(attempts) + 1, one.rollout, codec.encode(refusal)))
    return Told([Entry(n, one.rollout, one.data) for n, one in enumerate(stored, 1)], attempts, around)


def _giving_up() -> Iterator[Stored]:
    history = History("giving-up")
    yield history.adopted()
    yield history.noted("Alle Straßen überprüft")
    yield history.add("retire_toggle", f.ToggleRetired("giving-up_toggle_1"))
    yield history.noted("ALLE STRASSEN FREI, 25% -- done")


class Tables:
    """One generation of the tables, folded as far as it was asked for."""

    def __init__(self, engine: Engine, log: Told, position: Position) -> None:
        self._engine, self._log, self.position = engine, log, position
        self._folding = Folding(generation(position.generation), machine())

    def fold(self, revision: int, attempt: int) -> None:
        """On to these places of the two streams."""
        new = self._log.entries[self.position.seq : revision]
        with self._engine.begin() as connection:
            changes = self._folding.take(connection, self.position, new)
            self._folding.write(connection, changes)
        refused = self._log.attempts[self.position.attempts_seq : attempt]
        if refused:
            keep_attempts(self._engine, changes.after(), refused)
        with self._engine.connect() as connection:
            position = position_of(connection, self.position.generation)
        assert position is not None
        self.position = position


def key(row: AuditRow) -> tuple[int, int]:
    return row.revision, row.n


def everything(views: Views, wanted: Filters, *, newest_first: bool = False) -> list[AuditRow]:
    return views.trail(wanted, limit=10**6, newest_first=newest_first).lines


# -- filters


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Views, Told, list[AuditRow]]:
    log = told(seed=3)
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('trail') / 'cutover.db'}")
    tables = Tables(engine, log, prepare(engine))
    for revision in range(50, len(log.entries) + 50, 50):
        tables.fold(min(revision, len(log.entries)), len(log.attempts))
    views = Views(engine)
    return views, log, everything(views, Filters())


def matches(row: AuditRow, wanted: Filters, log: Told) -> bool:
    """What the filters mean, said once more without any index."""
    if row.revision:
        before, after = log.around[row.revision]
        phases: set[str] = {before.phase if before else "planned", after.phase}
        toggles = {*(before.toggles if before else ()), *after.toggles}
    else:
        attempt = codec.decode_attempt(log.attempts[row.n - 1].data)
        phases, toggles = {attempt.phase}, {*attempt.toggles}
    said = {word for part in (row.says, row.reason, row.note) for word in words(part)}
    return all(
        (
            wanted.rollout in ("", row.rollout),
            wanted.subject in ("", row.subject),
            wanted.role in ("", row.role),
            not wanted.title or wanted.title in row.titles,
            wanted.fact in ("", row.fact),
            not wanted.phase or wanted.phase in phases,
            not wanted.toggle or wanted.toggle in toggles,
            wanted.command in ("", row.command),
            wanted.command_id in ("", row.command_id),
            wanted.outcome in (None, row.outcome),
            wanted.since is None or row.when >= wanted.since,
            wanted.until is None or row.when < wanted.until,
            not wanted.from_revision or row.revision >= wanted.from_revision,
            not wanted.to_revision or 0 < row.revision <= wanted.to_revision,
            set(words(wanted.text)) <= said,
        )
    )


INSTANTS = st.none() | st.integers(-100, 40_000).map(lambda s: START + timedelta(seconds=s))
ASKED = st.builds(
    Filters,
    rollout=st.sampled_from(["", "", "rollout-1", "rollout-2", "giving-up", "rollout-9"]),
    subject=st.sampled_from(["", "", "mia", "MIA", "clock", "bob"]),
    fact=st.sampled_from(["", "", "noted", "verdict_recorded", "refused", "phase_entered"]),
    outcome=st.sampled_from([None, None, "accepted", "refused"]),
    since=INSTANTS,
    until=INSTANTS,
    role=st.sampled_from(["", "", "", "monitor", "clock"]),
    title=st.sampled_from(["", "", "VAOS Product Owner", "vaos product owner"]),
    phase=st.sampled_from(["", "", "cutover", "rolled_back", "planned"]),
    toggle=st.sampled_from(["", "", "giving-up_toggle_1", "rollout-1_toggle_2", "toggle"]),
    command=st.sampled_from(["", "", "note", "cut_over"]),
    command_id=st.sampled_from(["", "", "", "rollout-1-3", "c10"]),
    text=st.sampled_from(["", "", "note", "NOBODY", "strassen ÜBERPRÜFT", "25%", "the on", "sessio", "wasn't"]),
    from_revision=st.sampled_from([0, 0, 0, 7, 120]),
    to_revision=st.sampled_from([0, 0, 0, 130, 10**6]),
)


@given(wanted=ASKED, newest_first=st.booleans())
def test_the_filters_find_what_reading_every_line_finds(
    whole: tuple[Views, Told, list[AuditRow]], wanted: Filters, newest_first: bool
) -> None:
    views, log, rows = whole
    expected = [key(row) for row in rows if matches(row, wanted, log)]
    found = [key(row) for row in everything(views, wanted, newest_first=newest_first)]
    assert sorted(found) == sorted(expected)
    streams = [[place for place in found if bool(place[0]) is accepted] for accepted in (True, False)]
    assert all(stream == sorted(stream, reverse=newest_first) for stream in streams)


@pytest.mark.parametrize("wanted", [Filters(title="MIA's"), Filters(text="''"), Filters(subject='"; OR "')])
def test_what_is_asked_for_is_never_read_as_a_query(whole: tuple[Views, Told, list[AuditRow]], wanted: Filters) -> None:
    assert everything(whole[0], wanted) == ([] if not wanted.text else whole[2])


# -- pages


@pytest.mark.parametrize("seed", range(4))
def test_every_line_comes_once_while_the_log_grows_and_the_tables_are_exchanged(database: Engine, seed: int) -> None:
    rng, log = random.Random(seed), told(seed)
    tables = Tables(database, log, prepare(database))
    views = Views(database)
    tables.fold(60, 12)
    for newest_first in (False, True):
        wanted = rng.choice(
            [Filters(), Filters("rollout-1"), Filters(subject="mia"), Filters(text="nobody"), Filters(phase="cutover")]
        )
        at_first = [key(row) for row in everything(views, wanted, newest_first=newest_first)]
        seen: list[AuditRow] = []
        page = views.trail(wanted, limit=rng.randrange(1, 25), newest_first=newest_first)
        while True:
            seen += page.lines
            if page.next is None:
                break
            at = tables.position
            if rng.random() < 0.3 and at.seq < len(log.entries):
                grown = min(at.seq + rng.randrange(1, 20), len(log.entries))
                tables.fold(grown, min(at.attempts_seq + rng.randrange(0, 4), len(log.attempts)))
            if rng.random() < 0.1:
                tables = exchanged(database, log, tables)
            cursor = read_cursor(page.next.text())
            page = views.trail(wanted, cursor, rng.randrange(1, 25), newest_first=newest_first)
        found = [key(row) for row in seen]
        assert len(set(found)) == len(found)
        if newest_first:
            assert found == at_first, "what came later is newer than the first page"
        else:
            assert set(at_first) <= set(found)
            assert sorted(found) == sorted(key(row) for row in everything(views, wanted))


def exchanged(database: Engine, log: Told, old: Tables) -> Tables:
    """A rebuild: a new generation, folded in other portions, takes the old one's place."""
    new = Tables(database, log, begin_generation(database))
    new.fold(old.position.seq // 2, 0)
    new.fold(old.position.seq, old.position.attempts_seq)
    assert swap(database, new.position.generation)
    return Tables(database, log, new.position._replace(live=True))


# -- the tables


PLACES: Sequence[tuple[Filters, str]] = [
    (Filters("rollout-1"), "VIRTUAL TABLE INDEX"),
    (Filters("rollout-1", text="note"), "VIRTUAL TABLE INDEX"),
    (Filters(), "SEARCH audit_g1 USING INTEGER PRIMARY KEY"),
]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("wanted", "first"), PLACES)
def test_a_page_is_walked_in_the_order_of_the_places_and_nothing_is_sorted(
    whole: tuple[Views, Told, list[AuditRow]],
    wanted: Filters,
    first: str,
    newest_first: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = whole[0]._engine
    with caplog.at_level("INFO", "sqlalchemy.engine"):
        whole[0].trail(wanted, newest_first=newest_first)
    asked = [(r.args, r.getMessage()) for r in caplog.records if r.getMessage().startswith("SELECT audit_g1")]
    assert asked
    sql = asked[0][1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", tuple([1] * sql.count("?"))).all()
    steps = [row[3] for row in plan]
    assert first in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]


@pytest.mark.parametrize("older", ["audit_g1 DROP COLUMN phase", f"fold_g1 RENAME COLUMN fold_{FOLD} TO fold_1"])
def test_tables_of_another_version_are_made_anew(tmp_path: Path, older: str) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    log = told(seed=1)
    Tables(engine, log, prepare(engine)).fold(50, 5)
    assert prepare(engine).seq == 50
    with engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {older}"))
    position = prepare(engine)
    assert (position.generation, position.seq, position.live) == (2, 0, True)
    Tables(engine, log, position).fold(50, 5)
    assert len({row.revision for row in everything(Views(engine), Filters(outcome="accepted"))}) == 50
    with engine.connect() as connection:
        assert live_position(connection) is not None
    assert "audit_g2" in inspect(engine).get_table_names()
