"""Cutover's own commands: judged, decided, appended and on the disk, one at a time and 64 in flight.

One rule: through `Engine.ask`, as the API and the clock ask; the command is a `note`, so that every one of them writes.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from itertools import count

from benchmarks.measure import Load, Row, rates
from events.facts import Actor
from events.plan.reading import read_plan
from events.plan.schema import Plan
from services.engine.engine import Engine
from services.engine.messages import Accepted, Request
from services.log.nats import JetStreamLog
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


ONE, MANY = "decision, cached, 1 rollout, ", "decision, cached, 64 rollouts, "
LOADED = "decision, loading, 64 rollouts, "
SINGLE, SEVERAL = "1 at a time", "64 in flight"
OTHER = "eventsourcing load + append"
COMPARED: dict[str, tuple[str, str]] = {
    ONE + SINGLE: ("nats-py publish, 1 at a time", ""),
    ONE + SEVERAL: ("nats-py publish, 1 at a time", ""),
    MANY + SINGLE: (OTHER, ">= 5"),
    MANY + SEVERAL: ("nats-py publish, 64 in flight", ">= 0.9"),
    LOADED + SINGLE: (OTHER, ""),
    LOADED + SEVERAL: (OTHER, ""),
}


async def measure(log: JetStreamLog, text: str, beside: dict[str, Load]) -> list[Row]:
    """Commands a second, and in rounds between theirs what stands `beside` them."""
    found = await rates(beside | await cached(log, text) | await loading(log, text))
    return [Row(name, value, "/s", *COMPARED.get(name, ())) for name, value in found.items()]


async def cached(log: JetStreamLog, text: str) -> dict[str, Load]:
    """Rollouts held in memory, as they are after their first command."""
    engine = Engine(log, now)
    [alone] = await adopted(engine, "alone", 1)
    names = await adopted(engine, "many", ROLLOUTS)

    async def one(_number: int) -> object:
        return await ask(engine, alone, AddNote(text))

    async def many(number: int) -> object:
        return await ask(engine, names[number % ROLLOUTS], AddNote(text))

    return {
        ONE + SINGLE: Load(one),
        ONE + SEVERAL: Load(one, 64),
        MANY + SINGLE: Load(many),
        MANY + SEVERAL: Load(many, 64),
    }


async def loading(log: JetStreamLog, text: str) -> dict[str, Load]:
    """Nothing in memory: each command reads its rollout's records first, by an engine that has just started."""
    engine = Engine(log, now)
    names = await adopted(engine, "loaded", ROLLOUTS)
    for name in names:
        await noted(engine, name, RECORDS, text)

    async def cold(number: int) -> object:
        return await ask(Engine(log, now), names[number % ROLLOUTS], AddNote(text))

    return {LOADED + SINGLE: Load(cold), LOADED + SEVERAL: Load(cold, 64)}


async def measure_load(log: JetStreamLog, text: str) -> Row:
    """Milliseconds until an engine that has just started has judged a command that writes nothing."""
    engine = Engine(log, now)
    [name] = await adopted(engine, "long", 1)
    await noted(engine, name, LONG, text)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        await ask(Engine(log, now), name, AddNote(text, dry_run=True))
        times.append((time.perf_counter() - start) * 1000)
    return Row(f"load of a rollout of {LONG:,} records", statistics.median(times), unit="ms")
