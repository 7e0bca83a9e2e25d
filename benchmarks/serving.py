"""What signals are posted to: Cutover's HTTP API, and the least that an endpoint can do, each on a socket of its own.

One rule: both run on uvicorn as Cutover sets it up, in the process of their client.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from benchmarks.plain_http import PlainHttp
from services.api.app import make_app, server
from services.api.service import ReadsFlags, Service
from services.database import connect
from services.engine.engine import Engine
from services.intake.store import SignalStore
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.people.tokens import Tokens
from services.people.vault import Vault
from services.views.views import Views

SUBJECT = "rollouts.signals.ci.bench"
HEADERS = {"Content-Type": "application/cloudevents+json"}


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def bare_asgi(connection: Connection) -> Any:
    """The least that an endpoint can do: read the body, have it on disk, answer."""
    js = connection.jetstream()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        ack = await js.publish(SUBJECT, body)
        answer = b'{"signal":%d}' % ack.seq
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


@asynccontextmanager
async def api(connection: Connection, folder: Path) -> AsyncIterator[PlainHttp]:
    """The HTTP API on a socket of its own, and a client of it."""
    database = connect(f"sqlite:///{folder / 'bench.db'}")
    tokens, vault, views = Tokens(database, now), Vault(database, bytes(32)), Views(database)
    flags = cast(ReadsFlags, None)  # no flag is read
    engine, store = Engine(JetStreamLog(connection), now), SignalStore(connection)
    service = Service(engine.ask, views, flags, tokens, vault, now, tuple, store)
    token = tokens.add("bench", "ci", (), by="bench")
    async with listening(make_app(service), {"Authorization": f"Bearer {token}"}) as client:
        yield client


@asynccontextmanager
async def listening(app: Any, headers: dict[str, str] | None = None) -> AsyncIterator[PlainHttp]:
    """An ASGI application on uvicorn and a socket of its own, and a client of it."""
    with socket.socket(proto=socket.IPPROTO_TCP) as on:  # asyncio sets TCP_NODELAY on such ones alone
        on.bind(("127.0.0.1", 0))
        http = server(app, "127.0.0.1", 0)
        task = asyncio.create_task(http.serve([on]))
        async with PlainHttp(on.getsockname()[1], HEADERS | (headers or {})) as client:
            yield client
        http.should_exit = True
        await task
