"""How long something takes, and the table it is told in.

One rule: a number is the median of several rounds after a warm-up round, and a rate is always "per second".
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from itertools import count

from msgspec import Struct

ROUNDS = 3
SECONDS = 1.0

Step = Callable[[int], Awaitable[object]]
"""One operation; the argument counts from 0 and never repeats within a benchmark."""


class Row(Struct, frozen=True):
    """One line of the table. `against` names the row it is compared with; `aim` the least ratio or rate asked for."""

    name: str
    value: float
    unit: str = "/s"
    against: str = ""
    aim: str = ""


async def rate(step: Step, *, in_flight: int = 1, seconds: float = SECONDS) -> float:
    """How many `step`s a second are done with so many going on at once: median of the rounds."""
    numbers = count()
    await _round(step, numbers, in_flight, seconds / 2)
    return statistics.median([await _round(step, numbers, in_flight, seconds) for _ in range(ROUNDS)])


async def _round(step: Step, numbers: count[int], in_flight: int, seconds: float) -> float:
    start = time.perf_counter()
    end = start + seconds

    async def worker() -> int:
        done = 0
        while time.perf_counter() < end:
            await step(next(numbers))
            done += 1
        return done

    done = sum(await asyncio.gather(*(worker() for _ in range(in_flight))))
    return done / (time.perf_counter() - start)


def rate_of(step: Callable[[], object], *, seconds: float = SECONDS) -> float:
    """The same for a function that blocks, one at a time."""

    def run(limit: float) -> float:
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < limit:
            step()
            done += 1
        return done / (time.perf_counter() - start)

    run(seconds / 2)
    return statistics.median([run(seconds) for _ in range(ROUNDS)])


async def bulk(work: Callable[[], Awaitable[int]], *, rounds: int = ROUNDS, warm_up: bool = True) -> float:
    """Things a second, where `work` handles many and returns how many it handled."""
    if warm_up:
        await work()
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        handled = await work()
        rates.append(handled / (time.perf_counter() - start))
    return statistics.median(rates)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, each beside what it is compared with."""
    values = {row.name: row.value for row in rows}
    lines = ["| what | median | ratio | aim |", "|---|--:|--:|---|"]
    for row in rows:
        ratio = f"{row.value / values[row.against]:.2f} x {row.against}" if values.get(row.against) else ""
        lines.append(f"| {row.name} | {_number(row)} | {ratio} | {row.aim} |")
    return "\n".join(lines)


def _number(row: Row) -> str:
    return f"{row.value:,.0f} {row.unit}" if row.value >= 100 else f"{row.value:,.1f} {row.unit}"
