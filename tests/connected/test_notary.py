"""The notary on a real nats-server: what it signs, what it refuses to, and what it knows after being killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from services.log.nats import JetStreamLog
from services.log.protocol import Entry
from services.log.streams import create_streams
from services.nats.connection import Connection
from services.notary import keys
from services.notary.checkpoint import Checkpoint, read_checkpoint
from services.notary.kept import CheckpointStream, Folder, Stream
from services.notary.notary import Notary
from services.notary.rotation import rotate
from services.notary.tree import leaf, root_of
from tests.histories import records
from tests.nats_process import NatsProcess

pytestmark = pytest.mark.connected

ROOT = Path(__file__).resolve().parents[2]


class Desk:
    """A log, a data folder, and notaries that are started and stopped on them."""

    def __init__(self, log: JetStreamLog, connection: Connection, data: Path) -> None:
        self.log = log
        self.kept = CheckpointStream(connection)
        self.data = data
        self.history = records(10_000, rollouts=5)
        self.ends: dict[str, int] = {}
        self.stored: list[tuple[str, bytes]] = []

    async def append(self, count: int) -> None:
        for _ in range(count):
            rollout, data, command_id = next(self.history)
            self.ends[rollout] = await self.log.append(
                rollout, data, expected=self.ends.get(rollout, 0), command_id=command_id
            )
            self.stored.append((rollout, data))

    def root(self, size: int) -> bytes:
        return root_of(leaf(*each) for each in self.stored[:size])

    @contextlib.asynccontextmanager
    async def notary(self) -> AsyncIterator[Notary]:
        notary = Notary(self.log, self.kept, self.data, every=0.01)
        task = asyncio.create_task(notary.run())
        try:
            yield notary
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def signed(self, size: int) -> Checkpoint:
        """The last checkpoint, once it is of this size."""
        async with asyncio.timeout(60):
            while True:
                last = await self.kept.last()
                if last is not None and (found := read_checkpoint(last.note)[0]).size >= size:
                    return found
                await asyncio.sleep(0.01)

    async def checkpoints(self) -> list[Checkpoint]:
        return [read_checkpoint(kept.note)[0] async for kept in self.kept.all()]

    async def refusal(self, notary: Notary) -> str:
        async with asyncio.timeout(20):
            while not notary.problems():  # noqa: ASYNC110 (it changes in another task)
                await asyncio.sleep(0.01)
        return notary.problems()[0]


@pytest.fixture
async def desk(jetstream_log: JetStreamLog, nats_client: Connection, tmp_path: Path) -> Desk:
    return Desk(jetstream_log, nats_client, tmp_path / "data")


async def test_what_comes_is_signed_in_the_stream_and_in_a_file(desk: Desk) -> None:
    async with desk.notary():
        await desk.append(3)
        await desk.signed(3)
        await desk.append(4)
        checkpoint = await desk.signed(7)
        assert (checkpoint.size, checkpoint.root) == (7, desk.root(7))
    note = Folder(desk.data).latest()
    assert note is not None
    found, parts = read_checkpoint(note)
    assert found == checkpoint
    assert parts.signed_by(keys.signer(desk.data).verifier)
    assert [(c.size, c.root) for c in await desk.checkpoints()] == [
        (c.size, desk.root(c.size)) for c in await desk.checkpoints()
    ]


async def test_the_key_is_its_owners_alone_and_the_public_one_is_beside_it(desk: Desk) -> None:
    signer = keys.signer(desk.data)
    assert (desk.data / "notary.key").stat().st_mode & 0o777 == 0o600
    assert (desk.data / "notary.pub").read_text() == f"{signer.verifier}\n"


async def test_a_stop_leaves_nothing_unsigned(desk: Desk) -> None:
    notary = Notary(desk.log, desk.kept, desk.data, every=60)
    task = asyncio.create_task(notary.run())
    await desk.append(1)
    await desk.signed(1)
    await desk.append(5)
    await wait_until(lambda: notary._tree.size == 6)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (await desk.signed(6)).root == desk.root(6)


async def test_a_stop_before_the_leaves_are_on_disk_signs_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Folder.keep_leaves

    def slowly(folder: Folder, size: int, leaves: bytes) -> None:
        time.sleep(0.3)
        keep(folder, size, leaves)

    monkeypatch.setattr(Folder, "keep_leaves", slowly)
    await desk.append(5)
    async with desk.notary():
        await desk.signed(5)
    sizes = [checkpoint.size for checkpoint in await desk.checkpoints()]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == 5
    assert len(Folder(desk.data).leaves(5)) == 5 * 32


async def wait_until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 (it changes in another task)
            await asyncio.sleep(0.01)


async def test_a_restart_goes_on_from_the_kept_leaves_without_reading_the_log_again(desk: Desk) -> None:
    await desk.append(20)
    async with desk.notary():
        await desk.signed(20)
    read_from: list[int] = []

    class Watched(JetStreamLog):
        def follow(self, after: int, *, until: int | None = None) -> AsyncIterator[Sequence[Entry]]:
            read_from.append(after)
            return desk.log.follow(after, until=until)

        async def at(self, revision: int) -> Entry | None:
            return await desk.log.at(revision)

    task = asyncio.create_task(Notary(Watched(desk.log._connection), desk.kept, desk.data, every=0.01).run())
    await desk.append(2)
    assert (await desk.signed(22)).root == desk.root(22)
    task.cancel()
    assert read_from == [20]


@pytest.mark.parametrize("damage", [b"", b"\0" * 32, b"\1" * 7])
async def test_damaged_leaves_are_read_again_from_the_log(desk: Desk, damage: bytes) -> None:
    await desk.append(10)
    async with desk.notary():
        await desk.signed(10)
    leaves = desk.data / "checkpoints" / "leaves"
    kept = leaves.read_bytes()
    leaves.write_bytes(damage + kept[len(damage) :] if damage else b"")
    async with desk.notary() as notary:
        await desk.append(1)
        assert (await desk.signed(11)).root == desk.root(11)
        assert notary.problems() == ()
    assert leaves.read_bytes()[: len(kept)] == kept
    sizes = [checkpoint.size for checkpoint in await desk.checkpoints()]
    assert sizes == sorted(set(sizes))
    assert sizes[-2:] == [10, 11]


async def test_a_record_that_comes_while_the_log_is_asked_for_its_end_is_no_cut(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk.notary() as notary:
        await desk.append(1)
        await desk.signed(1)
        asked = notary._kept.log

        async def slowly() -> Stream:
            """Once: the answer is on its way while another record is read."""
            monkeypatch.undo()
            answer = await asked()
            await desk.append(1)
            while notary._tree.size < 3:  # noqa: ASYNC110 (it grows in a task of its own)
                await asyncio.sleep(0.01)
            return answer

        monkeypatch.setattr(notary._kept, "log", slowly)
        await desk.append(1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await desk.signed(3)
        assert notary.problems() == ()
        assert (await desk.signed(3)).root == desk.root(3)


async def test_two_notaries_sign_one_story(desk: Desk) -> None:
    async with desk.notary() as one, desk.notary() as two:
        for _ in range(10):
            await desk.append(5)
            await asyncio.sleep(0.01)
        await desk.signed(50)
        await asyncio.sleep(0.1)
        assert one.problems() + two.problems() == ()
    found = await desk.checkpoints()
    assert [(c.size, c.root) for c in found] == [(c.size, desk.root(c.size)) for c in found]
    assert sorted({c.size for c in found}) == [c.size for c in found]


async def remade(desk: Desk, js: JetStreamContext, stored: list[tuple[str, bytes]]) -> None:
    """The log's stream deleted and made again with these records: nothing but permissions prevents it."""
    await js.delete_stream("ROLLOUTS")
    await create_streams(js)
    for rollout, data in stored:
        await js.publish(f"rollouts.log.{rollout}", data)


SHORT = "cut off|records are lost|now it ends at"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(
    ("forged", "said"),
    [
        (lambda stored: stored[:5], SHORT),
        (lambda stored: [*stored[:5], ("x", b"{}"), *stored[6:], *stored], "rewritten"),
        (lambda stored: [stored[1], stored[0], *stored[2:]], "rewritten"),
        (lambda stored: stored[1:], "rewritten"),
    ],
)
async def test_a_log_that_was_replaced_is_not_signed(
    desk: Desk,
    nats_client: Connection,
    forged: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]],
    said: str,
    running: bool,
) -> None:
    js = nats_client.jetstream()
    await desk.append(20)
    async with contextlib.AsyncExitStack() as stack:
        notary = await stack.enter_async_context(desk.notary())
        await desk.signed(20)
        if not running:
            await stack.aclose()
        await remade(desk, js, forged(desk.stored))
        for _ in range(2):
            await js.publish("rollouts.log.more", b"{}")
        if not running:
            notary = await stack.enter_async_context(desk.notary())
        half_made = f"|{SHORT}" if running else ""  # who looks while it is made sees its first records alone
        assert re.search(said + half_made, await desk.refusal(notary))
    assert [checkpoint.size for checkpoint in await desk.checkpoints()][-1] == 20


async def test_a_restored_log_with_the_same_records_goes_on(desk: Desk, nats_client: Connection) -> None:
    await desk.append(20)
    async with desk.notary():
        await desk.signed(20)
    await remade(desk, nats_client.jetstream(), desk.stored)
    async with desk.notary() as notary:
        await nats_client.jetstream().publish("rollouts.log.more", b"{}")
        desk.stored.append(("more", b"{}"))
        assert (await desk.signed(21)).root == desk.root(21)
        assert notary.problems() == ()


async def test_the_file_knows_when_the_checkpoints_in_the_stream_are_gone_too(
    desk: Desk, nats_client: Connection
) -> None:
    js = nats_client.jetstream()
    await desk.append(20)
    async with desk.notary():
        await desk.signed(20)
    await js.delete_stream("CHECKPOINTS")
    await remade(desk, js, desk.stored[:10])
    async with desk.notary() as notary:
        assert "20 were signed" in await desk.refusal(notary)


async def test_a_checkpoint_signed_by_another_key_is_refused(desk: Desk, tmp_path: Path) -> None:
    await desk.append(3)
    async with desk.notary():
        await desk.signed(3)
    stranger = keys.signer(tmp_path / "other")
    last = await desk.kept.last()
    assert last is not None
    forged = Checkpoint(keys.signer(desk.data).name, 3, b"\0" * 32).signed([stranger])
    await desk.kept.append(forged, after=last.sequence)
    async with desk.notary() as notary:
        assert "is not signed by this notary's key" in await desk.refusal(notary)


async def test_a_rotation_beside_a_running_notary_hands_over(desk: Desk) -> None:
    old = keys.signer(desk.data)
    async with desk.notary() as notary:
        await desk.append(5)
        await desk.signed(5)
        handover = await rotate(desk.kept, desk.data)
        new = keys.signer(desk.data)
        assert handover.handover == (old.verifier, new.verifier)
        assert old != new
        await desk.append(5)
        assert (await desk.signed(10)).root == desk.root(10)
        assert notary.problems() == ()
    last = await desk.kept.last()
    assert last is not None
    _, parts = read_checkpoint(last.note)
    assert parts.signed_by(new.verifier)
    assert not parts.signed_by(old.verifier)


async def test_a_rotation_that_was_cut_off_is_finished_by_the_notary(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.append(5)
    async with desk.notary():
        await desk.signed(5)
    old = keys.signer(desk.data)

    class PowerCut(Exception):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "keep", cut)
        with pytest.raises(PowerCut):
            await rotate(desk.kept, desk.data)
    assert keys.signer(desk.data) == old
    async with desk.notary() as notary:
        await desk.append(1)
        await desk.signed(6)
        assert notary.problems() == ()
    assert keys.signer(desk.data) != old


async def test_a_killed_notary_goes_on_where_it_was(desk: Desk, nats_server: NatsProcess) -> None:
    def start() -> subprocess.Popen[bytes]:
        environ = os.environ | {"CUTOVER_NATS": nats_server.url, "CUTOVER_DATA": str(desk.data)}
        return subprocess.Popen([sys.executable, "-m", "services.cli", "run", "notary"], cwd=ROOT, env=environ)

    process = start()
    try:
        await desk.append(10)
        await desk.signed(10)
        await desk.append(30)
        process.send_signal(signal.SIGKILL)
        process.wait()
        await desk.append(10)
        process = start()
        assert (await desk.signed(50)).root == desk.root(50)
    finally:
        process.kill()
        process.wait()
    found = await desk.checkpoints()
    assert [(c.size, c.root) for c in found] == [(c.size, desk.root(c.size)) for c in found]
