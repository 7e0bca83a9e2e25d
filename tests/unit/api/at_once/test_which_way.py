"""What is answered at once, what goes on to the ASGI application, and in which order all is answered."""

from __future__ import annotations

import asyncio
import re

import pytest
from msgspec.structs import replace
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from services.api.bodies import OTHER, Receive, Scope, Send
from services.api.reads.at_once import AtOnce
from services.api.reads.front import Front
from tests.unit.api.at_once.house import (
    BULK,
    BUTTONS,
    DATE,
    LAST,
    ONE,
    Counting,
    House,
    asked,
    request,
    said,
    statuses,
)


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
            dates.update(DATE.findall(answer))
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
