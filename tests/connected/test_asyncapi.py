"""The AsyncAPI document: whole, and true of every message of a rollout that was carried out."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import msgspec
import pytest

from services import asyncapi
from services.log.streams import wanted
from services.nats.connection import connect_nats
from tests.cdevents import deploy, structured
from tests.e2e.release import Release, small_plan
from tests.nats_process import NatsProcess
from tests.service_process import ServiceProcess, ask

pytestmark = pytest.mark.connected

DOCUMENT: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asyncapi.document()))
HEADERS = DOCUMENT["components"]["messages"]["flags"]["headers"]["properties"]
COMMITTED = Path(__file__).parents[2] / "docs" / "reference" / "asyncapi.json"


@pytest.fixture
def service(nats_server: NatsProcess, tmp_path: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path / "data", environ={"CUTOVER_NATS": nats_server.url})
    service.start()
    yield service
    service.close()


def pattern(address: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^ ]+", re.escape(address)))


def validator(name: str) -> jsonschema_rs.Validator:
    """Of a message's payload. AsyncAPI's discriminator is no word of JSON Schema, which says as much by `oneOf`."""
    payload = DOCUMENT["components"]["messages"][name]["payload"]
    return jsonschema_rs.validator_for({**payload, "components": DOCUMENT["components"]}, validate_formats=True)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from ([part["$ref"]] if isinstance(part.get("$ref"), str) else [])
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_every_stream_has_its_channel() -> None:
    subjects = {re.sub(r"\.>$", "", subject) for config in wanted() for subject in config.subjects or ()}
    addresses = [channel["address"] or "" for channel in DOCUMENT["channels"].values()]
    assert {s for s in subjects if not any(a.startswith(s) for a in addresses)} == set()


def carried_out(service: ServiceProcess) -> None:
    """A small release with a bit of everything: refused, deployed by CI, tested, measured, cut over, rolled back."""
    admin = service.client()
    release = Release(service, small_plan())
    headers = {"Content-Type": "application/cloudevents+json"}
    event = structured(deploy("v1", id_="deploy-1"))
    assert admin.post("/v1/signals", content=event, headers=headers).status_code == 202
    assert ask(admin, "small", "cut_over").status_code == 409
    assert admin.post("/v1/rollouts/small/readings", json={"name": "load time", "value": "4.2 s"}).status_code == 202
    service.wait_until(lambda: len(release.facts("deploy_reported")) == 1, 20)
    release.start_testing()
    release.do("schedule_session", session="s1", tester="user-1", at="2036-03-02T10:00:00Z", length="2 seconds")
    release.do("roll_back", reason="enough")
    release.flags()


async def test_every_message_of_a_rollout_is_as_it_says(service: ServiceProcess, nats_server: NatsProcess) -> None:
    heard: list[tuple[str, bytes]] = []
    carried: list[str] = []
    signed = asyncio.Event()
    connection = await connect_nats(nats_server.url, name="listener")

    async def hear(message: Any) -> None:
        heard.append((message.subject, message.data))
        if message.subject == "$KV.flags.small":
            carried.extend(text for name, text in (message.headers or {}).items() if name in HEADERS)
        if message.subject == "rollouts.checkpoints":
            signed.set()

    await connection.subscribe(">", cb=hear)
    await asyncio.to_thread(carried_out, service)
    request = {"rollout": "small", "command_id": "n-1", "by": {"subject": "mo", "role": "admin"}}
    note = msgspec.json.encode({**request, "command": {"type": "note", "text": "over NATS"}})
    answered = await connection.request("rollouts.command.small", note, timeout=10)
    async with asyncio.timeout(20):
        await signed.wait()
    await connection.close()
    assert carried
    for mark in carried:
        validator("position").validate(msgspec.json.decode(mark))
    validator("commandsAnswers").validate(msgspec.json.decode(answered.data))
    found = Counter(name for subject, data in heard for name in [held(subject, data)] if name)
    assert set(found) >= set(DOCUMENT["channels"]) - {"commandsAnswers", "signals"}, found


def held(subject: str, data: bytes) -> str:
    """The channel that a message is on, whose payload it must be; "": it is on none of ours."""
    channels = sorted(DOCUMENT["channels"].items(), key=lambda one: "{" in (one[1]["address"] or ""))
    for name, channel in channels:
        if channel["address"] and pattern(channel["address"]).fullmatch(subject):
            if data and name != "checkpoints":
                validator(name).validate(msgspec.json.decode(data))
            return str(name)
    assert not subject.startswith("rollouts.") or subject.startswith("rollouts.signals."), subject
    return ""


def test_what_is_served_is_what_is_kept(service: ServiceProcess) -> None:
    served = httpx.get(f"{service.url}/v1/asyncapi.json").json()
    assert served == DOCUMENT == msgspec.json.decode(COMMITTED.read_bytes())
