"""The list of rollouts: where each one stands, in one line.

One rule: a line says what is so at its revision; what time alone changes (what is due, what blocks) is not in it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from events.exposed import exposure_words
from events.facts import (
    ExposureSet,
    Fact,
    Halted,
    Phase,
    PhaseEntered,
    PlanAdopted,
    PlanRevised,
    Record,
    Resumed,
    StageEntered,
    ToggleRetired,
    UtcTime,
)


class RolloutRow(Struct, frozen=True):
    """One rollout. `stage` 0: outside of cutover. `entered_at`: when the phase began. `toggles`: keys not retired."""

    id: str
    title: str
    phase: Phase
    stage: int
    exposure: str
    halted: bool
    revision: int
    entered_at: UtcTime
    toggles: tuple[str, ...]
    when: UtcTime  # of the last record
    retired: tuple[str, ...] = ()


TOLD: frozenset[type[Fact]] = frozenset(
    (PlanAdopted, PlanRevised, PhaseEntered, StageEntered, ExposureSet, Halted, Resumed, ToggleRetired)
)
"""The facts that a line tells of. Most of a log are others: one look here spares them eight."""


def fold(row: RolloutRow | None, record: Record, revision: int) -> RolloutRow:
    """The line after one more record of its rollout; None stands before the first."""
    if row is None:
        row = RolloutRow(record.rollout, "", "planned", 0, "nobody", False, 0, record.when, (), record.when)
    for fact in record.facts:
        if type(fact) in TOLD:
            row = _evolve(row, fact, record)
    return replace(row, revision=revision, when=record.when)


def _evolve(row: RolloutRow, fact: Fact, record: Record) -> RolloutRow:
    match fact:
        case PlanAdopted(plan=plan) | PlanRevised(plan=plan):
            keys = tuple(toggle.key for toggle in plan.toggles if toggle.key not in row.retired)
            return replace(row, title=plan.title, toggles=keys)
        case PhaseEntered(phase=phase):
            return _entered(row, phase, record.when)
        case StageEntered(stage=stage):
            return replace(row, stage=stage)
        case ExposureSet(exposure=exposure):
            return replace(row, exposure=exposure_words(exposure))
        case Halted():
            return replace(row, halted=True)
        case Resumed():
            return replace(row, halted=False)
        case ToggleRetired(toggle=toggle):
            left = tuple(key for key in row.toggles if key != toggle)
            return replace(row, toggles=left, retired=(*row.retired, toggle))
    return row


def _entered(row: RolloutRow, phase: Phase, when: UtcTime) -> RolloutRow:
    """A phase that holds nobody's promotion is not halted, and one outside of cutover and go-live has no stage."""
    halted = row.halted and phase not in ("rolled_back", "closed", "cancelled")
    stage = row.stage if phase in ("cutover", "go_live") else 0
    return replace(row, phase=phase, stage=stage, halted=halted, entered_at=when)
