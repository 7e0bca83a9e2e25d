"""The stream of records over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import msgspec
import pytest

from projections.cloudevents import CloudEvent
from services import event_stream
from services.api import events
from services.api.app import Service
from services.event_stream import Told
from services.people.tokens import Tokens
from services.record_feed import MOST_OF_ONE, RecordFeed
from tests.unit.api.conftest import SMALL
from tests.unit.api.desk import Desk
from tests.unit.api.test_over_a_socket import client, token, url

__all__ = ["client", "token", "url"]

BASE = "https://cutover.example.gov"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
async def feed(desk: Desk) -> AsyncIterator[RecordFeed]:
    feed = RecordFeed(desk.log, base=BASE, beat=0.05)
    task = asyncio.create_task(feed.run())
    await feed.began.wait()
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def service(service: Service, feed: RecordFeed) -> Service:
    return replace(service, feed=feed, public_url=BASE)


async def write(client: httpx.AsyncClient, notes: int, rollout: str = "small") -> None:
    """Adopt a rollout where there is none yet, and write so many notes."""
    if (await client.get(f"/v1/rollouts/{rollout}")).status_code == 404:
        plan = SMALL.replace("small", rollout).replace("_toggle", f"_{rollout}")
        assert (await client.post("/v1/rollouts", content=plan, headers=YAML)).status_code == 201
    for n in range(notes):
        answer = await client.post(f"/v1/rollouts/{rollout}/commands", json={"type": "note", "text": f"note {n}"})
        assert answer.status_code == 200, answer.text


async def told(client: httpx.AsyncClient, path: str, **params: str) -> list[Told]:
    """Everything up to now."""
    answer = await client.get(path, params={"follow": "false", **params})
    assert answer.status_code == 200, answer.text
    return list(event_stream.read([answer.content]))


def revisions(found: list[Told]) -> list[int]:
    return [int(each.id) for each in found if each.data]


async def test_every_record_is_one_event_whose_id_is_its_revision(client: httpx.AsyncClient) -> None:
    await write(client, 2)
    answer = await client.get("/v1/events", params={"after": "0", "follow": "false"})
    assert answer.headers["content-type"] == "text/event-stream"
    found = [each for each in event_stream.read([answer.content]) if each.data]
    made = [msgspec.json.decode(each.data, type=CloudEvent) for each in found]
    assert [(each.id, event.id) for each, event in zip(found, made, strict=True)] == [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
    ]
    assert [event.type.split(".")[3] for event in made] == ["adopted", "noted", "noted"]
    assert {each.event for each in found} == {"message"}


async def test_an_export_of_the_trail_holds_the_same_events(client: httpx.AsyncClient) -> None:
    await write(client, 3)
    heard = [msgspec.json.decode(each.data) for each in await told(client, "/v1/events", after="0") if each.data]
    exported = await client.get("/v1/audit", params={"format": "cloudevents"})
    assert exported.json() == heard
    assert heard[0]["source"] == "https://cutover.example.gov/v1/rollouts/small"


async def test_a_rollouts_stream_holds_its_own_records_alone(client: httpx.AsyncClient) -> None:
    await write(client, 1, "one")
    await write(client, 1, "two")
    await write(client, 1, "one")
    assert revisions(await told(client, "/v1/rollouts/one/events", after="0")) == [1, 2, 5]
    assert revisions(await told(client, "/v1/rollouts/two/events", after="0")) == [3, 4]
    assert revisions(await told(client, "/v1/events", after="3")) == [4, 5]


async def test_the_last_event_id_says_more_than_the_address(client: httpx.AsyncClient) -> None:
    await write(client, 3)
    client.headers["Last-Event-ID"] = "2"
    assert revisions(await told(client, "/v1/events", after="0")) == [3, 4]


async def test_a_stream_begins_with_where_it_stands_even_before_anything_comes(client: httpx.AsyncClient) -> None:
    await write(client, 3)
    assert await told(client, "/v1/events") == [Told("4", "message", "")]


async def test_a_stream_tells_what_comes_and_its_place_in_silence(client: httpx.AsyncClient) -> None:
    await write(client, 0, "one")
    async with client.stream("GET", "/v1/rollouts/one/events") as stream:
        lines = stream.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == ["retry: 1000", "id: 1", ""]
        await write(client, 0, "two")
        while (line := await anext(lines)) != "id: 2":  # the other rollout's record moves the place alone
            assert line in ("", "id: 1")
        await write(client, 1, "one")
        while (line := await anext(lines)) != "id: 3":
            assert line in ("", "id: 2")
        assert (await anext(lines)).startswith("data: {")


@pytest.mark.parametrize("asked", ["-1", "x", "1.5", "9" * 19])
async def test_what_is_no_revision_is_refused(client: httpx.AsyncClient, asked: str) -> None:
    answer = await client.get("/v1/events", params={"after": asked})
    assert answer.status_code == 400
    assert "expected a revision" in answer.json()["detail"]


async def test_a_revision_that_the_log_does_not_have_is_refused(client: httpx.AsyncClient) -> None:
    await write(client, 0)
    answer = await client.get("/v1/events", params={"after": "900"})
    assert answer.status_code == 503
    assert answer.json()["detail"] == "revision 900 was asked for; the log ends at 1"


async def test_there_is_no_stream_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    for rollout in ("nothing", "NOT-AN-ID"):
        answer = await client.get(f"/v1/rollouts/{rollout}/events")
        assert answer.json()["type"] == "/problems/unknown-rollout"


async def test_too_many_streams_are_refused_with_a_time_to_come_back(
    client: httpx.AsyncClient, feed: RecordFeed
) -> None:
    with ExitStack() as streams:
        for _ in range(MOST_OF_ONE):
            streams.enter_context(feed.opened("morgan"))
        answer = await client.get("/v1/events", timeout=5)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    assert "'morgan' has 100 streams open here" in answer.json()["detail"]


async def test_before_the_log_was_heard_of_there_is_no_stream(client: httpx.AsyncClient, feed: RecordFeed) -> None:
    feed.position = None
    answer = await client.get("/v1/events")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")


async def test_a_token_that_is_revoked_ends_its_streams(
    client: httpx.AsyncClient, book: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "BEAT", 0.0)
    async with client.stream("GET", "/v1/events") as stream:
        book.revoke("morgan", by="root")
        async with asyncio.timeout(10):
            async for _ in stream.aiter_lines():
                pass


async def test_who_leaves_what_it_was_sent_is_hung_up_on(
    client: httpx.AsyncClient,
    url: str,
    token: str,
    feed: RecordFeed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(events, "SLOW", 0.05)
    host, port = url.removeprefix("http://").split(":")
    _reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await write(client, 0)
    text = "x" * 60_000
    async with asyncio.timeout(60):
        while "too slow" not in caplog.text:
            await client.post("/v1/rollouts/small/commands", json={"type": "note", "text": text})
    assert "'morgan' was too slow" in caplog.text
    writer.transport.abort()


async def test_streams_end_with_the_service(client: httpx.AsyncClient, feed: RecordFeed) -> None:
    async with client.stream("GET", "/v1/events") as stream:
        lines = stream.aiter_lines()
        await anext(lines)
        feed.ended = True
        feed._wake()
        async with asyncio.timeout(10):
            async for _ in lines:
                pass
