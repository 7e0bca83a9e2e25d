"""Fixtures of more than one room: a real nats-server of one's own, a client, and the log on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.database import connect
from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from services.nats.connection import Connection, connect_nats
from tests import browser, postgres_process, prometheus_process
from tests.clients import published
from tests.nats_process import NatsProcess
from tests.postgres_process import PostgresProcess

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
PROGRAMS = {"prometheus": prometheus_process, "postgres": postgres_process, "browser": browser, "node": published}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a program that is not of Python, its tests are skipped, and say so."""
    for item in items:
        for marker, program in PROGRAMS.items():
            if not program.INSTALLED and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=program.MISSING))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresProcess]:
    """One PostgreSQL for all tests of this process."""
    server = PostgresProcess()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: on SQLite, and then on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'cutover.db'}"
    server: PostgresProcess = request.getfixturevalue("postgres_server")
    return server.schema()


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """The same, opened as all roles open it."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


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
