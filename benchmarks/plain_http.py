"""HTTP clients that cost next to nothing, so that what is measured is the server.

One rule: one request at a time on a connection that is kept, and only answers with a Content-Length.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from types import TracebackType

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class PlainHttp:
    """Posts to one server of this machine, over as many connections as there are requests at a time."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._port = port
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._idle: list[Wire] = []
        self._all: list[Wire] = []

    async def post(self, path: str, body: bytes) -> int:
        """The status; the body of the answer is read and dropped."""
        wire = self._idle.pop() if self._idle else await self._connect()
        reader, writer = wire
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        self._idle.append(wire)
        return int(answer.split(b" ", 2)[1])

    async def _connect(self) -> Wire:
        self._all.append(await asyncio.open_connection("127.0.0.1", self._port))
        return self._all[-1]

    async def __aenter__(self) -> PlainHttp:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for _reader, writer in self._all:
            writer.close()


class Line:
    """One connection without an event loop: the whole answer is there when `ask` returns."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, sent: bytes) -> bytes:
        """The answer to one request, headers and body."""
        self._socket.sendall(sent)
        answer = b""
        while len(answer) < length_of(answer):
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionError("the server has hung up")
            answer += received
        return answer

    def close(self) -> None:
        self._socket.close()


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """A request as it goes over the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}{length}\r\n{body}".encode()


def length_of(received: bytes) -> int:
    """How long the answer that begins so is, headers and body; before its headers are there: more than this."""
    end = received.find(b"\r\n\r\n") + 4
    if end < 4:
        return len(received) + 1
    head = received[:end].lower()
    return end + int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
