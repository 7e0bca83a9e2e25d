"""Whatever projectors do beside each other, and whatever they lose or break off: a reader's revision is one state.

Projectors share tables, one of them commits at a time, and each publishes when it gets to it. A reader that is at a
revision answers by every record up to it, and by none after it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats import errors
from nats.js.api import KeyValueConfig, StreamConfig

from events.facts import EVERYONE
from projections.flags import FlagSnapshot
from services.flags import reader as reading
from services.flags.bucket import FlagBucket, FlagReader
from services.nats.connection import Connection, connect_nats
from services.projector.publisher import TROUBLES, Publisher
from services.projector.tables import Position
from tests.histories import START
from tests.nats_process import NatsProcess

pytestmark = pytest.mark.connected

WRITERS = 2
Fate = Literal["well", "lost", "unanswered"]


class Tables:
    """The log, by the rollout of each record, and how far it is committed."""

    def __init__(self, log: Sequence[str]) -> None:
        self.log = log
        self.at = 0

    def last(self, upto: int, after: int = 0) -> dict[str, int]:
        """The last revision of each rollout in (after, upto]."""
        return {self.log[revision - 1]: revision for revision in range(after + 1, upto + 1)}

    def snapshots(self, upto: int, after: int = 0) -> list[FlagSnapshot]:
        return [snapshot(rollout, revision) for rollout, revision in self.last(upto, after).items()]


def snapshot(rollout: str, revision: int) -> FlagSnapshot:
    """No two of them answer alike."""
    return FlagSnapshot(2, rollout, revision, START, "cutover", (rollout, f"{rollout}-{revision}"), EVERYONE)


class Losing(FlagBucket):
    """A bucket whose next writes go as told: well, or lost on their way, or so that their answer is."""

    fate: list[Fate]

    async def _update(self, key: str, data: bytes, last: int, headers: Mapping[str, str]) -> int:
        fate, self.fate = (*self.fate, "well")[0], self.fate[1:]
        done = await super()._update(key, data, last, headers) if fate != "lost" else 0
        if fate != "well":
            raise errors.TimeoutError
        return done


class Writer:
    """A projector, as far as the bucket sees it: what it has loaded, and what it has not published yet."""

    def __init__(self, connection: Connection, name: str, tables: Tables) -> None:
        self._tables = tables
        self._connection, self._name = connection, name
        self.killed()

    def killed(self) -> None:
        self.bucket = Losing(self._connection.jetstream(), self._name)
        self.bucket.fate = []
        self._publisher = Publisher(self.bucket, lambda _testers: {}, lambda: START)
        self._at = -1

    def goes(self, fate: list[Fate]) -> None:
        self.bucket.fate = list(fate)

    async def commits(self, records: int) -> None:
        """So many records into the tables; a projector that finds them moved loads them, and repairs the bucket."""
        if self._at != self._tables.at:
            await self.loads()
            return
        upto = min(self._at + records, len(self._tables.log))
        changed = self._tables.snapshots(upto, self._at)
        self._at = self._tables.at = upto
        self._publisher.offer(changed, position(upto))

    async def loads(self) -> None:
        self._publisher.open = False
        at = self._tables.at
        try:
            await self._publisher.repair(self._tables.snapshots(at), at)
        except TROUBLES:
            return
        self._at = at
        self._publisher.offer((), position(at))
        self._publisher.open = True

    async def publishes(self) -> None:
        if self._publisher.open:
            await self._publisher._publish()


def position(at: int) -> Position:
    return Position(1, at, "", 0, True)


class Reader:
    """A reader that is looked at whenever what it answers changes."""

    def __init__(self, connection: Connection, name: str, tables: Tables, folder: Path) -> None:
        self._tables = tables
        self._connection, self._name, self._folder = connection, name, folder
        self.wrong: list[str] = []

    async def starts(self) -> None:
        self.flags = FlagReader(self._connection, self._folder, lambda: START, bucket=self._name)
        self.flags.listen(self.looks)
        await self.flags.start(limit=0.0)
        self.runs = True

    async def stops(self) -> None:
        await self.flags.stop()
        self.runs = False

    def looks(self) -> None:
        state = self.flags.state
        found = {name: each.revision for name, each in state.snapshots.items()}
        expected = self._tables.last(state.revision)
        if found != expected:
            self.wrong.append(f"at {state.revision}: expected {expected}, found {found}")

    async def gets_to(self, revision: int) -> bool:
        return await self.flags.wait_for(revision, 10)


class Step(NamedTuple):
    """What one of the writers does next, or the reader."""

    who: int
    does: str
    records: int
    fate: list[Fate]


steps = st.builds(
    Step,
    st.integers(0, WRITERS - 1),
    st.sampled_from(("commits", "commits", "publishes", "publishes", "commits and publishes", "killed", "reader")),
    st.integers(1, 4),
    st.just([]) | st.lists(st.sampled_from(("well", "lost", "unanswered")), max_size=4),
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def connection(loop: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    server = NatsProcess(tmp_path_factory.mktemp("nats-server"))
    server.start()
    try:
        opened = loop.run(connect_nats(server.url, name="test"))
        # With its last stream a server removes the folder of all of them, now and then under the next one's feet.
        loop.run(opened.jetstream().add_stream(StreamConfig("KEPT", subjects=["kept"])))
        yield opened
        loop.run(opened.close())
    finally:
        server.kill()


LEFT_BEHIND = [  # a mark below a value whose batch is not there yet: chance does not come here by itself
    Step(1, "commits", 1, []),
    Step(1, "commits", 1, []),
    Step(0, "commits", 1, []),
    Step(0, "commits and publishes", 3, ["well", "lost"]),
    Step(1, "publishes", 1, []),
]


@example(log=["a", "b", "c", "b"], todo=LEFT_BEHIND)
@given(log=st.lists(st.sampled_from("abc"), min_size=1, max_size=20), todo=st.lists(steps, max_size=20))
def test_a_reader_answers_by_all_records_up_to_its_revision_and_by_none_after_it(
    loop: asyncio.Runner,
    connection: Connection,
    tmp_path_factory: pytest.TempPathFactory,
    log: list[str],
    todo: list[Step],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "UNMARKED", 3600.0)  # values without a mark are another promise
        loop.run(_goes_well(connection, tmp_path_factory.mktemp("flags"), Tables(log), todo))


async def _goes_well(connection: Connection, folder: Path, tables: Tables, todo: list[Step]) -> None:
    name = f"flags-{secrets.token_hex(4)}"
    await connection.jetstream().create_key_value(KeyValueConfig(bucket=name))
    writers = [Writer(connection, name, tables) for _ in range(WRITERS)]
    reader = Reader(connection, name, tables, folder)
    await reader.starts()
    try:
        for step in todo:
            await _do(step, writers[step.who], reader)
        if not reader.runs:
            await reader.starts()
        for writer in writers:
            writer.goes([])
            await writer.loads()
            await writer.publishes()
        assert await reader.gets_to(tables.at)
        assert reader.flags.position == tables.at
        reader.looks()
        assert reader.wrong == []
    finally:
        await reader.flags.stop()
        await connection.jetstream().delete_stream(f"KV_{name}")


async def _do(step: Step, writer: Writer, reader: Reader) -> None:
    if step.does == "reader":
        await (reader.stops() if reader.runs else reader.starts())
    elif step.does == "killed":
        writer.killed()
    else:
        writer.goes(step.fate)
        if step.does.startswith("commits"):
            await writer.commits(step.records)
        if step.does.endswith("publishes"):
            await writer.publishes()
