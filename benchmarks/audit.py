"""`make bench-audit`: what a page of the audit trail costs over a million facts, whatever is asked for.

One rule: the table is made by the real fold, of generated histories in the order of their times, and every question
is asked as the API asks it: `Views.trail`, 100 lines, in both orders, from the beginning and from places deep inside.
`--save` keeps the table in docs/reference/benchmarks-audit.md; `--facts N` makes a smaller one.
"""

from __future__ import annotations

import heapq
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from benchmarks.page import made_by, say, tell
from events import codec
from events.facts import Attempt
from services.database import connect
from services.log.protocol import Entry
from services.projector.attempts import keep_attempts
from services.projector.folding import Folding, machine
from services.projector.rebuild import BATCH
from services.projector.tables import Position, generation, live_position, prepare
from services.views.trail import Cursor, Filters
from services.views.views import Views
from tests.histories import MANAGER, START, Stored, life

FACTS = 1_000_000
ROLLOUTS = 300
ATTEMPT_EVERY = 30  # records
ROUNDS = 60
AIM = 50.0  # ms
LIBRARIES = ("sqlalchemy", "msgspec")
PAGE = "benchmarks-audit.md"


class Made(NamedTuple):
    """The table: how many facts, records and attempts it has, how long that took, and how large it is."""

    facts: int
    records: int
    attempts: int
    seconds: float
    megabytes: float
    last: datetime


class Timed(NamedTuple):
    """One question, asked often: milliseconds by the clock, and of the processor, which others cannot take away."""

    name: str
    lines: float  # found on average
    p50: float
    p99: float
    cpu: float  # p99


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    facts = int(sys.argv[sys.argv.index("--facts") + 1]) if "--facts" in sys.argv else FACTS
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        engine = connect(f"sqlite:///{folder}/cutover.db")
        say(f"folding {facts:,} facts ...")
        made = make(engine, facts)
        say(f"asking; the table took {made.seconds:.0f} s ...")
        timed = ask(Views(engine), made)
        engine.dispose()
    tell(page(made, timed), PAGE)


# -- the table


def make(engine: Engine, facts: int) -> Made:
    """Fold histories until there are so many facts."""
    position = prepare(engine)
    folding = Folding(generation(position.generation), machine())
    entries = (Entry(n, one.rollout, one.data) for n, one in enumerate(in_time(ROLLOUTS), 1))
    start, done, refused, last = time.perf_counter(), 0, 0, START
    while done < facts:
        batch = list(islice(entries, BATCH))
        with engine.begin() as connection:
            changes = folding.take(connection, position, batch)
            folding.write(connection, changes)
        position = changes.after()
        done += len(changes.audit)
        refused += refuse(engine, position, batch, refused)
        last = codec.decode(batch[-1].data).when
        with engine.connect() as connection:
            position = live_position(connection) or position
    size = Path(str(engine.url.database)).stat().st_size / 1e6
    return Made(done, position.seq, refused, time.perf_counter() - start, size, last)


def refuse(engine: Engine, position: Position, batch: Sequence[Entry], before: int) -> int:
    """Some of these records had a refused attempt before them; how many."""
    attempts = []
    for number, entry in enumerate(batch[::ATTEMPT_EVERY], before + 1):
        when = codec.decode(entry.data).when
        reasons = ("nobody has decided go for stage-1", "the full time is not over")
        one = Attempt(1, entry.rollout, when, MANAGER, "cut_over", f"refused-{number}", reasons, phase="cutover")
        attempts.append(Entry(number, entry.rollout, codec.encode(one)))
    keep_attempts(engine, position, attempts)
    return len(attempts)


def in_time(rollouts: int) -> Iterator[Stored]:
    """Lives of so many rollouts, merged as a log has them: by the time of their records."""
    rng = random.Random(1)
    lives = [timed_life(f"rollout-{number}", rng) for number in range(1, rollouts + 1)]
    for _when, stored in heapq.merge(*lives, key=lambda one: one[0]):
        yield stored


def timed_life(rollout: str, rng: random.Random) -> Iterator[tuple[bytes, Stored]]:
    """A life and the times of its records, as their bytes have them."""
    for stored in life(rollout, rng):
        yield stored.data.split(b'"when":"', 1)[1][:19], stored


# -- the questions


def questions(made: Made, rng: random.Random) -> dict[str, Callable[[], Filters]]:
    """Each usual filter; the values differ from round to round, common ones, rare ones, and some that match nothing."""
    span = (made.last - START).total_seconds()
    one = rng.choice

    def moment() -> datetime:
        return START + timedelta(seconds=rng.random() * span)

    def times() -> Filters:
        since = moment()
        return Filters(since=since, until=since + timedelta(seconds=one((60.0, 3600.0, 86_400.0, span))))

    def revisions() -> Filters:
        first = rng.randrange(1, made.records)
        return Filters(from_revision=first, to_revision=first + one((0, 10, 1000, made.records)))

    words = ("note", "stage criterion", "the", "rollback nowhere", "window session", "errors below 10", "Veteran")
    return {
        "nothing: the first page": Filters,
        "person": lambda: Filters(subject=one(("mia", "bob", "clock", "fay", "nobody"))),
        "role": lambda: Filters(role=one(("release_manager", "ci", "auditor"))),
        "title": lambda: Filters(title=one(("VAOS Product Owner", "Business Stakeholders", "No such title"))),
        "fact": lambda: Filters(fact=one(("verdict_recorded", "plan_adopted", "refused", "toggle_retired"))),
        "phase": lambda: Filters(phase=one(("cutover", "planned", "closed"))),
        "toggle": lambda: Filters(toggle=f"rollout-{rng.randrange(1, ROLLOUTS + 20)}_toggle_2"),
        "command": lambda: Filters(command=one(("note", "adopt", "cut_over", "go_live"))),
        "command id": lambda: Filters(command_id=f"rollout-{rng.randrange(1, ROLLOUTS)}-{rng.randrange(1, 5000)}"),
        "time": times,
        "revisions": revisions,
        "outcome": lambda: Filters(outcome=one(("accepted", "refused"))),
        "words": lambda: Filters(text=one(words)),
        "one rare word": lambda: Filters(text=str(rng.randrange(10**6))),
        "person and fact, which never meet": lambda: Filters(subject="mia", fact="verdict_recorded"),
        "phase, person and time": lambda: times()._replace(phase="cutover", subject="monitor"),
    }


def ask(views: Views, made: Made) -> list[Timed]:
    """Every question alone and with a rollout."""
    rng = random.Random(2)
    found = []
    for name, question in questions(made, rng).items():
        found.append(timed(name, views, made, rng, question))
        found.append(timed(f"{name}, and a rollout", views, made, rng, of_one(question, rng)))
    return found


def of_one(question: Callable[[], Filters], rng: random.Random) -> Callable[[], Filters]:
    """The same question about one rollout."""
    return lambda: question()._replace(rollout=f"rollout-{rng.randrange(1, ROLLOUTS + 1)}")


def timed(name: str, views: Views, made: Made, rng: random.Random, question: Callable[[], Filters]) -> Timed:
    """One kind of question: half of the rounds from the beginning, half from deep inside, in turns in both orders."""
    taken: list[float] = []
    worked: list[float] = []
    lines = 0
    for number in range(ROUNDS + 4):
        wanted, newest_first = question(), bool(number % 2)
        deep = Cursor(rng.randrange(made.records), 0, rng.randrange(made.attempts)) if number % 4 > 1 else None
        start, before = time.perf_counter(), time.process_time()
        found = views.trail(wanted, deep, newest_first=newest_first)
        if number >= 4:
            taken.append((time.perf_counter() - start) * 1000)
            worked.append((time.process_time() - before) * 1000)
            lines += len(found.lines)
    return Timed(name, lines / ROUNDS, statistics.median(taken), p99(taken), p99(worked))


def p99(taken: list[float]) -> float:
    """What one page in a hundred is slower than."""
    return statistics.quantiles(taken, n=100, method="inclusive")[98]


# -- the page


def page(made: Made, timed: list[Timed]) -> str:
    """The table, and under what conditions it was made."""
    rows = [f"| {t.name} | {t.lines:.0f} | {t.p50:.1f} ms | {t.p99:.1f} ms | {t.cpu:.1f} ms |" for t in timed]
    table = "\n".join(["| asked for | lines found | p50 | p99 | processor, p99 |", "|---|--:|--:|--:|--:|", *rows])
    sqlite = f"SQLite {sqlite3.sqlite_version}"
    rate = made.records / made.seconds
    worst = max(timed, key=lambda each: each.p99)
    return f"""# Benchmarks of the audit trail

{made_by("make bench-audit", *LIBRARIES, also=(sqlite,))}.
{made.facts:,} facts in {made.records:,} records of {ROLLOUTS} rollouts, and {made.attempts:,} refused attempts:
{made.megabytes:,.0f} MB, folded in {made.seconds:.0f} s ({rate:,.0f} records a second, with making the histories).
Meanwhile {os.getloadavg()[0]:.0f} programs wanted these cores; the last column is what the processor was busy with it.

{table}

- Aim: p99 below {AIM:.0f} ms. The slowest p99 is that of "{worst.name}": {worst.p99:.1f} ms by the clock.
  *Processor*: the time that it took alone, which other programs on the machine do not add to.
- A page has at most 100 lines, decoded as the API gives them, of records and refused attempts together. {ROUNDS} pages
  of each kind, in turns in both orders; half of them from the beginning, half after a cursor deep inside.
- The values asked for differ: common ones, rare ones, and some that match nothing. *Which never meet*: terms that
  hundreds of thousands of lines have each, and none has together.
"""


if __name__ == "__main__":
    main()
