"""The API behind uvicorn as Cutover runs it: what only a real connection shows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from services.api.app import Service, make_app, server
from services.people.tokens import Tokens

MEGABYTE = 1024 * 1024


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    """The socket listens before the server runs: who comes early waits in its queue."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        running = server(make_app(service), host, port)
        task = asyncio.create_task(running.serve(sockets=[listening]))
        yield f"http://{host}:{port}"
        running.should_exit = True
        await task


@pytest.fixture
def token(book: Tokens) -> str:
    return book.add("morgan", "release_manager", (), by="root")


@pytest.fixture
async def client(url: str, token: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        yield client


def test_unused_connections_are_kept_longer_than_load_balancers_keep_theirs(service: Service) -> None:
    assert server(make_app(service), "127.0.0.1", 0).config.timeout_keep_alive > 60


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 8192):
        yield b" " * 8192


async def test_a_megabyte_is_answered_with_413_and_not_with_a_broken_pipe(client: httpx.AsyncClient) -> None:
    for path in ("/v1/rollouts", "/v1/rollouts/small/commands", "/v1/tokens"):
        for body in (b" " * MEGABYTE, chunks(MEGABYTE)):
            response = await client.post(path, content=body)
            assert response.status_code == 413
            assert response.headers["content-type"] == "application/problem+json"


async def test_a_body_without_end_is_cut_off(url: str, token: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode())
    sent = await _flood(writer, most=200 * MEGABYTE)
    assert sent < 100 * MEGABYTE
    said = await _rest(reader)
    assert said == b"" or said.startswith(b"HTTP/1.1 413")
    writer.transport.abort()


async def _flood(writer: asyncio.StreamWriter, most: int) -> int:
    """Send until the other side has had enough; how many bytes it took."""
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for sent in range(0, most, 65536):
        writer.write(chunk)
        try:
            await writer.drain()
        except ConnectionError:
            return sent
    return most


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_client_that_goes_away_in_the_middle_of_its_body_disturbs_nobody(
    url: str, client: httpx.AsyncClient
) -> None:
    host, port = url.removeprefix("http://").split(":")
    for _ in range(5):
        _reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.close()
    assert (await client.get("/v1/rollouts")).status_code == 200


async def test_neither_queries_nor_the_servers_name_are_told_to_anybody(
    client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/v1/rollouts/small/flags", params={"user": "mrs-miller"})
    assert response.status_code == 404
    assert "server" not in response.headers
    written = capfd.readouterr()
    said = [r.getMessage() for r in caplog.records if r.name.startswith(("uvicorn", "services", "litestar"))]
    assert "mrs-miller" not in written.out + written.err + json.dumps(said)


def _pairs() -> Iterator[tuple[str, int]]:
    yield from (("/healthz", 200), ("/readyz", 200), ("/v1/rollouts", 401))


async def test_the_open_paths_are_open_and_the_others_are_not(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as stranger:
        for path, status in _pairs():
            assert (await stranger.get(path)).status_code == status
