"""What was measured and recorded, folded: a value beside its target, what was frozen, and what came late."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from events import facts as f
from events.facts import Actor, Fact, Record, SnapshotEntry
from events.plan.schema import Criterion, GoLive, Plan, Quantity, Question
from projections.kpis import KpiRow, Kpis, fold
from projections.sentences import texts

START = datetime(2022, 7, 29, tzinfo=UTC)
USERS = Question("Number of unique users", id="users")
PLAN = Plan(
    title="Small", id="small", go_live=GoLive(kpis=(Criterion(name="K", below=Quantity(5.0)),), results=(USERS,))
)


def rows(*told: Fact) -> dict[str, KpiRow]:
    """The rows after one record a fact, by item; the plan is revision 1."""
    kpis = Kpis()
    for revision, fact in enumerate((f.PlanAdopted(PLAN), *told), 1):
        when = datetime(2022, 7, 29, revision, tzinfo=UTC)
        record = Record(1, "small", revision, "", when, Actor("kim", "monitor"), "c", "", "", (fact,))
        kpis = fold(kpis, record, revision, texts(PLAN))
    return {row.item: row for row in kpis.rows.values()}


def recorded(item: str, value: str) -> f.ResultRecorded:
    return f.ResultRecorded("1 week", item, value)


def frozen(*entries: SnapshotEntry, revises: int = 0) -> f.SnapshotTaken:
    return f.SnapshotTaken("1 week", entries, revises=revises)


def test_a_value_stands_beside_its_target_with_its_record() -> None:
    assert rows(recorded("K", "3"))["K"] == KpiRow("small", "1 week", "K", "3", "below 5", None, 2)


def test_a_result_and_the_snapshot_of_it_are_one_row() -> None:
    found = rows(recorded("users", "7"), frozen(SnapshotEntry(USERS.text, "7", revision=2)))
    assert list(found) == [USERS.text]
    assert (found[USERS.text].value, found[USERS.text].frozen, found[USERS.text].revision) == ("7", "7", 2)


def test_what_comes_after_the_snapshot_is_late_and_what_was_frozen_stays() -> None:
    late = SnapshotEntry(USERS.text, "8")
    found = rows(frozen(SnapshotEntry(USERS.text)), recorded("users", "8"), frozen(late, revises=1))[USERS.text]
    assert (found.value, found.frozen, found.late) == ("8", "", True)


def test_a_value_that_came_late_keeps_its_own_record_when_the_next_one_comes() -> None:
    none = (SnapshotEntry("K"), SnapshotEntry(USERS.text))
    one = (SnapshotEntry("K", "3"), SnapshotEntry(USERS.text))
    both = (SnapshotEntry("K", "3"), SnapshotEntry(USERS.text, "8"))
    found = rows(
        frozen(*none), recorded("K", "3"), frozen(*one, revises=1), recorded("users", "8"), frozen(*both, revises=2)
    )
    assert {item: (row.value, row.revision, row.late) for item, row in found.items()} == {
        "K": ("3", 3, True),
        USERS.text: ("8", 5, True),
    }


def test_a_late_value_that_is_corrected_names_the_record_that_corrects_it() -> None:
    first = (recorded("K", "3"), frozen(SnapshotEntry("K", "3"), revises=1))
    corrected = (recorded("K", "4"), frozen(SnapshotEntry("K", "4"), revises=2))
    row = rows(frozen(SnapshotEntry("K")), *first, *corrected)["K"]
    assert (row.value, row.revision, row.late, row.frozen) == ("4", 5, True, "")


def test_a_value_that_nothing_but_a_revision_of_the_snapshot_gives_is_of_that_record() -> None:
    measured = frozen(SnapshotEntry("K", "4"), SnapshotEntry(USERS.text), revises=1)
    found = rows(recorded("K", "3"), frozen(SnapshotEntry("K", "3", revision=2)), measured)
    assert (found["K"].value, found["K"].revision, found["K"].late, found["K"].frozen) == ("4", 4, True, "3")
    assert (found[USERS.text].value, found[USERS.text].revision, found[USERS.text].late) == ("", 0, False)


@pytest.mark.parametrize(
    ("value", "why", "kept"),
    [(Quantity(4.0), "", "4"), (Quantity(1_234_567.0), "", "1234567"), (None, "there is no data", "there is no data")],
)
def test_a_criterion_in_a_snapshot_names_the_record_that_judged_it(value: Quantity | None, why: str, kept: str) -> None:
    judged = f.VerdictRecorded("C", "stage-1", "pass", "", why, START, START, value)
    row = rows(judged, f.Noted("later"), f.SnapshotTaken("stage-1", (SnapshotEntry("C", kept),)))["C"]
    assert (row.value, row.frozen, row.revision, row.late) == (kept, kept, 2, False)


BEGINNINGS: dict[str, Fact] = {
    "code_deploy": f.WatchStarted(),
    "veteran_testing": f.PhaseEntered("veteran_testing"),
    "stage-1": f.StageEntered(1),
    "1 week": f.PhaseEntered("rolled_back"),
}


@pytest.mark.parametrize("step", BEGINNINGS)
def test_a_step_that_begins_anew_knows_nothing_of_the_try_before(step: str) -> None:
    first = (f.ResultRecorded(step, "K", "3"), f.SnapshotTaken(step, (SnapshotEntry("K", "3"),)))
    late = f.ResultRecorded(step, "K", "4")
    assert rows(*first, late)["K"].late
    assert rows(*first, late, BEGINNINGS[step])["K"] == KpiRow("small", step, "K", target="below 5")
    again = rows(*first, BEGINNINGS[step], late)["K"]
    assert (again.value, again.revision, again.late, again.frozen) == ("4", 5, False, None)
    snapshot = f.SnapshotTaken(step, (SnapshotEntry("K", "4"),))
    assert rows(*first, late, BEGINNINGS[step], late, snapshot)["K"].late is False


def test_a_step_that_begins_leaves_the_others_as_they_are() -> None:
    told = [f.ResultRecorded(step, step, "3") for step in BEGINNINGS]
    snapshots = [f.SnapshotTaken(step, (SnapshotEntry(step, "3"),)) for step in BEGINNINGS]
    for step, begins in BEGINNINGS.items():
        found = rows(*told, *snapshots, begins)
        assert [item for item, row in found.items() if row.value == ""] == [step]


def test_a_fresh_snapshot_holds_nothing_late() -> None:
    found = rows(frozen(SnapshotEntry("K")), recorded("K", "3"), frozen(SnapshotEntry("K", "3")))
    assert (found["K"].late, found["K"].frozen, found["K"].revision) == (False, "3", 3)
