"""The projector on a real log and bucket: what is appended is read, and a restart goes on where it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from events import codec
from events.facts import Attempt
from projections.flags import FlagSnapshot, decode
from services.database import connect
from services.flags.bucket import FlagBucket
from services.flags.marks import Mark
from services.log.memory import MemoryLog
from services.log.nats import JetStreamLog
from services.log.protocol import Entry, Log
from services.log.streams import create_streams
from services.nats.connection import Connection
from services.projector.projector import Projector
from services.projector.tables import dump
from services.views.views import Views
from tests.histories import MANAGER, START, History, Stored, records

pytestmark = pytest.mark.connected


@pytest.fixture
def engine(database: Engine) -> Engine:
    return database


def now() -> datetime:
    return START


class Appender:
    """Appends stored records of histories, keeping each rollout's last revision."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last: dict[str, int] = {}

    async def __call__(self, *stored: Stored) -> int:
        for rollout, data, command_id in stored:
            expected = self._last.get(rollout, 0)
            self._last[rollout] = await self._log.append(rollout, data, expected=expected, command_id=command_id)
        return self._last[stored[-1].rollout]


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[Projector]:
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 (bounded, and of another thread's doing)
            await asyncio.sleep(0.01)


async def written(bucket: FlagBucket, rollout: str, revision: int) -> FlagSnapshot:
    """The bucket's value once it is of this revision or a later one."""
    async with asyncio.timeout(10):
        while True:
            held = await bucket.get(rollout)
            if held.data and decode(held.data).revision >= revision:
                return decode(held.data)
            await asyncio.sleep(0.01)


async def test_a_record_is_in_the_tables_and_in_the_bucket(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    views, bucket = Views(engine), FlagBucket(nats_client.jetstream())
    append, history = Appender(jetstream_log), History("vaos")
    projector = Projector(jetstream_log, engine, bucket, now, on_commit=views.notify)
    async with running(projector):
        await append(history.adopted(), history.deployed(), history.testing())
        revision = await append(history.cut_over())
        assert await views.wait_for(revision, 10)
        (row,) = views.rollouts()
        assert (row.id, row.phase, row.exposure, row.revision) == ("vaos", "cutover", "everyone", 4)
        assert views.state("vaos").phase == "cutover"
        await written(bucket, "vaos", revision)
        assert not projector.problems()


async def test_a_record_that_no_table_could_keep_stops_nothing(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, views, history, other = Appender(jetstream_log), Views(engine), History("vaos"), History("other")
    await append(history.adopted(), history.deployed("v\0x"), history.noted("nobody can say \0 twice"))
    attempt = Attempt(codec.VERSION, "vaos", START, MANAGER, "halt", "c-1", ("no \0",), reason="because \0")
    await jetstream_log.note_attempt("vaos", codec.encode(attempt))
    revision = await append(history.testing(), history.cut_over(), other.adopted())
    projector = Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now, on_commit=views.notify)
    async with running(projector):
        assert await views.wait_for(revision, 10)
        assert {row.id: row.phase for row in views.rollouts()} == {"vaos": "cutover", "other": "planned"}
        assert any("nobody can say \ufffd twice" in line.says for line in views.audit("vaos")[0])
        await until(lambda: bool(views.audit(outcome="refused")[0]))
        (line,) = views.audit(outcome="refused")[0]
        assert (line.says, line.reason) == ("halt was refused: no \ufffd", "because \ufffd")
        assert (projector.problems(), views.stopped()) == ((), {})


async def test_a_restart_goes_on_where_the_tables_stand(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine, tmp_path: Path
) -> None:
    append, views = Appender(jetstream_log), Views(engine)
    history = list(records(300, 7))
    for part in (history[:100], history[100:101], history[101:]):
        revision = await append(*part)
        projector = Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now, on_commit=views.notify)
        async with running(projector):
            assert await views.wait_for(revision, 10)
            assert not projector.problems()
    whole = connect(f"sqlite:///{tmp_path / 'whole.db'}")
    at_once = Views(whole)
    other = Projector(jetstream_log, whole, FlagBucket(nats_client.jetstream()), now, on_commit=at_once.notify)
    async with running(other):
        assert await at_once.wait_for(300, 10)
    assert dump(engine) == dump(whole)


async def test_two_projectors_on_the_same_tables_take_each_batch_once(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, views = Appender(jetstream_log), Views(engine)
    buckets = [FlagBucket(nats_client.jetstream()) for _ in range(2)]
    one, two = (Projector(jetstream_log, engine, bucket, now) for bucket in buckets)
    async with running(one), running(two):
        revision = 0
        for stored in records(200, 5):
            revision = await append(stored)
        assert await views.wait_for(revision, 20)
        lines, more = views.audit(limit=10_000)
        assert more is None
        assert sorted({line.revision for line in lines}) == list(range(1, 201))
        assert not views.stopped()


async def test_a_broken_chain_stops_its_rollout_and_no_other(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, views = Appender(jetstream_log), Views(engine)
    good, bad = History("good"), History("bad")
    await append(bad.adopted(), bad.deployed(), bad.testing(), bad.cut_over())
    bad.previous = codec.digest(b"something else")
    await append(bad.rolled_back())
    await append(Stored("odd", b'{"v":1,"facts":[{"fact":"never_heard_of"}]}', "odd-1"))
    revision = await append(good.adopted(), good.deployed())
    projector = Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now, on_commit=views.notify)
    async with running(projector):
        assert await views.wait_for(revision, 10)
        assert {row.id: row.phase for row in views.rollouts()} == {"bad": "cutover", "good": "code_deploy"}
        assert sorted(views.stopped()) == ["bad", "odd"]
        assert "record 5 of 'bad' names" in views.stopped()["bad"]
        assert not projector.problems(), "the others go on, and the service is ready"


async def test_a_log_shorter_than_the_tables_or_another_one_is_refused(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, views, bucket = Appender(jetstream_log), Views(engine), FlagBucket(nats_client.jetstream())
    revision = await append(*records(20, 2))
    async with running(Projector(jetstream_log, engine, bucket, now, on_commit=views.notify)):
        assert await views.wait_for(revision, 10)
    shorter, other = MemoryLog(), MemoryLog()
    await Appender(shorter)(*list(records(20, 2))[:10])
    await Appender(other)(*records(25, 2, seed=2))
    for log, words in ((shorter, "the log ends at 10"), (other, "revision 20 of the log has the hash")):
        projector = Projector(log, engine, bucket, now)
        async with running(projector):
            await until(lambda projector=projector: bool(projector.problems()))  # type: ignore[misc]
            assert words in projector.problems()[0]
    assert views.position() == 20


async def test_a_log_exchanged_while_running_is_noticed(nats_client: Connection, engine: Engine) -> None:
    await create_streams(nats_client.jetstream())
    log, views, bucket = MemoryLog(), Views(engine), FlagBucket(nats_client.jetstream())
    revision = await Appender(log)(*records(20, 2))
    projector = Projector(log, engine, bucket, now, on_commit=views.notify, check_every=0.05)
    async with running(projector):
        assert await views.wait_for(revision, 10)
        other = list(records(20, 2, seed=2))[-1]
        log._entries[-1] = Entry(revision, other.rollout, other.data)
        await until(lambda: bool(projector.problems()))
        assert "revision 20 of the log has the hash" in projector.problems()[0]


async def test_a_value_lost_from_the_bucket_is_written_again(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    history, bucket = History("vaos"), FlagBucket(nats_client.jetstream())
    revision = await Appender(jetstream_log)(history.adopted(), history.cut_over())
    async with running(Projector(jetstream_log, engine, bucket, now, check_every=0.05)):
        await written(bucket, "vaos", revision)
        store = await nats_client.jetstream().key_value("flags")
        await store.delete("vaos")
        assert (await written(bucket, "vaos", revision)).exposure.to == "everyone"


async def test_while_it_catches_up_only_the_latest_snapshots_are_published(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    history = History("vaos")
    append = Appender(jetstream_log)
    await append(history.adopted(), history.deployed(), history.testing(), history.cut_over(), history.rolled_back())
    seen: list[int] = []

    class Watching(FlagBucket):
        async def write(
            self, snapshots: Sequence[FlagSnapshot], *, repair: bool = False, mark: Mark | None = None
        ) -> None:
            seen.extend(snapshot.revision for snapshot in snapshots)
            await super().write(snapshots, repair=repair, mark=mark)

    bucket = Watching(nats_client.jetstream())
    async with running(Projector(jetstream_log, engine, bucket, now)):
        await written(bucket, "vaos", 5)
    assert set(seen) == {5}


async def test_testers_hmacs_are_filled_in_for_readers_and_stay_out_of_the_tables(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, history, views = Appender(jetstream_log), History("vaos"), Views(engine)
    bucket = FlagBucket(nats_client.jetstream())
    await append(history.adopted(), history.deployed(), history.testing())
    opens = history.when + timedelta(hours=1)
    revision = await append(history.scheduled("s1", "t-1", opens, opens + timedelta(hours=1)))
    known = {"t-1": "a" * 64}
    projector = Projector(jetstream_log, engine, bucket, now, lambda asked: {t: known[t] for t in asked if t in known})
    async with running(projector):
        await written(bucket, "vaos", revision)
        assert decode((await bucket.get("vaos")).data).testers == {"t-1": "a" * 64}
        assert "a" * 64 not in str(dump(engine))
        known.clear()  # the tester is erased from the vault
        assert await projector.refresh() == 1
        assert decode((await bucket.get("vaos")).data).testers == {}
        assert views.snapshot("vaos").testers == {}


async def test_refused_attempts_stand_in_the_trail(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, history, views = Appender(jetstream_log), History("vaos"), Views(engine)
    await append(history.adopted(), history.deployed())
    refused = Attempt(1, "vaos", history.when, MANAGER, "cut_over", "c-9", ("nobody has decided go",))
    await jetstream_log.note_attempt("vaos", codec.encode(refused))
    await append(history.testing())
    async with running(Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now)):
        await until(lambda: bool(views.audit(fact="refused")[0]))
        facts = [line.fact for line in views.audit("vaos")[0]]
    assert facts.index("refused") == facts.index("watch_started") + 1
    (line,) = views.audit(outcome="refused")[0]
    assert line.says == "cut_over was refused: nobody has decided go"


async def test_the_trail_is_paged_without_a_line_lost_or_doubled_while_the_log_grows(
    jetstream_log: JetStreamLog, nats_client: Connection, engine: Engine
) -> None:
    append, views, rng = Appender(jetstream_log), Views(engine), random.Random(4)
    history = list(records(120, 3))
    async with running(
        Projector(jetstream_log, engine, FlagBucket(nats_client.jetstream()), now, on_commit=views.notify)
    ):
        assert await views.wait_for(await append(*history[:60]), 10)
        seen, cursor = views.audit(limit=7)
        for part in history[60:90], history[90:]:
            assert await views.wait_for(await append(*part), 10)
            page, cursor = views.audit(after=cursor, limit=rng.randrange(1, 20))
            seen += page
        while cursor:
            page, cursor = views.audit(after=cursor, limit=rng.randrange(1, 20))
            seen += page
        pages = [(line.revision, line.n) for line in seen]
        assert pages == [(line.revision, line.n) for line in views.audit(limit=10_000)[0]]
        backwards = [(line.revision, line.n) for line in views.audit(limit=10_000, newest_first=True)[0]]
        assert backwards == pages[::-1]
