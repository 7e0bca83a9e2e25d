"""An engine with a rollout, the signals' store, and CI's way in over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.api.app import Service, make_app
from services.database import connect
from services.engine.engine import Engine
from services.engine.messages import Ask
from services.intake.store import SignalStore
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.people.tokens import Tokens
from services.people.vault import Vault
from services.views.views import Views
from tests.connected.intake.desk import (
    SECRET,
    adopt,
    now,
)
from tests.unit.api.desk import Flags


@pytest.fixture
async def ask(jetstream_log: JetStreamLog) -> Ask:
    """An engine that holds one rollout, "small", whose plan deploys "api" in production."""
    engine = Engine(jetstream_log, now)
    await adopt(engine.ask, "small")
    return engine.ask


@pytest.fixture
def store(nats_client: Connection) -> SignalStore:
    return SignalStore(nats_client)


@pytest.fixture
async def http(ask: Ask, store: SignalStore, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """CI, with its token, on an API whose signals go to the real streams."""
    database = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    tokens = Tokens(database, now)
    vault = Vault(database, bytes(32))
    service = Service(ask, Views(database), Flags(), tokens, vault, now, tuple, store, SECRET)
    token = tokens.add("pipeline", "ci", (), by="root")
    transport = httpx.ASGITransport(app=make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://cutover.test", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        client.reader = tokens.add("reader", "reader", (), by="root")  # type: ignore[attr-defined]
        yield client
    database.dispose()
