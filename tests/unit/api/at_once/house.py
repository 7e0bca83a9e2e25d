"""A service in memory behind uvicorn as Cutover runs it, or as it comes; and who talks to it by bare sockets."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from events.facts import EVERYONE, Audience, Exposure
from projections.flags import FlagSnapshot
from services.api.app import Service, routes, server
from services.api.bodies import App, Receive, Scope, Send, bounded
from services.api.reads.front import Front
from services.people.tokens import Tokens
from services.views.views import Views
from tests.unit.api.desk import NOON, Desk

ONE = "/ofrep/v1/evaluate/flags/a"
BULK = "/ofrep/v1/evaluate/flags"
QUARTER = Exposure("percentage", (Audience(25.0),))
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("a", "b"), QUARTER, readers=("ofrep", "va.gov", "flipper"))
BUTTONS = FlagSnapshot(2, "buttons", 5, NOON, "go_live", ("c",), EVERYONE, readers=("ofrep", "flipper"))
DATE = re.compile(rb"date: [^\r\n]*\r\n")


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
        return DATE.sub(b"", await asyncio.wait_for(reader.read(), 10))
    except ConnectionError:
        return b""
    finally:
        writer.close()


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(min(place, len(whole)) for place in places), len(whole)]
    return [whole[a:b] for a, b in pairwise(ends) if a < b]


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]
