"""A projector frozen across a cutover and a rollback, and then let go: no reader ever sees the group on again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from projections.flags import FlagSnapshot, decode
from services.database import connect
from services.flags.bucket import FlagBucket, FlagReader
from services.flags.marks import Mark
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.projector.projector import Projector
from services.views.views import Views
from tests.connected.test_projector import Appender, now, running, until, written
from tests.histories import History
from tests.nats_process import NatsProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults]


class Reader:
    """Every value of the bucket as a watch delivers it, and a FlagReader beside it."""

    def __init__(self, connection: Connection) -> None:
        self.seen: list[tuple[int, str]] = []
        self.flags = FlagReader(connection, None, now)

    @asynccontextmanager
    async def watching(self, connection: Connection) -> AsyncIterator[Reader]:
        store = await connection.jetstream().key_value("flags")
        watcher = await store.watch("vaos")

        async def collect() -> None:
            async for entry in watcher:
                if entry is not None:
                    snapshot = decode(entry.value)
                    self.seen.append((snapshot.revision, snapshot.exposure.to))

        collecting = asyncio.create_task(collect())
        await self.flags.start()
        yield self
        await self.flags.stop()
        await watcher.stop()  # type: ignore[no-untyped-call]
        await collecting

    def exposure(self) -> str:
        snapshot = self.flags.snapshot("vaos")
        return snapshot.exposure.to if snapshot else ""

    def never_on_again_after(self, rollback: int) -> bool:
        at = next(n for n, (revision, _to) in enumerate(self.seen) if revision >= rollback)
        return all(to == "nobody" for _revision, to in self.seen[at:])


class Held(FlagBucket):
    """A bucket whose writer falls asleep before the write of a revision, until it is let go."""

    def __init__(self, connection: Connection, hold_at: int) -> None:
        super().__init__(connection.jetstream())
        self.hold_at = hold_at
        self.asleep, self.let_go, self.woken = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write(self, snapshots: Sequence[FlagSnapshot], *, repair: bool = False, mark: Mark | None = None) -> None:
        if any(snapshot.revision == self.hold_at for snapshot in snapshots):
            self.asleep.set()
            await self.let_go.wait()
            await super().write(snapshots, repair=repair, mark=mark)
            self.woken.set()
        else:
            await super().write(snapshots, repair=repair, mark=mark)


async def test_held_between_commit_and_bucket_it_cannot_undo_a_rollback(
    jetstream_log: JetStreamLog, nats_client: Connection, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'cutover.db'}"
    append, history, held = Appender(jetstream_log), History("vaos"), Held(nats_client, hold_at=4)
    frozen = Projector(jetstream_log, connect(url), held, now)
    other = Projector(jetstream_log, connect(url), FlagBucket(nats_client.jetstream()), now)
    async with Reader(nats_client).watching(nats_client) as reader, running(frozen):
        await append(history.adopted(), history.deployed(), history.testing())
        await written(held, "vaos", 3)
        await append(history.cut_over())
        await asyncio.wait_for(held.asleep.wait(), 10)
        async with running(other):
            rollback = await append(history.rolled_back())
            await until(lambda: reader.exposure() == "nobody" and reader.flags.position >= rollback)
            held.let_go.set()
            await asyncio.wait_for(held.woken.wait(), 10)
            await written(held, "vaos", await append(history.noted("after all")))
            await until(lambda: reader.seen[-1][0] > rollback)
        assert reader.never_on_again_after(rollback)
        assert reader.exposure() == "nobody"


@contextmanager
def frozen_process(server: NatsProcess, database: str, revision: int) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "tests.faults.projector_process", server.url, database, str(revision)]
    process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


async def test_a_frozen_process_let_go_cannot_undo_a_rollback(
    jetstream_log: JetStreamLog, nats_client: Connection, nats_server: NatsProcess, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'cutover.db'}"
    append, history, bucket = Appender(jetstream_log), History("vaos"), FlagBucket(nats_client.jetstream())
    views = Views(connect(url))
    await append(history.adopted(), history.deployed(), history.testing())
    async with Reader(nats_client).watching(nats_client) as reader:
        with frozen_process(nats_server, url, revision=4) as process:
            await written(bucket, "vaos", 3)
            await append(history.cut_over())
            await until(lambda: is_stopped(process))
            assert views.position() == 4  # committed, and not published
            async with running(Projector(jetstream_log, connect(url), bucket, now)):
                rollback = await append(history.rolled_back())
                await until(lambda: reader.exposure() == "nobody" and reader.flags.position >= rollback)
            os.kill(process.pid, signal.SIGCONT)
            await written(bucket, "vaos", await append(history.noted("written by the one that was frozen")))
            await until(lambda: reader.seen[-1][0] > rollback)
        assert reader.never_on_again_after(rollback)
        assert reader.exposure() == "nobody"
