"""Reads that are answered while they come: the same bytes as by ASGI, whatever is sent and however it is cut."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.bodies import OTHER
from tests.unit.api.at_once.house import (
    BULK,
    LAST,
    ONE,
    House,
    asked,
    cut,
    request,
    said,
    statuses,
)

TARGETS = (
    ONE,
    BULK,
    BULK + "/c",
    BULK + "/nobodys",
    BULK + "/%61",
    BULK + "?at=r7@0",
    BULK + "?at_least=99",
    BULK + "?at_least=seven",
    ONE + "?flagConfigEtag=%22r5-ab%22",
    "//ofrep/v1/evaluate/flags/a",
    "/ofrep/v1/nothing",
    "/v0/feature_toggles",
    "/v0/feature_toggles/",
    "/v0/feature_toggles?features=a,C,none&cookie_id=u1",
    "/v0/feature_toggles?user=u1",
    "/v0/feature_toggles?x#y",
    "/flipper/features",
    "/flipper/features/a?exclude_gate_names=true",
    "/flipper/actors/u1%40va.gov?keys=a,c",
    "/healthz",
    "/v1/rollouts",
)
BODIES = (
    "",
    "{",
    "{}",
    '{"context":{}}',
    '{"context":{"targetingKey":"u1"}}',
    '{"context":{"targetingKey":"u2","cutoverPin":"r7@0"}}',
    '{"context":{"targetingKey":"u5","cutoverPin":"r6@0"}}',
    '{"context":{"targetingKey":7}}',
    '{"context":[]}',
    '{"context":{"targetingKey":"' + "u" * 600 + '"}}',
    '{"context":{"targetingKey":"' + "u" * (OTHER - 50) + '"}}',
)
HEADERS = (
    "Origin: https://www.va.gov",
    'If-None-Match: "r7-0123456789abcdef"',
    'If-None-Match: "r99-0123456789abcdef"',
    "X-API-Key: cut_nobodys",
    "Cutover-User: u1",
    "Expect: 100-continue",
    "Connection: keep-alive",
    "Empty:",
    "Odd: \t spaces  inside\t and after  ",
)


class Message(NamedTuple):
    """One request, told shortly: `body` is its place in BODIES; -1: there is none."""

    line: str
    headers: tuple[str, ...]
    body: int
    chunked: bool
    known: bool

    def encoded(self, token: str) -> bytes:
        lines = [self.line, "Host: cutover.test", *self.headers]
        body = BODIES[self.body].encode() if self.body >= 0 else b""
        if self.known:
            lines.append(f"Authorization: Bearer {token}")
        if body and self.chunked:
            lines.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + body


@st.composite
def messages(draw: st.DrawFn) -> Message:
    method = draw(st.sampled_from(("GET", "POST", "POST", "HEAD", "OPTIONS", "DELETE")))
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=2))
    body = draw(st.integers(0, len(BODIES) - 1)) if method in ("POST", "DELETE") else -1
    line = f"{method} {draw(st.sampled_from(TARGETS))} HTTP/1.1"
    return Message(line, tuple(headers), body, draw(st.booleans()), draw(st.booleans()))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, int, int]]:
    """One service for all examples, since they change nothing in it: as Cutover serves it, and by ASGI alone."""
    house = House(tmp_path_factory.mktemp("twins"))
    ports: list[int] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with house.serve() as port, house.serve(plainly=True) as plain_port:
            ports.extend((port, plain_port))
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield house, ports[0], ports[1]
    done.set()
    thread.join()


@given(sent=st.lists(messages(), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 1500), max_size=3))
def test_it_says_the_same_as_by_asgi_whatever_is_sent_and_however_it_is_cut(
    twins: tuple[House, int, int], sent: list[Message], cuts: list[int]
) -> None:
    house, port, plain_port = twins
    whole = b"".join(message.encoded(house.token) for message in sent) + LAST
    parts = cut(whole, cuts)

    async def both() -> tuple[bytes, bytes]:
        return await said(port, *parts), await said(plain_port, *parts)

    answer, plain_answer = asyncio.run(both())
    assert answer == plain_answer
    assert answer.startswith(b"HTTP/1.1 ")


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"


def offering(message: bytes) -> bytes:
    """The same request as Java's HttpClient and `curl --http2` send it."""
    line, end, rest = message.partition(b"\r\n")
    return line + end + OFFER + rest


@given(
    sent=st.lists(st.tuples(messages(), st.booleans()), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 1500), max_size=3),
)
def test_an_offer_changes_nothing_whatever_is_sent_and_however_it_is_cut(
    twins: tuple[House, int, int], sent: list[tuple[Message, bool]], cuts: list[int]
) -> None:
    house, port, _ = twins
    plain = [message.encoded(house.token) for message, _ in sent]
    offered = [offering(each) if offers else each for each, (_, offers) in zip(plain, sent, strict=True)]

    async def both() -> tuple[bytes, bytes]:
        return await said(port, *cut(b"".join(offered) + LAST, cuts)), await said(port, b"".join(plain) + LAST)

    answer, plain_answer = asyncio.run(both())
    assert answer == plain_answer


@pytest.mark.parametrize("apart", [True, False])
async def test_a_read_that_offers_is_answered_at_once_with_what_its_body_asks_for(house: House, apart: bool) -> None:
    head, _, body = offering(asked(house, user="u5")).partition(b"\r\n\r\n")
    parts = (head + b"\r\n\r\n", body) if apart else (head + b"\r\n\r\n" + body,)
    async with house.serve() as port:
        answer = await said(port, *parts, *parts, LAST)
        assert answer == await said(port, asked(house, user="u5") * 2, LAST)
    assert b'"value":true' in answer
    assert house.app.by_asgi == 2  # both of /healthz


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/rollouts/vaos/commands", "/v1/signals"])
async def test_the_body_of_a_command_or_a_signal_that_offers_is_read(house: House, path: str) -> None:
    token = house.book.add("morgan", "release_manager", (), by="root")
    for body in ("{}", "[", '{"type": "note", "text": "x"}'):
        plain = request(path, body, token=token, content_type="application/json")
        async with house.serve() as port:
            assert await said(port, offering(plain), LAST) == await said(port, plain, LAST)


async def test_a_connection_that_offers_and_is_to_end_ends(house: House) -> None:
    ending = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"
    async with house.serve() as port:
        answer = await said(port, offering(asked(house)).replace(OFFER, ending))
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


async def test_many_offers_in_one_segment_are_all_ignored(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with house.serve() as port:
        answer = await said(port, offering(request("/v0/feature_toggles")) * 1500, LAST)
    assert statuses(answer) == [200] * 1501
    assert not caplog.records


async def test_who_wants_a_tunnel_is_refused(house: House) -> None:
    async with house.serve() as port:
        answer = await said(port, asked(house), b"CONNECT www.va.gov:443 HTTP/1.1\r\nHost: www.va.gov:443\r\n\r\n")
    assert statuses(answer) == [200, 400]
