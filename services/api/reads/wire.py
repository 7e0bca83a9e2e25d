"""A flag read as it comes over the wire, and the answer to it.

One rule: nothing of a request is looked at twice, and what an answer always has is encoded once, here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from copy import copy
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from services.api.bodies import OTHER, SAFE, Message, Receive, Send, read_body
from services.api.problems import TITLES
from services.api.reads import cors

JSON = b"application/json"
NONE_MATCH = b"if-none-match"
MOST_FIELDS = 100  # of a query

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Refused(Exception):
    """A read that is not answered: `status`, and words for whoever asked. Each protocol gives them its own body.

    `slug` is one of the problems' (`services.api.problems.TITLES`), or one of this room's own.
    """

    def __init__(self, slug: str, words: str, headers: Headers = ()) -> None:
        super().__init__(words)
        self.slug = slug
        self.status = _STATUS.get(slug) or TITLES[slug][0]
        self.words = words
        self.headers = headers


_STATUS = {"context": 400}


class Reply:
    """What is sent; one that was made once may be sent many times, so it is put together here.

    `goes_on` sends what comes after the headers, in its own time, instead of `body`.
    """

    __slots__ = ("_wire", "body", "goes_on", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers = (),
        content_type: bytes = JSON,
        goes_on: Callable[[Send], Awaitable[None]] | None = None,
    ) -> None:
        more = list(headers)
        if body or goes_on:
            more.append((b"content-type", content_type))
        if not goes_on and status not in (204, 304):
            more.append((b"content-length", b"%d" % len(body)))
        self.status = status
        self.headers: Headers = (*SAFE, *more)
        self.body = body
        self.goes_on = goes_on
        self._wire: bytes | None = None

    def wire(self) -> bytes:
        """Headers and body as HTTP/1.1 has them, without the status line and what the server adds."""
        if self._wire is None:
            self._wire = b"".join(b"%s: %s\r\n" % header for header in self.headers) + b"\r\n" + self.body
        return self._wire

    def seen_by(self, read: Read) -> Reply:
        """The same, that another origin's page may read where `cors` lets it."""
        origin = read.headers.get(b"origin")
        if origin is None:
            return self
        seen = copy(self)
        seen.headers, seen._wire = (*self.headers, *cors.headers(read.path, origin)), None
        return seen


async def nothing_more() -> Message:
    """What is received from a client that has sent everything."""
    return {"type": "http.disconnect"}


def by_name(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of several lines with one name the last; but ETags may be spread over several (RFC 9110, 5.3)."""
    found = dict(headers)
    if NONE_MATCH in found:
        found[NONE_MATCH] = b", ".join(value for name, value in headers if name == NONE_MATCH)
    return found


class Read:
    """One request for flags."""

    __slots__ = ("_query", "_receive", "_whole", "headers", "method", "path", "query_string")

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: dict[bytes, bytes],
        receive: Receive = nothing_more,
        whole: bytes | None = None,
    ) -> None:
        """`path` without what a trailing slash in the client's base URL left before it; headers by lower-case names.

        `whole`: the body, where it is here already (64 KiB at most).
        """
        self.method = method
        self.path = path
        self.headers = headers
        self.query_string = query
        self._query: dict[str, str] | None = None
        self._receive = receive
        self._whole = whole

    @property
    def query(self) -> dict[str, str]:
        """The query's fields; of several with one name the last. Raises Refused when there are absurdly many."""
        if self._query is None:
            try:
                text = self.query_string.decode("latin-1")
                self._query = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
            except ValueError:
                raise Refused("malformed", f"at most {MOST_FIELDS} fields are read in a query") from None
        return self._query

    async def body(self) -> bytes:
        """The whole body, at most 64 KiB. Raises Refused, and Disconnected when the client went away."""
        if self._whole is None:
            self._whole = await read_body(self._receive, OTHER)
        if self._whole is None:
            raise Refused("too-large", f"at most {OTHER} bytes are read here", ((b"connection", b"close"),))
        return self._whole

    async def gone(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


Handler: TypeAlias = Callable[[Read], Coroutine[Any, Any, Reply]]


async def answer(read: Read, reply: Reply, send: Send) -> None:
    """Send it by ASGI."""
    reply = reply.seen_by(read)
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    if reply.goes_on and read.method != "HEAD":
        await reply.goes_on(send)
    else:
        await send({"type": "http.response.body", "body": reply.body})
