"""A small instrumented service: what is released in the live demo, with visitors who use it.

One rule: it knows nothing of the story. For every visit it asks Cutover whether the toggles are on, takes the old way
or the new one, and counts what happens under the names of the plan's queries. Its format is Prometheus's text format
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import httpx

BETWEEN = 0.05  # seconds between visits
VISITORS = 200
TRIPS = 3  # failures in a row after which the breaker skips calls
WORK = 0.02  # seconds that a call outside takes
PATIENCE = 10.0
ANY = 1_000_000
"""A second's worth of requests that the new way never gets."""


class Visit(NamedTuple):
    """What one visitor met: whether the toggles were on for them, and the status they got."""

    on: bool
    status: int


class Appointments:
    """The service in a thread of its own, while it is entered; `target` is where its metrics are.

    `deploy` switches versions: a version is how many requests a second its new way bears before it fails.
    """

    def __init__(self) -> None:
        self.target = ""
        self.statuses: Counter[int] = Counter({200: 0, 502: 0, 503: 0})
        self._bears = ANY
        self._skipped = self._calls = self._failures = 0
        self._seconds = 0.0
        self._users: set[str] = set()
        self._second: tuple[int, int] = (0, 0)  # which one, and the requests of the new way in it
        self._flags = ""
        self._client = httpx.AsyncClient(timeout=2.0, trust_env=False)
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._work: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="cutover-demo-service", daemon=True)

    def deploy(self, *, bears: int = ANY) -> None:
        """From now on this version runs."""
        self._bears, self._failures = bears, 0

    def asks(self, url: str, rollout: str, token: str) -> None:
        """From now on the toggles are Cutover's; before, and without an answer, they are off."""
        self._client.headers["Authorization"] = f"Bearer {token}"
        self._flags = f"{url}/v1/rollouts/{rollout}/flags"

    def visit(self, user: str) -> Visit:
        """One visit, from another thread."""
        return asyncio.run_coroutine_threadsafe(self._visit(user), self._loop).result(PATIENCE)

    # -- running

    def __enter__(self) -> Appointments:
        self._thread.start()
        if not self._started.wait(PATIENCE):
            raise RuntimeError(f"the demo's service did not start within {PATIENCE:g} s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._work is not None:
            self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, suppress(asyncio.CancelledError):
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._work = asyncio.current_task()
        listening = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        self._started.set()
        async with listening, self._client, asyncio.TaskGroup() as visits:
            while True:
                visits.create_task(self._visit(f"user-{random.randrange(VISITORS)}"))
                await asyncio.sleep(BETWEEN)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Every request is one for the metrics."""
        try:
            await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):  # it hung up, as Prometheus does when it ends
            writer.close()
            return
        body = self.metrics().encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    def metrics(self) -> str:
        """The counters as Prometheus reads them."""
        requests = [
            f'api_rack_request{{controller="vaos/v2/appointments",status="{status}"}} {count}'
            for status, count in sorted(self.statuses.items())
        ]
        counters = {"api_rack_request": requests}
        outside = {"skipped": self._skipped, "time_sum": self._seconds, "time_count": self._calls}
        for name, value in outside.items():
            counters[f"api_external_http_request_VAOS_{name}"] = [f"api_external_http_request_VAOS_{name} {value}"]
        lines = [line for name, found in counters.items() for line in (f"# TYPE {name} counter", *found)]
        users = ("# TYPE vaos_unique_users gauge", f"vaos_unique_users {len(self._users)}")
        return "\n".join((*lines, *users, ""))

    # -- a visit

    async def _visit(self, user: str) -> Visit:
        on = await self._on(user)
        status = await (self._new_way() if on else self._call(True))
        self.statuses[status] += 1
        if on:
            self._users.add(user)
        return Visit(on, status)

    async def _on(self, user: str) -> bool:
        if not self._flags:
            return False
        try:
            answer: dict[str, Any] = (await self._client.get(self._flags, params={"user": user})).json()
        except (httpx.TransportError, ValueError):
            return False
        return any(answer.get("flags", {}).values())

    async def _new_way(self) -> int:
        second = int(time.monotonic())
        self._second = (second, self._second[1] + 1 if self._second[0] == second else 1)
        if self._second[1] <= self._bears:
            self._failures = 0
            return await self._call(True)
        self._failures += 1
        if self._failures > TRIPS:
            self._skipped += 1
            return 503
        return await self._call(False)

    async def _call(self, good: bool) -> int:
        """Somebody else's service, who takes their time."""
        began = time.perf_counter()
        await asyncio.sleep(WORK)
        self._seconds += time.perf_counter() - began
        self._calls += 1
        return 200 if good else 502
