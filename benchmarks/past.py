"""`make bench-past`: what a question about the past costs, of rollouts of 10,000 records.

One rule: the tables are made by the real fold, and random instants of the rollout's whole life are asked about, as the
API asks. Milliseconds by the clock, and of this process's own CPU, which a busy machine changes less.
`--save` keeps the table in docs/reference/benchmarks-past.md.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Engine

from benchmarks.page import made_by, tell
from events.codec import decode
from services.database import connect
from services.log.protocol import Entry
from services.people.vault import Vault
from services.projector.folding import Folding, machine
from services.projector.rebuild import BATCH
from services.projector.tables import generation, prepare
from services.views.explaining import Question
from services.views.views import Views
from tests.histories import History, Stored, life

RECORDS = 10_000
QUESTIONS = 300
AIM = 50.0  # ms
PAGE = "benchmarks-past.md"


class Timed(NamedTuple):
    """One kind of question: milliseconds, sorted, by the clock and of CPU."""

    name: str
    wall: list[float]
    cpu: list[float]

    def line(self) -> str:
        found = [place(times, part) for times in (self.wall, self.cpu) for part in (0.5, 0.99)]
        return f"| {self.name} | {' | '.join(f'{each:.1f}' for each in found)} |"


def place(times: list[float], part: float) -> float:
    """The time that this part of them does not exceed."""
    return times[min(len(times) - 1, int(len(times) * part))]


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        tell(page(measure(connect(f"sqlite:///{folder}/cutover.db"))), PAGE)


def measure(engine: Engine) -> list[Timed]:
    """Two rollouts: one that never rests, and one that was released to everyone and only measured from then on."""
    entries = [Entry(n, one.rollout, one.data) for n, one in enumerate([*restless(), *quiet()], 1)]
    fill(engine, entries)
    views, vault, rng = Views(engine), Vault(engine, bytes(32)), random.Random(1)
    rows = []
    for rollout in ("restless", "quiet"):
        times = [decode(entry.data).when for entry in entries if entry.rollout == rollout]
        instants = [times[0] + rng.random() * (times[-1] - times[0]) for _ in range(QUESTIONS)]
        toggle = f"{rollout}_toggle_1"

        def explain(at: datetime, toggle: str = toggle) -> object:
            return views.explain(Question(toggle, "user-3141", at), vault)

        def as_of(at: datetime, rollout: str = rollout) -> object:
            return views.past(rollout, at)

        rows.append(asked(f"as of, a {rollout} rollout", as_of, instants))
        rows.append(asked(f"explain, a {rollout} rollout", explain, instants))
    return rows


def restless() -> Iterator[Stored]:
    """Round after round of testing, cutover and rollback."""
    return islice(life("restless", random.Random(1)), RECORDS)


def quiet() -> Iterator[Stored]:
    """Switched on for everyone at once, then one verdict after the other."""
    history = History("quiet")
    yield from (history.adopted(), history.deployed(), history.testing(), history.cut_over())
    for _ in range(RECORDS - 4):
        yield history.judged(3)


def fill(engine: Engine, entries: list[Entry]) -> None:
    """The tables, as a rebuild makes them."""
    position = prepare(engine)
    folding = Folding(generation(position.generation), machine())
    for start in range(0, len(entries), BATCH):
        with engine.begin() as connection:
            changes = folding.take(connection, position, entries[start : start + BATCH])
            folding.write(connection, changes)
        position = changes.after()


def asked(name: str, question: Callable[[datetime], object], instants: list[datetime]) -> Timed:
    """Each instant once, after a warm-up."""
    question(instants[0])
    wall, cpu = [], []
    for at in instants:
        began, spent = time.perf_counter(), time.process_time()
        question(at)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - spent) * 1000)
    return Timed(name, sorted(wall), sorted(cpu))


def page(rows: list[Timed]) -> str:
    """The table in Markdown, and where it was measured."""
    return "\n".join(
        (
            "# The past, measured",
            "",
            f"{made_by('make bench-past', also=(f'SQLite {sqlite3.sqlite_version}',))}, at a load of "
            f"{os.getloadavg()[0]:.1f}.",
            f"{QUESTIONS} random instants of a rollout of {RECORDS:,} records each. Milliseconds.",
            "",
            "| question | p50 | p99 | CPU p50 | CPU p99 |",
            "|---|--:|--:|--:|--:|",
            *(row.line() for row in rows),
            "",
            f"Aim: as of < {AIM:g} ms. A busy machine makes the clock's times longer than the CPU's: take those.",
            "",
        )
    )


if __name__ == "__main__":
    main()
