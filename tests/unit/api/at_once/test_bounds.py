"""How long a head may be, and how long a client is waited for."""

from __future__ import annotations

import asyncio

import pytest

from services.api.bodies import Receive, Scope, Send
from services.api.reads.at_once import HEAD
from services.api.reads.front import Front
from tests.unit.api.at_once.house import (
    BULK,
    LAST,
    ONE,
    Counting,
    House,
    asked,
    request,
    said,
    statuses,
)


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
