"""What somebody changed in the tables is named, in whichever table and column; what the log says is left in peace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, StaticPool, and_, create_engine, delete, insert, select, update

from events import facts as f
from projections.audit import place
from services.database import connect
from services.log.protocol import Entry
from services.notary.cutover_verify import Finding
from services.notary.tables import Tables
from services.projector.folding import Folding, machine
from services.projector.tables import generation, prepare
from tests.histories import History, records
from tests.wild_histories import Wild

LEFT_OUT = ("fold", "attempts", "attempts_times", "audit_times")  # no rows; not of the log; an index
TABLES = {name: table for name, table in generation(1).tables().items() if name not in LEFT_OUT}
CELLS = [(name, column.name) for name, table in TABLES.items() for column in table.columns if column.name != "why"]


def made_of(engine: Engine, entries: Sequence[Entry]) -> None:
    """Fold them into its tables, as the projector does."""
    position = prepare(engine)
    folding = Folding(generation(position.generation), machine())
    for start in range(0, len(entries), 7):
        with engine.begin() as connection:
            changes = folding.take(connection, position, entries[start : start + 7])
            folding.write(connection, changes)
        position = changes.after()


def looked_at(engine: Engine, entries: Sequence[Entry], batch: int = 10) -> list[Finding]:
    tables, found = Tables(engine), []
    for start in range(0, len(entries), batch):
        found += tables.differ(entries[start : start + batch])
    return found + tables.stand(len(entries))


def of_all_kinds() -> list[Entry]:
    """Records of several rollouts with windows, verdicts and snapshots; one cannot be folded from its third on."""
    stored = list(records(150, 4))
    bad = History("bad")
    stored += [bad.adopted(), bad.deployed(), bad.add("note", f.SessionCancelled("nobody")), bad.noted("more")]
    return [Entry(n, each.rollout, each.data) for n, each in enumerate(stored, 1)]


ENTRIES = of_all_kinds()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    made_of(engine, ENTRIES)
    yield engine
    engine.dispose()


def test_tables_that_are_as_the_log_says_are_left_in_peace(database: Engine) -> None:
    made_of(database, ENTRIES)
    with database.connect() as connection:
        assert all(connection.execute(select(table)).first() for table in TABLES.values())
    assert looked_at(database, ENTRIES) == []
    table = TABLES["rollouts"]
    with database.begin() as connection:
        connection.execute(update(table).where(table.c.rollout == "rollout-1").values(stage=7))
    assert [finding.words for finding in looked_at(database, ENTRIES)] == [
        "rollout 'rollout-1' stands in the table rollouts with another stage than the log says"
    ]


@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 40))
def test_whatever_happened_they_are_as_the_log_says(seed: int, length: int, batch: int) -> None:
    wild = Wild(seed, ("t-1", "t-2"))
    for _ in range(length):
        wild.step()
    engine = create_engine("sqlite://", poolclass=StaticPool)
    made_of(engine, wild.entries)
    assert looked_at(engine, wild.entries, batch) == []
    engine.dispose()


def another(value: Any) -> Any:
    """A value that differs."""
    match value:
        case bool():
            return not value
        case int():
            return value + 500
        case bytes():
            return b"{}"
        case _:
            return f"{value or ''}0"


@pytest.mark.parametrize(("name", "column"), CELLS)
@pytest.mark.parametrize("which", [0, -1])
def test_a_changed_cell_is_named(engine: Engine, name: str, column: str, which: int) -> None:
    table = TABLES[name]
    with engine.begin() as connection:
        row = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings().all()[which]
        this = and_(*(key == row[key.name] for key in table.primary_key.columns))
        connection.execute(update(table).where(this).values({column: another(row[column])}))
    found = looked_at(engine, ENTRIES)
    assert {finding.kind for finding in found} == {"tables"}
    if column not in ("revision", "hash", "n", *table.primary_key.columns.keys()):
        where = "stands in the tables" if name == "audit" else f"stands in the table {name}"
        named = "sentence" if column == "says" else column
        assert f"{where} with another {named} than" in found[0].words


@pytest.mark.parametrize("name", TABLES)
def test_a_row_that_is_gone_or_one_too_many_is_named(engine: Engine, name: str) -> None:
    table = TABLES[name]
    first = select(table).order_by(*table.primary_key.columns)
    with engine.begin() as connection:
        row = connection.execute(first).mappings().all()[0]
        connection.execute(delete(table).where(and_(*(key == row[key.name] for key in table.primary_key.columns))))
    gone = looked_at(engine, ENTRIES)
    assert {finding.kind for finding in gone} == {"tables"}
    invented = {key.name: another(row[key.name]) for key in table.primary_key.columns}
    with engine.begin() as connection:
        connection.execute(insert(table).values(row))
        connection.execute(insert(table).values({**row, **invented}))
    assert {finding.kind for finding in looked_at(engine, ENTRIES)} == {"tables"}


def test_what_the_projector_has_not_come_to_yet_is_no_finding(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    made_of(engine, ENTRIES[:60])
    assert looked_at(engine, ENTRIES) == []
    engine.dispose()


def test_what_came_after_the_log_was_read_is_no_finding(engine: Engine) -> None:
    tables = Tables(engine)
    assert tables.differ(ENTRIES[:60]) == []
    assert tables.stand(len(ENTRIES)) == []


def test_more_than_the_log_has_is_one(engine: Engine) -> None:
    tables = Tables(engine)
    assert tables.differ(ENTRIES[:60]) == []
    assert [finding[:3] for finding in tables.stand(60)] == [("cut", 61, len(ENTRIES))]


@pytest.mark.parametrize("revision", [0, len(ENTRIES) + 1])
def test_a_line_of_a_record_that_is_not_in_the_log_is_named(engine: Engine, revision: int) -> None:
    audit = TABLES["audit"]
    with engine.begin() as connection:
        row = connection.execute(select(audit)).mappings().first()
        assert row
        connection.execute(insert(audit).values({**row, "place": place(revision), "revision": revision}))
    [finding] = looked_at(engine, ENTRIES)
    assert finding.words == f"revision {revision} is in the tables, and not in the log"


def test_a_state_that_an_older_version_wrote_in_other_bytes_is_the_same(engine: Engine) -> None:
    states = TABLES["states"]
    with engine.begin() as connection:
        for row in connection.execute(select(states)).all():
            spaced = msgspec.json.format(row.known, indent=1)
            connection.execute(update(states).where(states.c.rollout == row.rollout).values(known=spaced))
    assert looked_at(engine, ENTRIES) == []
