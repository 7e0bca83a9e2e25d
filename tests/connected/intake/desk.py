"""What the tests of signals have in common: a rollout, a worker, senders, and what was kept."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from events.codec import decode
from events.facts import Actor
from events.plan.reading import read_plan
from events.signals import Outcome
from services.engine.messages import Accepted, Ask, Request
from services.intake.store import SignalStore
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.rollout import commands as c
from tests.cdevents import binary, structured

MANAGER = Actor("morgan", "release_manager")
SECRET = "It's a Secret to Everybody"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
CI = "rollouts.signals.ci.example"


def now() -> datetime:
    return datetime.now(UTC)


async def adopt(ask: Ask, rollout: str, services: tuple[str, ...] = ("api",)) -> None:
    plan = read_plan(
        {"title": rollout, "toggles": {f"{rollout}_toggle": ""}, "deploy": {"services": list(services)}},
        default_id=rollout,
    )
    reply = await ask(Request(rollout, "adopt", MANAGER, c.Adopt(plan=plan)))
    assert isinstance(reply, Accepted), reply


@asynccontextmanager
async def working(connection: Connection, log: JetStreamLog, ask: Ask) -> AsyncIterator[Intake]:
    """A worker, until the block ends."""
    intake = Intake(connection, SignalStore(connection), log, ask)
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def outcomes(store: SignalStore, count: int, limit: float = 30.0) -> list[Outcome]:
    """So many outcomes, in the order of their signals."""
    end = asyncio.get_running_loop().time() + limit
    while True:
        found = (await store.latest(1000)).outcomes
        if len(found) >= count:
            return found
        assert asyncio.get_running_loop().time() < end, f"{len(found)} of {count} outcomes: {found[-1:]}"
        await asyncio.sleep(0.02)


async def all_worked_on(store: SignalStore) -> list[Outcome]:
    await outcomes(store, 1)
    while await store.waiting():  # noqa: ASYNC110 (it changes in a server of its own)
        await asyncio.sleep(0.05)
    return (await store.latest(1000)).outcomes


async def facts(log: JetStreamLog, kind: type[Any], rollout: str = "small") -> list[Any]:
    records = [decode(entry.data) for entry in await log.read(rollout)]
    return [fact for record in records for fact in record.facts if isinstance(fact, kind)]


async def publish(connection: Connection, body: bytes, headers: dict[str, str], subject: str = CI) -> None:
    await connection.jetstream().publish(subject, body, headers=dict(headers))


async def send(http: httpx.AsyncClient, event: dict[str, Any], *, as_binary: bool = False) -> httpx.Response:
    if as_binary:
        headers = {**binary(event), "Content-Type": "application/json"}
        return await http.post("/v1/signals", content=msgspec.json.encode(event), headers=headers)
    return await http.post("/v1/signals", content=structured(event), headers=STRUCTURED)


async def from_github(
    http: httpx.AsyncClient, event: str, data: dict[str, Any], delivery: str = "d-1", signature: str = ""
) -> httpx.Response:
    body = msgspec.json.encode(data)
    right = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": signature or right,
    }
    return await http.post("/v1/signals/github", content=body, headers=headers)


def deployment(sha: str) -> dict[str, Any]:
    return {
        "repository": {"full_name": "example/api"},
        "deployment": {"sha": sha, "ref": "main", "task": "deploy", "environment": "production"},
        "deployment_status": {"state": "success", "created_at": "2026-03-20T14:27:05Z"},
    }
