"""Fixtures of more than one room: a real nats-server of one's own, a client, and the log on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.connection import Connection, connect_nats
from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from tests.nats_process import NatsProcess
from tests.prometheus_process import INSTALLED, MISSING


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Prometheus its tests are skipped, and say so."""
    for item in items:
        if not INSTALLED and item.get_closest_marker("prometheus"):
            item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsProcess]:
    """A nats-server with JetStream and `sync_interval: always`, started; see NatsProcess for kill, restart, freeze."""
    server = NatsProcess(tmp_path / "nats-server")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
async def nats_client(nats_server: NatsProcess) -> AsyncIterator[Connection]:
    """A connection to `nats_server` with the options that all roles use."""
    connection = await connect_nats(nats_server.url, name="test")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def jetstream_log(nats_client: Connection) -> JetStreamLog:
    """The log, its streams made, on `nats_server`."""
    await create_streams(nats_client.jetstream())
    return JetStreamLog(nats_client)
