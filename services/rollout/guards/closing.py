"""Closing: every set of results in and frozen, every question answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from services.rollout import steps
from services.rollout.guards.blocker import Asking, Blocker
from services.rollout.guards.entering import gaps, halted
from services.rollout.guards.leaving import unmet_criteria, unrecorded, unrecorded_results


def closing(move: Asking) -> Iterator[Blocker]:
    rollout, plan, now = move.rollout, move.rollout.plan, move.now
    yield from halted(rollout)
    yield from gaps(rollout, "close")
    for text, seconds in steps.result_sets(plan).items():
        due = rollout.released_at + timedelta(seconds=seconds) if rollout.released_at else None
        if due is not None and now < due:
            yield Blocker(f"the {text} results are due at {steps.local(rollout, due)}", "length", text, until=due)
            continue
        if rollout.snapshots.get(text, 0) <= rollout.released_ordinal:
            yield Blocker(f"the {text} snapshot is not taken", "snapshot", text)
        for kpi in plan.go_live.kpis:
            yield from unrecorded(rollout, text, kpi.name, kpi.name, "", kpi.judged_by)
        yield from unrecorded_results(rollout, text)
    for q in plan.post_launch_questions:
        if steps.answer(rollout, q) is None:
            yield Blocker(f"{q.text!r} is not answered", "answer", q.id, q.answered_by)
    yield from unmet_criteria(move, "go_live", None)
