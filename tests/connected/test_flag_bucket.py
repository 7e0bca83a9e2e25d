"""The flag bucket on a real server: values only go up, and readers see them, over restarts of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from events.facts import EVERYONE, NOBODY, TESTERS
from projections.flags import FlagSnapshot, Window, decode, encode, evaluate
from services.flags.bucket import FlagBucket, FlagReader
from services.flags.marks import MARK, Mark
from services.log.streams import create_streams
from services.nats.connection import Connection
from tests.histories import START
from tests.nats_process import NatsProcess

pytestmark = pytest.mark.connected

ON = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), EVERYONE)
OFF = replace(ON, revision=11, phase="rolled_back", exposure=NOBODY)
DEEP = b"[" * 100_000 + b"]" * 100_000 + b"}"


def mark(revision: int) -> Mark:
    return Mark(revision, START, "")


@pytest.fixture
async def bucket(nats_client: Connection) -> FlagBucket:
    await create_streams(nats_client.jetstream())
    return FlagBucket(nats_client.jetstream())


class Clock:
    """A wall clock and a monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.monotonic = 0.0


@asynccontextmanager
async def reading(connection: Connection, folder: Path | None, clock: Clock | None = None) -> AsyncIterator[FlagReader]:
    clock = clock or Clock()
    reader = FlagReader(connection, folder, lambda: clock.wall, lambda: clock.monotonic)
    await reader.start(limit=0.5)
    try:
        yield reader
    finally:
        await reader.stop()


async def until(true: Callable[[], object], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 (bounded)
            await asyncio.sleep(0.01)


async def test_an_older_snapshot_never_replaces_a_newer_one(bucket: FlagBucket, nats_client: Connection) -> None:
    late = FlagBucket(nats_client.jetstream())
    await late.write([replace(ON, revision=9)])
    await bucket.write([ON])
    await bucket.write([OFF])
    await late.write([ON])  # it last saw revision 9 there
    assert decode((await bucket.get("vaos")).data) == OFF
    await FlagBucket(nats_client.jetstream()).write([ON], repair=True)
    assert decode((await bucket.get("vaos")).data) == OFF


async def test_many_writers_racing_leave_the_newest(bucket: FlagBucket, nats_client: Connection) -> None:
    writers = [FlagBucket(nats_client.jetstream()) for _ in range(8)]
    for first in range(1, 80, 8):
        await asyncio.gather(*(w.write([replace(ON, revision=first + n)]) for n, w in enumerate(writers)))
        assert decode((await bucket.get("vaos")).data).revision == first + 7


async def test_a_deleted_or_damaged_value_is_written_again(bucket: FlagBucket, nats_client: Connection) -> None:
    await bucket.write([ON])
    store = await nats_client.jetstream().key_value("flags")
    await store.delete("vaos")
    assert await bucket.repair([ON], 10) == 1
    assert (await bucket.get("vaos")).data == encode(ON)
    await store.put("vaos", b"damaged")
    assert await bucket.repair([ON], 10) == 1
    assert await bucket.repair([ON], 10) == 0


async def test_all_values_are_found_and_no_others(bucket: FlagBucket, nats_client: Connection) -> None:
    assert await bucket.all() == {}
    snapshots = [replace(ON, rollout=f"vaos-{n}") for n in range(500)]
    await bucket.write(snapshots, mark=mark(10))
    await bucket.mark(mark(10))
    await bucket.remove("vaos-7", (await bucket.all())["vaos-7"])
    expected = {each.rollout: encode(each) for each in snapshots if each.rollout != "vaos-7"}
    for found in await asyncio.gather(*(bucket.all() for _ in range(20))):
        assert {name: held.data for name, held in found.items()} == expected


async def test_a_reader_without_any_state_is_cold(bucket: FlagBucket, nats_client: Connection) -> None:
    async with reading(nats_client, None) as reader:
        assert reader.cold
        assert reader.snapshot("vaos") is None
        assert "no flags are known" in reader.problems()[0]


async def test_a_reader_follows_the_bucket(bucket: FlagBucket, nats_client: Connection) -> None:
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        assert (reader.cold, reader.position, reader.stale_since) == (False, 10, None)
        assert reader.snapshot("vaos") == reader.toggle("a") == ON
        await bucket.write([OFF])
        await bucket.mark(mark(11))
        assert await reader.wait_for(11, 5)
        assert reader.all() == {"vaos": OFF}
        assert not await reader.wait_for(12, 0.05)


async def test_a_cancelled_rollout_does_not_answer_and_its_keys_are_free(
    bucket: FlagBucket, nats_client: Connection
) -> None:
    other = replace(ON, rollout="other", revision=12)
    await bucket.write([replace(ON, revision=11, phase="cancelled", toggles=(), exposure=NOBODY), other])
    await bucket.mark(mark(12))
    async with reading(nats_client, None) as reader:
        assert reader.snapshot("vaos") is None
        assert reader.toggle("a") == other
        assert list(reader.all()) == ["other"]


@pytest.mark.parametrize(
    "damaged",
    [
        b"{",
        b'{"v": 1, "x": ' + DEEP,
        encode(OFF).replace(b"vaos", b"va\xffos"),
        encode(OFF).replace(b'"v":2', b'"v":3'),  # of a version to come
    ],
)
async def test_a_value_that_cannot_be_read_leaves_the_last_one_and_is_written_over(
    bucket: FlagBucket, nats_client: Connection, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        await nats_client.jetstream().publish("$KV.flags.vaos", damaged)
        await until(lambda: "value of vaos cannot be read, the last one stays" in caplog.text)
        assert reader.snapshot("vaos") == ON
        await FlagBucket(nats_client.jetstream()).write([OFF])
        await bucket.mark(mark(11))
        await until(lambda: reader.snapshot("vaos") == OFF)


async def test_silence_of_the_projector_makes_the_flags_stale(bucket: FlagBucket, nats_client: Connection) -> None:
    clock = Clock()
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None, clock) as reader:
        clock.monotonic, clock.wall = 4.9, START + timedelta(seconds=4.9)
        assert reader.stale_since is None
        clock.monotonic = 5.1
        assert reader.stale_since == START
        assert reader.snapshot("vaos") == ON
        assert "stale since" in reader.problems()[0]
        await bucket.mark(Mark(10, START, "again"))
        await until(lambda: reader.stale_since is None)


async def test_a_mark_from_a_projector_left_behind_is_no_sign_of_life(
    bucket: FlagBucket, nats_client: Connection
) -> None:
    clock = Clock()
    await bucket.mark(mark(10))
    async with reading(nats_client, None, clock) as reader:
        clock.monotonic = 6.0
        assert not await bucket.mark(mark(9))
        store = await nats_client.jetstream().key_value("flags")
        await store.put(MARK, b'{"revision":9,"when":"2022-07-29T12:00:00Z","hash":""}')
        await bucket.write([ON])
        await until(lambda: reader.snapshot("vaos"))
        assert reader.stale_since is not None
        assert reader.position == 10


async def test_what_is_answered_without_a_mark_has_its_own_revision_and_changes_no_earlier_one(
    bucket: FlagBucket, nats_client: Connection, tmp_path: Path
) -> None:
    """A projector that is killed between a value and its mark: the value is answered, after two seconds."""
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, tmp_path) as reader:
        await bucket.write([replace(OFF, revision=13)])
        assert not await reader.wait_for(11, 0.2)
        assert await reader.wait_for(13, 10)
        assert (reader.state.revision, reader.snapshot("vaos")) == (13, replace(OFF, revision=13))
        before = reader.past(10)
        assert before is not None
        assert before.snapshots == {"vaos": ON}
    async with reading(nats_client, tmp_path) as reader:
        assert (reader.state.revision, reader.position) == (13, 13)
        await bucket.mark(mark(12))  # of a projector that comes after it
        await bucket.mark(mark(14))
        assert await reader.wait_for(14, 5)


async def test_a_snapshot_that_carries_the_mark_is_answered_before_the_mark_comes(
    bucket: FlagBucket, nats_client: Connection
) -> None:
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        await bucket.write([OFF], mark=mark(12))  # 12 changed nothing
        assert await reader.wait_for(12, 10)
        assert reader.all() == {"vaos": OFF}


async def test_several_snapshots_are_answered_together_by_the_mark_that_the_last_one_carries(
    bucket: FlagBucket, nats_client: Connection
) -> None:
    first = [replace(ON, rollout=f"vaos-{n}", toggles=(f"{n}",)) for n in range(20)]
    second = [replace(OFF, rollout=f"vaos-{n}", toggles=(f"{n}",), revision=11 + n) for n in range(20)]
    await bucket.write(first, mark=mark(10))
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        seen: list[dict[str, FlagSnapshot]] = []
        reader.listen(lambda: seen.append(dict(reader.all())))
        await bucket.write(second, mark=mark(30))
        assert await reader.wait_for(30, 10)
        assert seen == [{snapshot.rollout: snapshot for snapshot in second}]


async def test_a_carried_mark_is_no_sign_of_life_and_warms_nobody(bucket: FlagBucket, nats_client: Connection) -> None:
    clock = Clock()
    await bucket.write([ON], mark=mark(10))
    async with reading(nats_client, None, clock) as reader:
        assert reader.cold
        await bucket.mark(mark(10))
        await until(lambda: not reader.cold)
        clock.monotonic = 6.0
        await bucket.write([OFF], mark=mark(11))
        assert await reader.wait_for(11, 10)
        assert reader.stale_since == START


async def test_who_has_been_left_behind_carries_no_mark(bucket: FlagBucket, nats_client: Connection) -> None:
    late = FlagBucket(nats_client.jetstream())
    other = replace(ON, rollout="other", revision=9)
    await late.write([replace(ON, revision=8)])
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        await late.write([replace(ON, revision=9)], mark=mark(99))  # a later one is there: it is not written
        await late.write([other], mark=mark(9))
        await bucket.write([OFF], mark=mark(11))
        await until(lambda: reader.position > 10)
        assert (reader.position, reader.all()) == (11, {"other": other, "vaos": OFF})


async def test_a_restart_of_the_server_leaves_no_blind_time(
    bucket: FlagBucket, nats_client: Connection, nats_server: NatsProcess
) -> None:
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, None) as reader:
        nats_server.restart()
        await until(lambda: nats_client.is_connected and nats_client.stats["reconnects"])
        await bucket.write([OFF])
        await bucket.mark(mark(11))
        assert await reader.wait_for(11, 3)
        assert reader.snapshot("vaos") == OFF


async def test_with_the_server_gone_a_restarted_reader_goes_on_from_disk(
    bucket: FlagBucket, nats_client: Connection, nats_server: NatsProcess, tmp_path: Path
) -> None:
    await bucket.write([ON])
    await bucket.mark(mark(10))
    async with reading(nats_client, tmp_path):
        pass
    nats_server.kill()
    await until(lambda: not nats_client.is_connected)
    async with reading(nats_client, tmp_path) as reader:
        assert (reader.cold, reader.position, reader.snapshot("vaos")) == (False, 10, ON)
        assert reader.stale_since == START
    (kept := tmp_path / "last-known-flags").write_bytes(kept.read_bytes().replace(b"everyone", b"testers "))
    async with reading(nats_client, tmp_path) as reader:
        assert reader.cold


async def test_a_clock_that_jumps_back_never_reopens_a_window(
    bucket: FlagBucket, nats_client: Connection, tmp_path: Path
) -> None:
    window = Window("s1", "t-1", START, START + timedelta(hours=1))
    snapshot = replace(ON, phase="veteran_testing", exposure=TESTERS, windows=(window,), testers={"t-1": "h"})
    await bucket.write([snapshot])
    await bucket.mark(mark(10))
    clock = Clock()

    def on(reader: FlagReader) -> bool:
        return evaluate(snapshot, "user", reader.time(), lambda _user: "h").value

    async with reading(nats_client, tmp_path, clock) as reader:
        clock.wall = START + timedelta(minutes=59)
        assert on(reader)
        clock.wall = START + timedelta(minutes=60)
        assert not on(reader)
        clock.wall = START + timedelta(minutes=30)
        assert not on(reader)
        assert "the clock has gone back" in reader.problems()[0]
    async with reading(nats_client, tmp_path, clock) as reader:
        assert not on(reader)


async def test_time_is_never_before_a_snapshot_that_is_known(bucket: FlagBucket, nats_client: Connection) -> None:
    def early() -> datetime:
        return START - timedelta(hours=1)

    await bucket.write([ON])
    await bucket.mark(mark(10))
    reader = FlagReader(nats_client, None, early)
    await reader.start()
    assert reader.time() == START
    await reader.stop()
