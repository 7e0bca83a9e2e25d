"""Flag reads that are answered while they are being read: the same bytes as by ASGI, whatever is sent and however it
is cut into pieces, in the same order; what cannot be answered at once goes the other way.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from events.facts import EVERYONE, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window
from services.api.app import Service, routes, server
from services.api.bodies import OTHER, App, Receive, Scope, Send, bounded
from services.api.reads.at_once import HEAD, AtOnce
from services.api.reads.front import Front
from services.people.tokens import Tokens
from services.views.views import Views
from tests.unit.api.desk import NOON, Desk

ONE = "/ofrep/v1/evaluate/flags/a"
BULK = "/ofrep/v1/evaluate/flags"
QUARTER = Exposure("percentage", (Audience(25.0),))
VAOS = FlagSnapshot(1, "vaos", 7, NOON, "cutover", ("a", "b"), QUARTER, readers=("ofrep", "va.gov", "flipper"))
BUTTONS = FlagSnapshot(1, "buttons", 5, NOON, "go_live", ("c",), EVERYONE, readers=("ofrep", "flipper"))
_DATE = re.compile(rb"date: [^\r\n]*\r\n")


class Counting(Front):
    """Counts what comes to it by ASGI."""

    by_asgi = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.by_asgi += scope["type"] == "http"
        await super().__call__(scope, receive, send)


class House:
    """A service in memory with two rollouts, and a reader's token."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.book = Tokens(self.desk.database, lambda: NOON, lambda: 0.0)
        self.book.add("root", "admin", (), by="first start")
        self.token = self.book.add("vets-website", "reader", (), by="root")
        self.desk.flags.hear(BUTTONS, 5)
        self.desk.flags.hear(VAOS, 7)
        views = Views(self.desk.database)
        self.service = Service(self.desk.ask, views, self.desk.flags, self.book, self.desk.vault, lambda: NOON, tuple)
        self.app = self.made()
        self.book.who("")  # the tokens are in memory

    def made(self) -> Counting:
        return Counting(self.service, bounded(cast(App, routes(self.service))))

    @asynccontextmanager
    async def serve(self, *, plainly: bool = False, **settings: Any) -> AsyncIterator[int]:
        """The port of uvicorn as Cutover runs it, or `plainly` as it comes."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            host, port = listening.getsockname()
            self.app = self.made()
            running = server(self.app, host, port)
            if plainly:
                running.config.http = "httptools"
            for name, value in settings.items():
                setattr(running.config, name, value)
            task = asyncio.create_task(running.serve(sockets=[listening]))
            yield port
            running.should_exit = True
            await task


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def request(target: str, body: str | None = None, method: str = "", token: str = "", **headers: str) -> bytes:
    method = method or ("GET" if body is None else "POST")
    lines = [f"{method} {target} HTTP/1.1", "Host: cutover.test"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode()


def asked(house: House, target: str = ONE, user: str = "u1", **headers: str) -> bytes:
    return request(target, f'{{"context":{{"targetingKey":"{user}"}}}}', token=house.token, **headers)


LAST = request("/healthz", connection="close")


async def said(port: int, *parts: bytes, eof: bool = False) -> bytes:
    """Everything that is answered, without the dates; the parts are sent one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if eof:
            writer.write_eof()
        return _DATE.sub(b"", await asyncio.wait_for(reader.read(), 10))
    except ConnectionError:
        return b""
    finally:
        writer.close()


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(min(place, len(whole)) for place in places), len(whole)]
    return [whole[a:b] for a, b in pairwise(ends) if a < b]


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


# -- the same as by ASGI


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
    '{"context":{"targetingKey":"u3","cutoverPin":"r6@0"}}',
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


# -- which way


@pytest.mark.parametrize("target", [ONE, BULK, "/v0/feature_toggles?cookie_id=u1", "/flipper/features?keys=a"])
async def test_a_plain_read_never_becomes_a_task(house: House, target: str) -> None:
    read = asked(house, target) if target.startswith("/ofrep") else request(target, token=house.token)
    async with house.serve() as port:
        assert statuses(await said(port, read, read + read, LAST)) == [200, 200, 200, 200]
    assert house.app.by_asgi == 1  # the last one, of /healthz


async def test_head_and_body_may_come_apart(house: House) -> None:
    head, _, body = asked(house).partition(b"\r\n\r\n")
    async with house.serve() as port:
        assert statuses(await said(port, head + b"\r\n\r\n", body[:5], body[5:], LAST)) == [200, 200]
    assert house.app.by_asgi == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_connection_that_is_to_end_ends(house: House, version: str) -> None:
    read = asked(house, connection="close").replace(b"HTTP/1.1", f"HTTP/{version}".encode())
    async with house.serve() as port:
        answer = await said(port, read)
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


async def test_a_body_over_the_limit_goes_the_other_way_and_is_refused(house: House) -> None:
    async with house.serve() as port:
        assert statuses(await said(port, asked(house, user="u" * OTHER))) == [413]
    assert house.app.by_asgi == 1


async def test_etags_may_come_in_several_lines_whichever_way_they_go(house: House) -> None:
    for target in (BULK, "/ofrep/v1/evaluate/%66lags"):
        async with house.serve() as port:
            etag = re.findall(r"etag: (.*)\r\n", (await said(port, asked(house, BULK), LAST)).decode())[0]
            ours, another = f"If-None-Match: {etag}\r\n", 'If-None-Match: "r1-0123456789abcdef"\r\n'
            for lines in (ours + another, another + ours):
                read = asked(house, target).replace(b"Content-Length", lines.encode() + b"Content-Length")
                assert statuses(await said(port, read, LAST)) == [304, 200]


async def test_what_waits_goes_the_other_way_and_nothing_has_happened_before(house: House) -> None:
    async with house.serve() as port:
        house.book._read_at = None  # the tokens are to be read again
        assert statuses(await said(port, asked(house), LAST)) == [200, 200]
        assert house.app.by_asgi == 2
        assert statuses(await said(port, asked(house), LAST)) == [200, 200]
        assert house.app.by_asgi == 3  # they have been read


async def test_what_is_refused_is_said_with_the_same_words(house: House) -> None:
    async with house.serve() as port:
        answer = await said(port, request("/v0/feature_toggles?user=u1"), LAST)
    assert statuses(answer) == [401, 200]
    assert b"www-authenticate" in answer


async def test_a_failure_is_logged_once_and_ends_no_connection(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.api.reads.feature_toggles.about", lambda moment: 1 / 0)
    async with house.serve() as port:
        assert statuses(await said(port, request("/v0/feature_toggles"), LAST)) == [500, 200]
    assert caplog.text.count("ZeroDivisionError") == 1


# -- an offer to change to another protocol


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
    head, _, body = offering(asked(house, user="u3")).partition(b"\r\n\r\n")
    parts = (head + b"\r\n\r\n", body) if apart else (head + b"\r\n\r\n" + body,)
    async with house.serve() as port:
        answer = await said(port, *parts, *parts, LAST)
        assert answer == await said(port, asked(house, user="u3") * 2, LAST)
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


# -- how long a head may be


def in_segments(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


HEADS = ("/v0/feature_toggles?cookie_id=", "/healthz?x=", "/v0/feature_toggles\r\nX: ", "/healthz\r\nX: ")


@pytest.mark.parametrize("size", [256 * 1024, 1400])
@pytest.mark.parametrize("target", HEADS)
async def test_a_head_has_64_kibibytes(house: House, target: str, size: int) -> None:
    """In the URL or in a header; the request before and the one behind it are answered as ever."""
    target, _, header = target.partition("\r\n")
    lines = [f"GET {target}", " HTTP/1.1", *([f"\r\n{header}"] if header else []), "\r\n\r\n"]
    lines.insert(3 if header else 1, "a" * (HEAD - len("".join(lines))))
    longest = "".join(lines).encode()
    async with house.serve() as port:
        assert len(longest) == HEAD
        assert statuses(await said(port, *in_segments(asked(house) + longest + LAST, size))) == [200, 200, 200]
        answer = await said(port, *in_segments(asked(house) + longest.replace(b"a" * 9, b"a" * 10) + LAST, size))
    assert statuses(answer) == [200, 431]
    assert b"/problems/head-too-large" in answer
    assert b"connection: close" in answer


ENDLESS = (
    b"GET /v0/feature_toggles?",
    b"GET /healthz HTTP/1.1\r\nX: ",
    b"POST /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    b"POST /ofrep/v1/evaluate/flags/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\nX: ",
    b"POST /ofrep/v1/evaluate/flags/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
)


@pytest.mark.parametrize("begin", ENDLESS)
async def test_what_is_no_body_is_not_read_without_end(house: House, begin: bytes) -> None:
    """Also behind a body: a chunk's extension, a trailer. Where an answer is under way the connection just ends."""
    async with house.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (begin, *in_segments(b"a" * 300_000, 1000)):
            writer.write(part)
        line = await asyncio.wait_for(reader.readline(), 5)
        assert statuses(line) == ([] if begin.startswith(b"POST /healthz") else [431])
        writer.write(b"a" * 8_000_000)
        await reader.read()
        writer.close()


async def test_a_body_is_longer_than_a_head_may_be(house: House) -> None:
    body = b"5\r\n     \r\n" * 12_000 + b"2\r\n{}\r\n0\r\n\r\n"
    chunked = request(ONE, token=house.token, method="POST", transfer_encoding="chunked") + body
    async with house.serve() as port:
        for size in (256 * 1024, 1400):
            assert statuses(await said(port, *in_segments(chunked + LAST, size))) == [200, 200]


# -- how long a client is waited for


UNFINISHED = (
    b"",
    b"\r\n",
    b"GET /v0/fea",
    b"GET /healthz HTTP/1.1\r\nX: ",
    LAST[:-2],
    request(ONE, "{}", token="TOKEN")[:-1],
    request("/v1/rollouts", "{}")[:-1],
)


@pytest.mark.parametrize("after", [b"", request("/v0/feature_toggles"), request("/healthz")])
@pytest.mark.parametrize("part", UNFINISHED)
async def test_who_does_not_finish_a_request_is_not_waited_for(
    house: House, part: bytes, after: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent from the beginning, in a head, in a body, or between two requests."""
    monkeypatch.setattr("services.api.reads.at_once.PATIENCE", 0.2)
    part = part.replace(b"TOKEN", house.token.encode())
    async with house.serve(timeout_keep_alive=1) as port:
        assert statuses(await said(port, after + part)) == [200] * bool(after)


async def test_an_empty_line_after_an_answer_keeps_no_connection(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.reads.at_once.PATIENCE", 0.2)
    async with house.serve() as port:
        for read in (asked(house), asked(house, BULK + "/%61")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(read)
            await reader.readuntil(b"}}")
            writer.write(b"\r\n")
            assert await asyncio.wait_for(reader.read(), 3) == b""
            writer.close()


async def test_a_head_that_comes_ever_so_slowly_is_not_waited_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.reads.at_once.PATIENCE", 0.3)
    async with house.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v0/feature_toggles?")
        ended = asyncio.create_task(reader.read())
        for _ in range(200):
            if ended.done():
                break
            writer.write(b"a")
            await asyncio.sleep(0.02)
        assert ended.done()
        writer.close()


async def test_a_body_that_comes_slowly_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.reads.at_once.PATIENCE", 0.3)
    async with house.serve() as port:
        for target in (ONE, "/v1/rollouts"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head, _, body = asked(house, target, "u" * 20, connection="close").partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            for at in range(0, len(body), 2):
                writer.write(body[at : at + 2])
                await asyncio.sleep(0.05)
            assert statuses(await reader.read()) in ([200], [422])
            writer.close()


async def test_an_answer_is_waited_for_however_long_it_takes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.reads.at_once.PATIENCE", 0.1)

    async def slowly(self: Front, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await Front.__call__(self, scope, receive, send)

    monkeypatch.setattr(Counting, "__call__", slowly)
    async with house.serve() as port:
        assert statuses(await said(port, LAST)) == [200]


# -- the order of answers


def answered_keys(answers: bytes) -> list[str]:
    return re.findall(r'\{"key":"([^"]*)"', answers.decode())


async def test_pipelined_requests_are_answered_in_their_order_whichever_way_they_go(house: House) -> None:
    """One that waits, between ones that do not."""
    keys = ["a", "%61", "b", "c", "%61", "%62", "a", "b"]
    async with house.serve() as port:
        answer = await said(port, b"".join(asked(house, f"{BULK}/{key}") for key in keys) + LAST)
    assert answered_keys(answer) == ["a", "a", "b", "c", "a", "b", "a", "b"]
    assert answer.rstrip().endswith(b'{"alive":true}')


async def test_what_was_answered_is_sent_before_the_connection_ends(house: House) -> None:
    async with house.serve() as port:
        assert statuses(await said(port, asked(house), eof=True)) == [200]
        assert statuses(await said(port, asked(house) + b"\x00\x00\r\n\r\n")) == [200, 400]


async def test_a_server_that_stops_answers_what_it_has_read(house: House) -> None:
    async with house.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked(house))
        first = await reader.readuntil(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"}")  # and the connection is closed
    writer.close()


async def test_an_idle_connection_is_closed_and_one_that_is_used_is_not(house: House) -> None:
    async with house.serve(timeout_keep_alive=1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        dates = set()
        for _ in range(4):
            writer.write(asked(house))
            answer = await reader.readuntil(b"}}")
            assert answer.startswith(b"HTTP/1.1 200")
            dates.update(_DATE.findall(answer))
            await asyncio.sleep(0.5)
        assert len(dates) > 1
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_client_that_does_not_read_is_not_answered_without_end(house: House) -> None:
    """What is written waits in memory: so many requests, and no more, are taken from who takes no answers."""
    async with house.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = await _pushed(writer, asked(house, BULK) * 100, most=400)
        assert sent < 400
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        writer.write(LAST)
        answers = await asyncio.wait_for(reader.read(), 60)
        assert statuses(answers) == [200] * (100 * (sent + 1) + 1)
        writer.close()


async def test_no_more_is_answered_at_once_than_a_connection_should_hold(house: House) -> None:
    """What came in one segment may ask for far more than that; the rest is answered when this has been read."""
    house.desk.flags.hear(replace(BUTTONS, revision=9, toggles=tuple(f"toggle_{n}" for n in range(500))), 9)
    held = []
    write = AtOnce._write

    def written(self: AtOnce) -> None:
        held.append(sum(len(reply.body) for reply in self._replies))
        write(self)
        held.append(self.transport.get_write_buffer_size())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AtOnce, "_write", written)
        async with house.serve() as port:
            answers = await said(port, asked(house, BULK) * 300 + LAST)
    assert statuses(answers) == [200] * 301
    assert max(held) < 2 * (HIGH_WATER_LIMIT + 2 * len(answers) / 300)


async def test_no_more_is_read_while_requests_wait_for_their_turn(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(self: Front, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await Front.__call__(self, scope, receive, send)

    monkeypatch.setattr(Counting, "__call__", slowly)
    async with house.serve() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
        assert await _pushed(writer, request("/healthz") * 1000, most=400) < 400
        writer.transport.abort()


async def _pushed(writer: asyncio.StreamWriter, some: bytes, most: int) -> int:
    """How often that was taken before the other side took no more."""
    for times in range(most):
        writer.write(some)
        try:
            await asyncio.wait_for(writer.drain(), 1)
        except TimeoutError:
            return times
    return most


# -- a question that is asked again


async def test_an_answer_is_remembered_only_as_long_as_it_is_one(house: House) -> None:
    async with house.serve() as port:
        for user in ("u1", "u2", "u1"):
            assert b'"value":false' in await said(port, asked(house, user=user), LAST)
        house.desk.flags.hear(replace(VAOS, revision=8, exposure=EVERYONE), 8)
        answer = await said(port, asked(house), LAST)
        assert b'"value":true' in answer
        assert b'"revision":8' in answer


async def test_a_window_ends_for_a_question_that_is_remembered(house: House) -> None:
    window = Window("s1", "t1", NOON - timedelta(minutes=1), NOON + timedelta(minutes=1), opened=True)
    testers = {"t1": house.desk.vault.hmac("u1")}
    house.desk.flags.hear(replace(VAOS, revision=8, exposure=TESTERS, windows=(window,), testers=testers), 8)
    async with house.serve() as port:
        for _ in range(2):
            assert b'"value":true' in await said(port, asked(house), LAST)
        house.desk.flags.now = NOON + timedelta(minutes=1)
        assert b'"value":false' in await said(port, asked(house), LAST)


async def test_a_revoked_token_is_not_remembered(house: House) -> None:
    async with house.serve() as port:
        for _ in range(2):
            assert statuses(await said(port, asked(house), LAST)) == [200, 200]
        house.book.revoke("vets-website", by="root")
        assert statuses(await said(port, asked(house), LAST)) == [401, 200]


async def test_of_a_pinned_read_the_pinned_answer_is_given_each_time(house: House) -> None:
    pinned = request(ONE, '{"context":{"targetingKey":"u1","cutoverPin":"r7@0"}}', token=house.token)
    async with house.serve() as port:
        before = await said(port, pinned, LAST)
        house.desk.flags.hear(replace(VAOS, revision=8, exposure=EVERYONE), 8)
        assert await said(port, pinned, LAST) == before
        assert b'"value":true' in await said(port, asked(house), LAST)


def test_no_more_is_remembered_than_has_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.reads.remembered.MOST", 10)
    headers = {b"authorization": f"Bearer {house.token}".encode()}
    for n in range(100):
        body = f'{{"context":{{"targetingKey":"u{n}"}}}}'.encode()
        assert house.app.at_once(b"POST", ONE.encode(), headers, body) is not None
    kept = house.app._remembered._replies
    assert 0 < len(kept) <= 10
    long = b'{"context":{"targetingKey":"%s"}}' % (b"u" * 1000)
    assert house.app.at_once(b"POST", ONE.encode(), headers, long) is not None
    assert all(len(body or b"") < 100 for _, _, body, *_ in kept)
