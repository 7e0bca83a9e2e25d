"""OFREP's stream of changes over a real socket, and the tickets that open it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.facts import EVERYONE, NOBODY, TESTERS
from projections.flags import FlagSnapshot, Window
from services.api.app import Service, make_app, server
from services.api.reads import stream
from services.api.reads.tickets import CHANGES, Tickets
from services.api.reads.wire import Refused
from services.people.tokens import Tokens
from tests.unit.api.desk import NOON, Desk

FLAGS = "/ofrep/v1/evaluate/flags"
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("a", "b"), EVERYONE)
OFF = replace(VAOS, revision=8, phase="rolled_back", exposure=NOBODY)


@pytest.fixture
async def client(service: Service, book: Tokens, desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """A reader before a listening server; the streams are ended before it stops, as the service does."""
    desk.flags.hear(VAOS, 7)
    headers = {"Authorization": f"Bearer {book.add('vets-website', 'reader', (), by='root')}"}
    app = make_app(service)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        running = server(app, host, port)
        task = asyncio.create_task(running.serve(sockets=[listening]))
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", headers=headers, trust_env=False) as client:
            yield client
            app.close()
            running.should_exit = True
            await task


async def url_of(client: httpx.AsyncClient) -> str:
    answer = await client.post(FLAGS, json={})
    [found] = answer.json()["eventStreams"]
    assert (found["type"], found["inactivityDelaySec"]) == ("sse", 120)
    url: str = found["endpoint"]["requestUri"]
    return url


class Events:
    """An EventSource: the events of one connection as they come."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> dict[str, Any]:
        """The next event: its `id`, its `event`, and its `data` as JSON."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name in ("id", "event"):
                    event[name] = value
                elif name == "data":
                    event[name] = json.loads(value)
                elif not line and event:
                    return event
        raise EOFError


@asynccontextmanager
async def listening(client: httpx.AsyncClient, url: str, last: str = "") -> AsyncIterator[Events]:
    """Without the reader's token: an EventSource sends no such header."""
    headers = {"Authorization": "", "Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    async with client.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "text/event-stream"
        yield Events(answer.aiter_lines())


async def test_a_client_that_comes_is_told_to_look_again_at_once(client: httpx.AsyncClient) -> None:
    """It may have missed something between its answer and this connection."""
    async with listening(client, await url_of(client)) as events:
        assert await events.next() == {
            "id": "r7@0",
            "event": "message",
            "data": {"type": "refetchEvaluation", "etag": '"r7@0"', "lastModified": int(NOON.timestamp())},
        }


async def test_everybody_hears_of_a_change_and_only_of_a_change(client: httpx.AsyncClient, desk: Desk) -> None:
    url = await url_of(client)
    async with listening(client, url, "r7@0") as one, listening(client, url, "r7@0") as two:
        await asyncio.sleep(0)
        desk.flags.hear(replace(VAOS, revision=8), 8)  # a note
        desk.flags.hear(replace(OFF, revision=9), 9)
        assert [(await events.next())["id"] for events in (one, two)] == ["r9@0", "r9@0"]


async def test_who_comes_back_is_told_what_it_missed(client: httpx.AsyncClient, desk: Desk) -> None:
    url = await url_of(client)
    async with listening(client, url) as events:
        seen = (await events.next())["id"]
        desk.flags.hear(OFF, 8)
        assert (await events.next())["id"] == "r8@0"
        async with listening(client, url, seen) as again:
            assert (await again.next())["id"] == "r8@0"


async def test_the_stream_says_when_a_window_opens_and_when_it_closes(client: httpx.AsyncClient, desk: Desk) -> None:
    opens, closes = NOON + timedelta(seconds=0.1), NOON + timedelta(seconds=0.2)
    window = Window("s", "t-1", opens, closes)
    url = await url_of(client)
    testing = replace(VAOS, revision=8, phase="veteran_testing", exposure=TESTERS, windows=(window,))
    async with listening(client, url) as events:
        await events.next()
        desk.flags.hear(replace(testing, testers={"t-1": desk.vault.hmac("u1")}), 8)
        assert (await events.next())["id"] == "r8@0"
        values = []
        for edge in (opens, closes):
            desk.flags.now = edge
            event = await events.next()
            answer = await client.post(
                FLAGS,
                json={"context": {"targetingKey": "u1"}},
                params={"flagConfigEtag": event["data"]["etag"]},
            )
            assert answer.json()["metadata"]["pin"] == event["id"]
            values.append(answer.json()["flags"][0]["value"])
        assert values == [True, False]


async def test_a_process_whose_clock_is_behind_an_edge_waits_for_it(client: httpx.AsyncClient, desk: Desk) -> None:
    edge = int((NOON + timedelta(seconds=0.05)).timestamp() * 1e6)
    asking = asyncio.create_task(client.post(FLAGS, json={}, params={"flagConfigEtag": f'"r7@{edge}"'}))
    await asyncio.sleep(0.01)
    desk.flags.now = NOON + timedelta(seconds=0.06)
    assert (await asking).status_code == 200
    later = int((NOON + timedelta(hours=1)).timestamp() * 1e6)
    assert (await client.post(FLAGS, json={}, params={"flagConfigEtag": f'"r7@{later}"'})).status_code == 503


async def test_a_stream_ends_when_nobody_of_that_name_has_a_token_any_more(
    client: httpx.AsyncClient, book: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.02)
    url = await url_of(client)
    async with listening(client, url, "r7@0") as events:
        book.revoke("vets-website", by="root")
        with pytest.raises(EOFError):
            await events.next()
    again = await client.get(url)
    assert (again.status_code, again.json()["errorCode"]) == (401, "GENERAL")


@pytest.mark.parametrize("ticket", ["", "x", "..", "1.dmV0cw.AAAA", "\N{SNOWMAN}", "9" * 5000])
async def test_a_ticket_that_is_none_opens_nothing(client: httpx.AsyncClient, ticket: str) -> None:
    answer = await client.get("/ofrep/v1/events", params={"ticket": ticket})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "GENERAL")


async def test_more_streams_than_can_be_are_told_when_to_come_again(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await url_of(client)
    async with listening(client, url):
        monkeypatch.setattr(stream, "MOST", 1)
        answer = await client.get(url)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")


async def test_looking_at_the_stream_opens_none(client: httpx.AsyncClient) -> None:
    url = await url_of(client)
    assert (await client.head(url)).status_code == 200
    assert (await client.post(url)).headers["allow"] == "GET, HEAD, OPTIONS"


class Clock:
    now: datetime = NOON


def tickets(clock: Clock, key: bytes = b"k") -> Tickets:
    return Tickets(lambda purpose: key + purpose, lambda: clock.now)


@given(st.integers(0, 3 * CHANGES), st.text(max_size=20))
def test_a_ticket_lasts_at_least_twelve_hours_and_less_than_a_day(after: int, subject: str) -> None:
    clock = Clock()
    clock.now = NOON + timedelta(seconds=after)
    one, another = tickets(clock), tickets(clock)
    made = one.made_for(subject)
    ticket = another.read(made)
    assert ticket.subject == subject
    assert 12 * 3600 <= another.left(ticket) <= 18 * 3600
    clock.now += timedelta(seconds=another.left(ticket))
    with pytest.raises(Refused, match="expired"):
        another.read(made)
    assert one.made_for(subject) != made


def test_a_ticket_of_another_vault_key_is_none_of_ours() -> None:
    with pytest.raises(Refused, match="none of ours"):
        tickets(Clock()).read(tickets(Clock(), b"other").made_for("u"))
