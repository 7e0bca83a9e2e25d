"""Snapshots: what is known of a step or a set of results, frozen.

One rule: a snapshot holds what had been recorded since its time began; what was not known is an empty value, never
a guess.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from events import facts as f
from events.facts import Fact, SnapshotEntry
from events.plan.numbers import shown
from events.plan.schema import Plan
from services.rollout import commands as c
from services.rollout import criteria, measuring, steps
from services.rollout.asked import Asked
from services.rollout.measured import Measured, Measurement
from services.rollout.refusals import refuse
from services.rollout.state import Frozen, Rollout


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
    value = shown(found.value) if found.value is not None else found.why
    entry = SnapshotEntry(name, value, target, found.verdict)
    one = rollout.plan.criteria.get(name)
    if not found.measured or one is None:
        return entry
    return replace(entry, query=one.query or one.count, since=found.since, until=found.until)


def _result(rollout: Rollout, of: str, item: str, text: str, target: str) -> SnapshotEntry:
    found = rollout.results.get(f"{of}/{item}")
    if found is None or found.ordinal < steps.began(rollout, of):
        return SnapshotEntry(text, target=target)
    return SnapshotEntry(text, found.value, target, found.verdict, found.revision)


def take_snapshot(asked: Asked, command: c.TakeSnapshot) -> tuple[Fact, ...]:
    """A set of results once its time has come. Stages are frozen by the promotion that leaves them."""
    rollout = asked.rollout
    sets = steps.result_sets(rollout.plan)
    if command.of not in sets and (frozen := _standing(rollout, command.of)) is not None:
        return _late(asked, command.of, frozen)
    if command.of not in sets:
        raise refuse(f"the plan has no results after {command.of!r}; it has: {', '.join(sets) or 'none'}")
    if rollout.released_at is None:
        raise refuse("nothing is released to everyone yet: there are no results to freeze")
    measured = asked.around.measured
    held = _standing(rollout, command.of)
    if held is not None and measured is None:
        return ()
    due = rollout.released_at + timedelta(seconds=sets[command.of])
    if asked.now < due:
        raise refuse(f"the {command.of} results are due at {steps.local(asked.rollout, due)}")
    if measured is None:
        return (f.SnapshotTaken(command.of, entries_of(rollout, command.of), rollout.released_at, due),)
    if (measured.of, measured.began) != (command.of, rollout.released_ordinal):
        raise refuse("the release changed while its results were being measured: look again", code="changed")
    found = measuring.measured_facts(rollout, measured)
    lines = _with_spans(rollout.plan, entries_of(measuring.folded(asked, found), command.of), measured)
    if held is None:
        return (*found, f.SnapshotTaken(command.of, lines, rollout.released_at, due))
    if _values(lines) == _values(held.entries):
        return ()
    late = f.SnapshotTaken(
        command.of, lines, rollout.released_at, due, held.revises + 1, "what was measured late differs from it"
    )
    return (*found, late)


def _late(asked: Asked, of: str, held: Frozen) -> tuple[Fact, ...]:
    """A stage's snapshot, revised by what was published of its time after it; () while nothing differs."""
    measured = asked.around.measured
    if measured is None or measured.of != of:
        return ()
    texts = {q.id: q.text for q in steps.questions(asked.rollout.plan, of)}
    found = {texts.get(m.item, m.item): m for m in measured.items if measuring.words(m)}
    lines = tuple(_anew(line, found[line.item]) if line.item in found else line for line in held.entries)
    if _values(lines) == _values(held.entries):
        return ()
    because = "readings of its time came after it"
    return (f.SnapshotTaken(of, lines, held.since, held.until, held.revises + 1, because),)


def _anew(line: SnapshotEntry, m: Measurement) -> SnapshotEntry:
    verdict = m.verdict if m.kind == "criterion" else line.verdict
    return replace(line, value=measuring.words(m), verdict=verdict, revision=0, since=m.since, until=m.until, why="")


def _standing(rollout: Rollout, of: str) -> Frozen | None:
    """The snapshot of this release; None while it is not taken."""
    held = rollout.frozen.get(of)
    if of in steps.result_sets(rollout.plan):
        return held if rollout.snapshots.get(of, 0) > rollout.released_ordinal else None
    began = rollout.step_ordinal if of == steps.current_step(rollout) else rollout.rolled_back_ordinal
    return held if rollout.snapshots.get(of, 0) > began else None


def _values(entries: tuple[SnapshotEntry, ...]) -> list[tuple[str, str, object]]:
    return [(entry.item, entry.value, entry.verdict) for entry in entries]


def _with_spans(plan: Plan, entries: tuple[SnapshotEntry, ...], measured: Measured) -> tuple[SnapshotEntry, ...]:
    """The lines with the queries and spans of what was measured, and why a value is missing."""
    texts = {q.id: q.text for q in steps.questions(plan, measured.of)}
    of = {texts.get(m.item, m.item): m for m in measured.items}
    return tuple(_with_span(entry, of[entry.item]) if entry.item in of else entry for entry in entries)


def _with_span(entry: SnapshotEntry, m: Measurement) -> SnapshotEntry:
    return replace(entry, query=m.query, since=m.since, until=m.until, why="" if entry.value else m.why)


def revised(rollout: Rollout, fact: f.ResultRecorded, text: str) -> tuple[Fact, ...]:
    """A marked revision of the snapshot that this result comes too late for; () when there is none."""
    held = _standing(rollout, fact.step)
    if held is None:
        return ()
    line = next((entry for entry in held.entries if entry.item == text), SnapshotEntry(text))
    late = replace(line, value=fact.value, verdict=fact.verdict, revision=0, why="")
    others = tuple(late if entry is line else entry for entry in held.entries)
    entries = others if late in others else (*others, late)
    because = f"{text!r} was recorded after it"
    return (f.SnapshotTaken(fact.step, entries, held.since, held.until, held.revises + 1, because),)
