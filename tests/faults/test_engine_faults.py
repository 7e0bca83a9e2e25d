"""kill -9 of nats-server and of the engine, at random moments, under eight writers.

What was acknowledged is in the log, once, at the revision that was named; asked again, it is answered the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from events.codec import decode
from events.facts import Actor
from events.plan.reading import read_plan
from services.engine.conversation import RemoteEngine
from services.engine.hot import Hot
from services.engine.messages import Accepted, Request
from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from services.nats.connection import Connection, connect_nats
from services.rollout import commands as c
from tests.nats_process import NatsProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ROUNDS = 30 if os.environ.get("CUTOVER_LONG") else 6
WRITERS = 8
ROLLOUTS = [f"release-{n}" for n in range(4)]
MANAGER = Actor("mo", "release_manager")


class EngineProcess:
    """`cutover run engine` as a process that can be killed."""

    def __init__(self, data: Path, url: str) -> None:
        self._command = [sys.executable, "-m", "services.cli", "run", "engine", "--nats", url, "--data", str(data)]
        self._output = (data.parent / "engine.log").open("ab")
        self._process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT, stdout=self._output, stderr=self._output)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def close(self) -> None:
        self.kill()
        self._output.close()

    def restart(self) -> None:
        self.kill()
        self._process = self._launch()


class Writer:
    """Sends one note after the other, each until it is acknowledged."""

    def __init__(self, number: int, connection: Connection, seed: int) -> None:
        self._number = number
        self._engine = RemoteEngine(connection, patience=2.0)
        self._random = random.Random(seed)
        self.acknowledged: dict[str, tuple[Request, Accepted]] = {}
        self.sent = 0

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.sent += 1
            name = f"w{self._number}-{self.sent}"
            request = Request(self._random.choice(ROLLOUTS), name, MANAGER, c.AddNote(f"note {name}"))
            self.acknowledged[name] = (request, await self.insist(request))

    async def insist(self, request: Request) -> Accepted:
        """The same command id until there is an answer; only silence and an absent log are tried again."""
        while True:
            reply = await self._engine.ask(request)
            if isinstance(reply, Accepted):
                return reply
            assert reply.code == "unavailable", reply
            await asyncio.sleep(0.02)


async def test_no_acknowledged_command_is_lost_or_done_twice(nats_server: NatsProcess, tmp_path: Path) -> None:
    chance = random.Random(20260302)
    data = tmp_path / "data"
    data.mkdir()
    connection = await connect_nats(nats_server.url, name="test")
    await create_streams(connection.jetstream())
    engine = EngineProcess(data, nats_server.url)
    try:
        writers = [Writer(n, connection, n) for n in range(WRITERS)]
        for rollout in ROLLOUTS:
            plan = read_plan({"title": rollout, "toggles": {f"t-{rollout}": ""}}, default_id=rollout)
            await writers[0].insist(Request(rollout, f"adopt-{rollout}", MANAGER, c.Adopt(plan)))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.run(stop))
            for _ in range(ROUNDS):
                await _one_round(chance, nats_server, engine, writers)
            stop.set()
        await _check(connection, writers)
    finally:
        engine.close()
        await connection.close()


async def _one_round(chance: random.Random, server: NatsProcess, engine: EngineProcess, writers: list[Writer]) -> None:
    """Kill one or both at a random moment; go on when every writer has been answered again."""
    await asyncio.sleep(chance.uniform(0.02, 0.4))
    victims = chance.choice(("server", "engine", "both"))
    if victims != "engine":
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(chance.uniform(0, 0.2))
    if victims != "server":
        await asyncio.to_thread(engine.restart)
    if victims != "engine":
        await asyncio.to_thread(server.start)
    before = [len(writer.acknowledged) for writer in writers]
    async with asyncio.timeout(60):
        while any(len(w.acknowledged) <= n + 1 for w, n in zip(writers, before, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _check(connection: Connection, writers: list[Writer]) -> None:
    log = JetStreamLog(connection)
    stored: Counter[str] = Counter()
    where: dict[str, int] = {}
    for rollout in ROLLOUTS:
        hot = Hot(rollout)
        for entry in await log.read(rollout):
            hot.take(entry)
            name = decode(entry.data).command_id
            stored[name] += 1
            where[name] = entry.revision
        assert not hot.stopped
    acknowledged = {name: pair for writer in writers for name, pair in writer.acknowledged.items()}
    lost = [name for name, (_, reply) in acknowledged.items() if where.get(name) != reply.revision]
    twice = [name for name, count in stored.items() if count > 1]
    print(f"{ROUNDS} rounds: {len(acknowledged)} acknowledged, {len(lost)} lost, {len(twice)} applied twice")  # noqa: T201
    assert len(acknowledged) > ROUNDS * WRITERS
    assert lost == []
    assert twice == []
    for name in list(acknowledged)[:: max(1, len(acknowledged) // 200)]:
        request, first = acknowledged[name]
        again = await writers[0].insist(request)
        assert msgspec.json.encode(again) == msgspec.json.encode(first), name
