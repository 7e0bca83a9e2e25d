"""`python -m benchmarks.signals`: signals a second on their way to disk, and on their way to a decision.

One rule: as in `benchmarks.log`, one machine, one server with an fsync before every acknowledgement; HTTP is a real
socket, and its client runs in the same process, so it pays for both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import httpx
import msgspec

from benchmarks.measure import Load, Row, rates, table
from events.facts import Actor
from events.plan.reading import read_plan
from services.api.app import make_app, server
from services.api.service import ReadsFlags, Service
from services.connection import Connection, connect_nats
from services.database import connect
from services.embedded import EmbeddedServer
from services.engine import Engine
from services.intake.publishing import deployed
from services.intake.store import SignalStore
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from services.messages import Request
from services.rollout.commands import Adopt
from services.tokens import Tokens
from services.vault import Vault
from services.views import Views

HEADERS = {"Content-Type": "application/cloudevents+json"}
RAW, NATS, HTTP = "nats-py publish to SIGNALS", "signal over NATS", "signal over HTTP"
WORKED = 1000


def main() -> None:
    """Measure, and print the table."""
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        rows = asyncio.run(measure(Path(folder)))
    sys.stdout.write(f"{table(rows)}\n")


async def measure(folder: Path) -> list[Row]:
    """Durable first, then what the worker makes of it."""
    embedded = EmbeddedServer(folder / "data")
    await embedded.start()
    connection = await connect_nats(embedded.url, name="bench")
    try:
        await create_streams(connection.jetstream())
        async with api(connection, folder) as client:
            return [*await durable(connection, client), *await worked_on(connection)]
    finally:
        await connection.close()
        await embedded.stop()


async def durable(connection: Connection, client: httpx.AsyncClient) -> list[Row]:
    """Signals that are on disk when their sender hears of it."""
    js = connection.jetstream()

    async def over_http(number: int) -> None:
        answer = await client.post("/v1/signals", content=event(number), headers=HEADERS)
        assert answer.status_code == 202, answer.text

    async def over_nats(number: int) -> None:
        await js.publish("rollouts.signals.ci.bench", event(number), headers=dict(HEADERS))

    async def raw(number: int) -> None:
        await js.publish("rollouts.signals.ci.bench", BODY)

    steps = {RAW: raw, NATS: over_nats, HTTP: over_http}
    loads = {f"{name}, {n} at a time": Load(step, n) for name, step in steps.items() for n in (1, 32)}
    found = await rates(loads)
    return [
        Row(name, value, against="" if name.startswith(RAW) else f"{RAW}, {name.rpartition(', ')[2]}")
        for name, value in found.items()
    ]


async def worked_on(connection: Connection) -> list[Row]:
    """Deploys of new versions, from the stream to a record and an outcome each."""
    log = JetStreamLog(connection)
    engine, store = Engine(log, now), SignalStore(connection)
    plan = read_plan({"title": "bench", "toggles": {"bench": ""}, "deploy": {"services": ["web"]}}, default_id="bench")
    await engine.ask(Request("bench", "adopt", Actor("bench", "release_manager"), Adopt(plan=plan)))
    js = connection.jetstream()
    await js.purge_stream("SIGNALS")
    for number in range(WORKED):
        await js.publish("rollouts.signals.ci.bench", event(number, "web"), headers=dict(HEADERS))
    start = time.perf_counter()
    task = asyncio.create_task(Intake(js, store, log, engine.ask).run())
    while (await js.stream_info("OUTCOMES")).state.messages < WORKED:  # noqa: ASYNC110 (it changes in another process)
        await asyncio.sleep(0.05)
    passed = time.perf_counter() - start
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return [Row("deploys from signal to record and outcome", WORKED / passed)]


@asynccontextmanager
async def api(connection: Connection, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP API on a socket of its own, and a client of it."""
    database = connect(f"sqlite:///{folder / 'bench.db'}")
    tokens, vault, views = Tokens(database, now), Vault(database, bytes(32)), Views(database)
    flags = cast(ReadsFlags, None)  # no flag is read
    engine, store = Engine(JetStreamLog(connection), now), SignalStore(connection)
    service = Service(engine.ask, views, flags, tokens, vault, now, tuple, store)
    token = tokens.add("bench", "ci", (), by="bench")
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:  # asyncio sets TCP_NODELAY on such ones alone
        listening.bind(("127.0.0.1", 0))
        http = server(make_app(service), "127.0.0.1", 0)
        task = asyncio.create_task(http.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
            yield client
        http.should_exit = True
        await task


def event(number: int, service: str = "api") -> bytes:
    """A deploy of a version of its own, as CI sends it."""
    return msgspec.json.encode(deployed(service, "production", f"v{number}", NOW))


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


NOW = now()
BODY = event(0)

if __name__ == "__main__":
    main()
