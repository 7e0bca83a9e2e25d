"""Snapshots: what is known of a step or a set of results, frozen.

One rule: a snapshot holds what had been recorded since its time began; what was not known is an empty value, never
a guess.
"""

from __future__ import annotations

from datetime import timedelta

from events import facts as f
from events.facts import Fact, SnapshotEntry
from services.rollout import commands as c
from services.rollout import criteria, steps
from services.rollout.asked import Asked
from services.rollout.refusals import refuse
from services.rollout.state import Rollout


def entries_of(rollout: Rollout, of: str) -> tuple[SnapshotEntry, ...]:
    """The lines of a snapshot: criteria with their values and limits, KPIs, results, in the plan's order."""
    lines = [_criterion(rollout, of, each.name, criteria.target(each)) for each in steps.criteria(rollout.plan, of)]
    if of in steps.result_sets(rollout.plan):
        lines += [_result(rollout, of, k.name, k.name, criteria.target(k)) for k in rollout.plan.go_live.kpis]
    lines += [_result(rollout, of, q.id, q.text, q.must_be) for q in steps.questions(rollout.plan, of)]
    return tuple(lines)


def _criterion(rollout: Rollout, of: str, name: str, target: str) -> SnapshotEntry:
    found = rollout.verdicts.get(f"{of}/{name}")
    if found is None or found.ordinal < rollout.step_ordinal:
        return SnapshotEntry(name, target=target)
    value = criteria.shown(found.value) if found.value is not None else found.why
    return SnapshotEntry(name, value, target, found.verdict)


def _result(rollout: Rollout, of: str, item: str, text: str, target: str) -> SnapshotEntry:
    found = rollout.results.get(f"{of}/{item}")
    if found is None or found.ordinal < steps.began(rollout, of):
        return SnapshotEntry(text, target=target)
    return SnapshotEntry(text, found.value, target, found.verdict, found.revision)


def take_snapshot(asked: Asked, command: c.TakeSnapshot) -> tuple[Fact, ...]:
    """A set of results once its time has come. Stages are frozen by the promotion that leaves them."""
    rollout = asked.rollout
    sets = steps.result_sets(rollout.plan)
    if command.of not in sets:
        raise refuse(f"the plan has no results after {command.of!r}; it has: {', '.join(sets) or 'none'}")
    if rollout.released_at is None:
        raise refuse("nothing is released to everyone yet: there are no results to freeze")
    if rollout.snapshots.get(command.of, 0) > rollout.released_ordinal:
        return ()
    due = rollout.released_at + timedelta(seconds=sets[command.of])
    if asked.now < due:
        raise refuse(f"the {command.of} results are due at {steps.local(asked.rollout, due)}")
    return (f.SnapshotTaken(command.of, entries_of(rollout, command.of), rollout.released_at, due),)
