"""A rebuild gives the same bytes, while readers are served and the projector goes on.

CUTOVER_LONG=1 (make test-long) runs it on 100,000 records.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from services.database import connect
from services.flags.bucket import FlagBucket
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.projector.projector import Projector
from services.projector.rebuild import rebuild
from services.projector.tables import begin_generation, dump, generation
from services.views.views import Views
from tests.connected.test_projector import Appender, now, running
from tests.histories import History, Stored, records

pytestmark = pytest.mark.connected


@pytest.fixture
def engine(database: Engine) -> Engine:
    return database


async def fill(log: JetStreamLog, stored: list[Stored]) -> int:
    """Append all, the rollouts side by side."""
    append = Appender(log)
    of: dict[str, list[Stored]] = {}
    for each in stored:
        of.setdefault(each.rollout, []).append(each)

    async def one(rollout: list[Stored]) -> None:
        await append(*rollout)

    await asyncio.gather(*(one(rollout) for rollout in of.values()))
    return await log.head()


async def values(bucket: FlagBucket) -> dict[str, bytes]:
    return {rollout: held.data for rollout, held in (await bucket.all()).items()}


@pytest.mark.parametrize(
    ("count", "rollouts"),
    [
        (2_000, 20),
        pytest.param(
            100_000,
            200,
            marks=[
                pytest.mark.long,
                pytest.mark.timeout(900),
                pytest.mark.skipif(not os.environ.get("CUTOVER_LONG"), reason="CUTOVER_LONG=1 runs the long version"),
            ],
        ),
    ],
)
async def test_a_rebuild_gives_the_same_bytes_while_readers_are_served(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine, count: int, rollouts: int
) -> None:
    bucket, views, progress = FlagBucket(nats_client.jetstream()), Views(engine), list[tuple[int, int]]()
    revision = await fill(jetstream_log, list(records(count, rollouts)))
    async with running(Projector(jetstream_log, engine, bucket, now, on_commit=views.notify)) as projector:
        assert await views.wait_for(revision, 600)
        await projector.refresh()
        before, flags, read = await asyncio.to_thread(dump, engine), await values(bucket), 0

        async def serve() -> None:
            nonlocal read
            while True:
                rows = await asyncio.to_thread(views.rollouts)
                page, _cursor = await asyncio.to_thread(views.audit, "rollout-1", limit=50, newest_first=True)
                assert len(rows) == rollouts
                assert len(page) == 50
                read += 1

        readers = asyncio.create_task(serve())
        done = await rebuild(jetstream_log, engine, bucket, lambda at, of: progress.append((at, of)))
        readers.cancel()
        await asyncio.gather(readers, return_exceptions=True)
        assert not readers.done() or readers.cancelled(), readers.exception()
        assert read > 0
        assert (done.generation, done.revision, done.repaired, done.removed) == (2, count, 0, ())
        assert progress[-1] == (count, count)
        assert await asyncio.to_thread(dump, engine) == before
        assert await values(bucket) == flags
        assert not projector.problems()


async def test_the_projector_goes_on_in_the_new_generation(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine, tmp_path: Path
) -> None:
    views, append = Views(engine), Appender(jetstream_log)
    stored = list(records(600, 10))
    await append(*stored[:300])
    async with running(Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now)) as projector:
        appending = asyncio.create_task(append(*stored[300:]))
        await rebuild(jetstream_log, engine, FlagBucket(nats_client.jetstream()))
        assert await views.wait_for(await appending, 20)
        assert not projector.problems()
    whole = connect(f"sqlite:///{tmp_path / 'whole.db'}")
    await rebuild(jetstream_log, whole, FlagBucket(nats_client.jetstream()))
    assert dump(engine) == dump(whole)
    whole.dispose()


async def test_the_leftovers_of_a_rebuild_that_was_cut_off_are_dropped(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    Views(engine)
    await Appender(jetstream_log)(*records(30, 2))
    left = begin_generation(engine)
    done = await rebuild(jetstream_log, engine, FlagBucket(nats_client.jetstream()))
    names = inspect(engine).get_table_names()
    assert done.generation == left.generation  # its number is free again
    assert {name for name in names if "_g" in name and not name.startswith("terms_of_")} == {
        table.name for table in generation(done.generation).metadata.sorted_tables
    }
    assert all(f"_g{done.generation}" in name for name in names if name.startswith("terms_of_"))


async def test_a_rebuild_repairs_the_bucket_where_it_differs(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    bucket = FlagBucket(nats_client.jetstream())
    await Appender(jetstream_log)(*records(60, 4))
    assert (await rebuild(jetstream_log, engine, bucket)).repaired == 4
    flags = await values(bucket)
    store = await nats_client.jetstream().key_value("flags")
    await store.put("rollout-1", flags["rollout-2"].replace(b"rollout-2", b"rollout-1"))
    await store.delete("rollout-3")
    await store.put("stranger", flags["rollout-2"])
    before = dump(engine)
    done = await rebuild(jetstream_log, engine, bucket)
    assert (done.repaired, done.removed) == (2, ("stranger",))
    assert await values(bucket) == flags
    assert dump(engine) == before


async def test_a_stopped_rollouts_value_is_left_as_it_is(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    bucket, append, history = FlagBucket(nats_client.jetstream()), Appender(jetstream_log), History("vaos")
    await append(history.adopted(), history.cut_over())
    await append(Stored("vaos", b'{"v":2,"from":"the future"}', "later"))
    await rebuild(jetstream_log, engine, bucket)
    assert await values(bucket) == {}  # what the unread record has done to the group is not known
    store = await nats_client.jetstream().key_value("flags")
    await store.put("vaos", b"written by the program of the future")
    done = await rebuild(jetstream_log, engine, bucket)
    assert (done.repaired, done.removed, list(done.stopped)) == (0, (), ["vaos"])
    assert await values(bucket) == {"vaos": b"written by the program of the future"}
