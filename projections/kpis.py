"""What was measured and recorded, beside its target.

One rule: a value that comes after the snapshot of its step was taken is marked late; what the snapshot froze stays
beside it. A step that begins anew knows nothing of the try before: what was so then is in the trail and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from events.facts import (
    Fact,
    PhaseEntered,
    PlanAdopted,
    PlanRevised,
    Record,
    ResultRecorded,
    SnapshotEntry,
    SnapshotTaken,
    StageEntered,
    Verdict,
    VerdictRecorded,
    WatchStarted,
)
from events.plan.numbers import shown
from events.plan.schema import Criterion, Plan, Quantity
from projections.sentences import PHASES


class KpiRow(Struct, frozen=True, omit_defaults=True):
    """One item of one step ("stage-1", "1 week", ..): its latest value, and the one its snapshot froze.

    `value` "": not known. `frozen` None: no snapshot yet. `revision`: of the record that gave the value.
    """

    rollout: str
    of: str
    item: str
    value: str = ""
    target: str = ""
    verdict: Verdict | None = None
    revision: int = 0
    late: bool = False
    frozen: str | None = None


class Kpis(Struct, frozen=True, omit_defaults=True):
    """All rows of a rollout, the targets its plan names, and the steps whose snapshot is taken."""

    targets: dict[str, str] = {}
    taken: tuple[str, ...] = ()
    rows: dict[str, KpiRow] = {}  # by of + newline + item

    def row(self, rollout: str, of: str, item: str) -> KpiRow:
        """What is known of an item so far."""
        return self.rows.get(f"{of}\n{item}") or KpiRow(rollout, of, item, target=self.targets.get(item, ""))


MEASURED: frozenset[type[Fact]] = frozenset(
    (PlanAdopted, PlanRevised, ResultRecorded, VerdictRecorded, SnapshotTaken, PhaseEntered, StageEntered, WatchStarted)
)
"""The facts that say what was measured, or what is to be. Most of a log are others: one look here spares them eight."""


def fold(kpis: Kpis, record: Record, revision: int, names: Mapping[str, str]) -> Kpis:
    """What is known after one more record; the same object where the record adds nothing.

    `names`: see `sentences.texts`. A result is recorded by its question's id and frozen by its words: they are one row.
    """
    for fact in record.facts:
        if type(fact) in MEASURED:
            kpis = _evolve(kpis, fact, record.rollout, revision, names)
    return kpis


def _evolve(kpis: Kpis, fact: Fact, rollout: str, revision: int, names: Mapping[str, str]) -> Kpis:
    match fact:
        case PlanAdopted(plan=plan) | PlanRevised(plan=plan):
            return replace(kpis, targets=dict(_targets(plan)))
        case ResultRecorded(step=step, item=item, value=value, verdict=verdict):
            return _recorded(kpis, kpis.row(rollout, step, names.get(item, item)), value, verdict, revision)
        case VerdictRecorded(criterion=criterion, step=step, verdict=verdict, value=value):
            said = shown(value) if value else ""
            return _recorded(kpis, kpis.row(rollout, step, criterion), said, verdict, revision)
        case SnapshotTaken():
            return _frozen(kpis, fact, rollout, revision)
        case PhaseEntered(phase="rolled_back"):
            return _anew(kpis, _is_set)
        case PhaseEntered(phase=phase):
            return _anew(kpis, lambda of: of == phase)
        case StageEntered(stage=stage):
            return _anew(kpis, lambda of: of == f"stage-{stage}")
        case WatchStarted():
            return _anew(kpis, lambda of: of == "code_deploy")
    return kpis


def _anew(kpis: Kpis, begins: Callable[[str], bool]) -> Kpis:
    """Steps that begin anew: what was known of them was of another try, and no snapshot of this one is taken."""
    taken = tuple(of for of in kpis.taken if not begins(of))
    rows = {
        key: KpiRow(row.rollout, row.of, row.item, target=row.target)
        for key, row in kpis.rows.items()
        if begins(row.of)
    }
    return replace(kpis, taken=taken, rows=kpis.rows | rows) if rows or taken != kpis.taken else kpis


def _is_set(of: str) -> bool:
    """Whether this is a set of results ("1 week"): they count from the first 100%, which a rollback takes back."""
    return of not in PHASES and not of.startswith("stage-")


def _recorded(kpis: Kpis, row: KpiRow, value: str, verdict: Verdict | None, revision: int) -> Kpis:
    late = row.of in kpis.taken
    return _with(kpis, replace(row, value=value, verdict=verdict, revision=revision, late=late))


def _frozen(kpis: Kpis, fact: SnapshotTaken, rollout: str, revision: int) -> Kpis:
    for entry in fact.entries:
        row = kpis.row(rollout, fact.of, entry.item)
        gave = _gave(entry, row, revision)
        kept = replace(row, value=entry.value, verdict=entry.verdict, revision=gave, late=False, frozen=entry.value)
        if fact.revises:  # what was frozen first stays; what came late is marked as such
            kept = replace(kept, frozen=row.frozen, late=row.late or entry.value != (row.frozen or ""))
        kpis = _with(kpis, replace(kept, target=entry.target or row.target))
    taken = kpis.taken if fact.of in kpis.taken else (*kpis.taken, fact.of)
    return replace(kpis, taken=taken)


def _gave(entry: SnapshotEntry, row: KpiRow, revision: int) -> int:
    """The record that gave a snapshot's value: the one it names, else the one that was known for it, else its own.

    A verdict without a number is known as "", and frozen with the words for it.
    """
    if not entry.value:
        return 0
    known = row.revision if row.value in ("", entry.value) else 0
    return entry.revision or known or revision


def _with(kpis: Kpis, row: KpiRow) -> Kpis:
    return replace(kpis, rows={**kpis.rows, f"{row.of}\n{row.item}": row})


def _targets(plan: Plan) -> Iterator[tuple[str, str]]:
    for name, criterion in plan.criteria.items():
        yield name, target(criterion)
    for kpi in plan.go_live.kpis:
        yield kpi.name or kpi.text, target(kpi)


def target(criterion: Criterion) -> str:
    """The limit a value must keep, in words: "below 10 per any 10 minutes"."""
    said = [f"{word} {shown(limit)}" for word, limit in _one_sided(criterion)]
    if criterion.between:
        said.append(f"between {shown(criterion.between[0])} and {shown(criterion.between[1])}")
    if criterion.trend:
        than = f" than {shown(criterion.than)}" if criterion.than else ""
        said.append(f"{criterion.trend}{than}")
    words = " and ".join(said) or criterion.expect or criterion.text
    return f"{words} per {criterion.per}" if criterion.per and words else words


def limits(criterion: Criterion) -> list[tuple[str, Quantity]]:
    """Each single limit with its words, ("below 10", 10), as a chart draws it."""
    found = [(f"{word} {shown(limit)}", limit) for word, limit in _one_sided(criterion)]
    if criterion.between:
        low, high = criterion.between
        found += [(f"from {shown(low)}", low), (f"to {shown(high)}", high)]
    return found


def _one_sided(criterion: Criterion) -> Iterator[tuple[str, Quantity]]:
    named = (
        ("below", criterion.below),
        ("above", criterion.above),
        ("at most", criterion.at_most),
        ("at least", criterion.at_least),
    )
    yield from ((word, limit) for word, limit in named if limit)
