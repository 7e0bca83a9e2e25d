"""Cutover's own commands: judged, decided, appended and on the disk, one at a time and 64 in flight.

One rule: through `Engine.ask`, as the API and the clock ask; the command is a `note`, so that every one of them writes.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from itertools import count

from benchmarks.measure import Row, rate
from events.facts import Actor
from events.plan.reading import read_plan
from events.plan.schema import Plan
from services.engine import Engine
from services.log.nats import JetStreamLog
from services.messages import Accepted, Request
from services.rollout.commands import AddNote, Adopt, Command

MANAGER = Actor("u-1", "release_manager")
ROLLOUTS = 64
RECORDS = 100  # of each rollout that is loaded, to begin with
LONG = 1_000  # records of the long rollout

_ids = count(1)


def now() -> datetime:
    return datetime.now(UTC)


def plan_of(rollout: str) -> Plan:
    """A small plan with a toggle of its own."""
    return read_plan(
        {"title": f"Release {rollout}", "toggles": {f"{rollout}-toggle": "The toggle"}}, default_id=rollout
    )


async def ask(engine: Engine, rollout: str, command: Command) -> Accepted:
    """One command; a refusal ends the benchmark, as its number would be of something else."""
    answer = await engine.ask(Request(rollout, f"bench-{next(_ids)}", MANAGER, command))
    if not isinstance(answer, Accepted):
        raise RuntimeError(f"{rollout}: {answer}")
    return answer


async def adopted(engine: Engine, prefix: str, number: int) -> list[str]:
    """So many rollouts, begun."""
    names = [f"{prefix}-{n}" for n in range(number)]
    for name in names:
        await ask(engine, name, Adopt(plan_of(name)))
    return names


async def noted(engine: Engine, rollout: str, records: int, text: str) -> None:
    """Have the rollout be `records` long."""
    for _ in range(records - 1):
        await ask(engine, rollout, AddNote(text))


async def measure_cached(log: JetStreamLog, text: str) -> list[Row]:
    """Rollouts held in memory, as they are after their first command."""
    engine = Engine(log, now)
    [alone] = await adopted(engine, "alone", 1)
    names = await adopted(engine, "many", ROLLOUTS)

    async def one(_number: int) -> object:
        return await ask(engine, alone, AddNote(text))

    async def many(number: int) -> object:
        return await ask(engine, names[number % ROLLOUTS], AddNote(text))

    single, several = "nats-py publish, 1 at a time", "nats-py publish, 64 in flight"
    other = "eventsourcing load + append"
    return [
        Row("decision, cached, 1 rollout, 1 at a time", await rate(one), against=single),
        Row("decision, cached, 1 rollout, 64 in flight", await rate(one, in_flight=64), against=single),
        Row("decision, cached, 64 rollouts, 1 at a time", await rate(many), against=other, aim=">= 5"),
        Row(
            "decision, cached, 64 rollouts, 64 in flight", await rate(many, in_flight=64), against=several, aim=">= 0.9"
        ),
    ]


async def measure_loading(log: JetStreamLog, text: str) -> list[Row]:
    """Nothing in memory: each command reads its rollout's records first, by an engine that has just started."""
    engine = Engine(log, now)
    names = await adopted(engine, "loaded", ROLLOUTS)
    for name in names:
        await noted(engine, name, RECORDS, text)

    async def cold(number: int) -> object:
        return await ask(Engine(log, now), names[number % ROLLOUTS], AddNote(text))

    other = "eventsourcing load + append"
    return [
        Row("decision, loading, 64 rollouts, 1 at a time", await rate(cold), against=other),
        Row("decision, loading, 64 rollouts, 64 in flight", await rate(cold, in_flight=64), against=other),
        Row(f"load of a rollout of {LONG:,} records", await _long(log, engine, text), unit="ms"),
    ]


async def _long(log: JetStreamLog, engine: Engine, text: str) -> float:
    """Milliseconds until a new engine has judged a command that writes nothing."""
    [name] = await adopted(engine, "long", 1)
    await noted(engine, name, LONG, text)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        await ask(Engine(log, now), name, AddNote(text, dry_run=True))
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)
