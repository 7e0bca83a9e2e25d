"""Requests, bounded: a plain ASGI layer in front of the routes.

One rule: no more of a body is kept than its limit, whatever Content-Length says or leaves out. What is over it is
read and thrown away for a while, because a client that is still sending does not see an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from services.api.problems import MEDIA_TYPE, Failed, encoded, failed

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAN = 256 * 1024
OTHER = 64 * 1024
SIGNAL = 512 * 1024
WITH_PLAN = 2 * PLAN  # a command around a plan, whose text JSON may make longer
THROWN_AWAY = 8 * 1024 * 1024
SAFE = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Disconnected(Exception):
    """The client went away before its body was whole."""


def bounded(app: App) -> App:
    """The app, given only whole bodies within their limits; every answer gets the safe headers."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        safely = _with_headers(send)
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            await _answer(safely, failed("malformed", "the address holds the character U+0000"))
            return
        limit = limit_for(scope["method"], scope["path"])
        try:
            body = await read_body(receive, limit)
        except Disconnected:
            return
        if body is None:
            await _answer(safely, failed("too-large", f"at most {limit} bytes are read here"))
        else:
            await app(scope, _replay(body, receive), safely)

    return front


def limit_for(method: str, path: str) -> int:
    """The most bytes that a body sent here may have. A command may carry a plan; `commands` looks closer."""
    if method == "POST" and path.rstrip("/") == "/v1/rollouts":
        return PLAN
    if method == "POST" and path.rstrip("/").endswith("/commands"):
        return WITH_PLAN
    if method == "POST" and path.startswith("/v1/signals"):
        return SIGNAL
    return OTHER


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None: it is over the limit. Raises Disconnected."""
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit + THROWN_AWAY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts) if size <= limit else None


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever comes after it (a disconnect)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, problem: Failed) -> None:
    """Answered here, before any route; what is left of the body is not read, so the connection ends."""
    content = encoded(problem)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _with_headers(send: Send) -> Send:
    async def safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *SAFE]}
        await send(message)

    return safely
