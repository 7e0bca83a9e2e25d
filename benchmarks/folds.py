"""Reading the whole log and folding it: in memory, from the stream, and into SQLite.

One rule: the records are those that the decisions before have written, nothing made up for the purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nats.aio.client import Client

from benchmarks.measure import Row, bulk
from events.codec import decode
from projections import flags
from projections.chain import check_chain
from projections.flags import FlagSnapshot
from projections.known import Known, take
from services.database import connect
from services.engine.hot import Hot
from services.flags.bucket import FlagBucket
from services.log.nats import JetStreamLog
from services.log.protocol import Entry
from services.projector.rebuild import rebuild


async def everything(log: JetStreamLog) -> list[Entry]:
    """The log, from its first record to its last."""
    return [entry async for batch in log.follow(0, until=await log.head()) for entry in batch]


async def measure(log: JetStreamLog, client: Client, folder: Path) -> list[Row]:
    """Records a second."""
    entries = await everything(log)

    async def states() -> int:
        return fold_states(entries)

    async def trails() -> int:
        return fold_all(entries)

    async def follow() -> int:
        return len(await everything(log))

    async def follow_and_fold() -> int:
        return fold_states(await everything(log))

    numbers = iter(range(100))

    async def into_sqlite() -> int:
        engine = connect(f"sqlite:///{folder / f'rebuilt-{next(numbers)}.db'}")
        done = await rebuild(log, engine, FlagBucket(client.jetstream()))
        engine.dispose()
        return done.revision

    raw = "nats-py ordered consumer with a callback"
    other = "eventsourcing decode + fold"
    return [
        Row("folds: decode, chain, state, flags", await bulk(states), against=other, aim=">= 80,000 /s"),
        Row("folds: decode, chain, flags, trail, list, KPIs", await bulk(trails), against=other),
        Row("follow the log", await bulk(follow), against=raw),
        Row("follow the log and fold state and flags", await bulk(follow_and_fold), against=raw),
        Row("rebuild into SQLite and the bucket", await bulk(into_sqlite, warm_up=False), aim=">= 20,000 /s"),
    ]


def fold_states(entries: Sequence[Entry]) -> int:
    """What the engine knows of every rollout, and who has its toggles on."""
    hot: dict[str, Hot] = {}
    snapshots: dict[str, FlagSnapshot] = {}
    for entry in entries:
        record = decode(entry.data)
        state = hot.get(entry.rollout) or hot.setdefault(entry.rollout, Hot(entry.rollout))
        check_chain(state.hash, state.ordinal, record, entry.rollout)
        state.add(record, entry.revision, entry.data)
        snapshots[entry.rollout] = flags.fold(snapshots.get(entry.rollout), record, entry.revision)
    return len(entries)


def fold_all(entries: Sequence[Entry]) -> int:
    """What the projector knows before it writes rows."""
    known: dict[str, Known] = {}
    for entry in entries:
        known[entry.rollout] = take(known.get(entry.rollout), entry.rollout, entry.revision, entry.data).known
    return len(entries)
