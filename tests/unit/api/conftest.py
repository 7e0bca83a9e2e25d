"""The HTTP API called in process, on a whole service in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from services.api.app import Service, make_app
from services.people.tokens import Tokens
from services.views.views import Views
from tests.openapi_contract import hold
from tests.unit.api.desk import NOON, Desk

HELD = {"response": [hold]}  # no answer of any test is another than the OpenAPI document says
SEED = Path(__file__).parents[3] / "plans" / "vaos-service-integration.yaml"
SMALL = """\
id: small
title: A small release
toggles:
  first_toggle: the first
  second_toggle: the second
prerequisites:
- The other service is live
go_no_go:
  decided_by: [Owner]
deploy:
  services: [web]
testing:
  waived: nothing to test
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def book(desk: Desk) -> Tokens:
    book = Tokens(desk.database, lambda: NOON)
    book.add("root", "admin", (), by="first start")
    return book


@pytest.fixture
def unready() -> list[str]:
    """The reasons why the service is not ready."""
    return []


@pytest.fixture
def troubles() -> list[str]:
    """What goes wrong with single rollouts."""
    return []


@pytest.fixture
def service(desk: Desk, book: Tokens, unready: list[str], troubles: list[str]) -> Service:
    views = Views(desk.database)
    service = Service(desk.ask, views, desk.flags, book, desk.vault, lambda: NOON, lambda: tuple(unready))
    return dataclasses.replace(service, troubles=lambda: tuple(troubles))


Client = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def stranger(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    transport = httpx.ASGITransport(app=make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://cutover.test", event_hooks=HELD) as client:
        yield client


@pytest.fixture
def known_as(stranger: httpx.AsyncClient, book: Tokens) -> Client:
    """The same client, with a new token of this name, role and titles."""

    def known(name: str, role: str, *titles: str) -> httpx.AsyncClient:
        stranger.headers["Authorization"] = f"Bearer {book.add(name, role, titles, by='root')}"
        return stranger

    return known


@pytest.fixture
def manager(known_as: Client) -> httpx.AsyncClient:
    return known_as("morgan", "release_manager")


@pytest.fixture
async def begun(manager: httpx.AsyncClient) -> httpx.AsyncClient:
    """The manager, with the rollout "small" adopted."""
    response = await manager.post("/v1/rollouts", content=SMALL, headers={"Content-Type": "application/yaml"})
    assert response.status_code == 201, response.text
    return manager


@pytest.fixture
def seed() -> str:
    """The seed's plan, as its release manager writes it."""
    return SEED.read_text()
