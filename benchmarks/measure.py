"""How long something takes, and the table it is told in.

One rule: a number is the median of several rounds after a warm-up round, and a rate is always "per second".
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import NamedTuple

from msgspec import Struct

ROUNDS = 13
SECONDS = 0.3

Step = Callable[[int], Awaitable[object]]
"""One operation; the argument counts from 0 and never repeats within a benchmark."""


class Row(Struct, frozen=True):
    """One line of the table. `against` names the row it is compared with; `aim` the least ratio or rate asked for."""

    name: str
    value: float
    unit: str = "/s"
    against: str = ""
    aim: str = ""


class Load(NamedTuple):
    """One thing to be measured: its step, and how many of them go on at once."""

    step: Step
    in_flight: int = 1


async def rates(loads: Mapping[str, Load], *, seconds: float = SECONDS) -> dict[str, float]:
    """How many steps a second each does. Their rounds alternate, so that a noisy minute hits all of them alike."""
    numbers = count()
    found: dict[str, list[float]] = {name: [] for name in loads}
    for number in range(ROUNDS + 1):
        for name, load in loads.items():
            found[name].append(await _round(load, numbers, seconds if number else seconds / 2))
    return {name: statistics.median(each[1:]) for name, each in found.items()}


async def _round(load: Load, numbers: count[int], seconds: float) -> float:
    start = time.perf_counter()
    end = start + seconds

    async def worker() -> int:
        done = 0
        while time.perf_counter() < end:
            await load.step(next(numbers))
            done += 1
        return done

    done = sum(await asyncio.gather(*(worker() for _ in range(load.in_flight))))
    return done / (time.perf_counter() - start)


async def bulk(work: Callable[[], Awaitable[int]], *, rounds: int = 3, warm_up: bool = True) -> float:
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
