"""A flag read as it comes over the wire, and the answer to it.

One rule: nothing of a request is looked at twice, and what an answer always has is encoded once, here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qsl

from services.api.bodies import OTHER, SAFE, Message, Receive, Scope, Send, read_body
from services.api.problems import TITLES
from services.api.reads import cors

JSON = b"application/json"
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


_STATUS = {"context": 400, "gone": 410}


class Reply:
    """What is sent; one that was made once may be sent many times, so its headers are put together here.

    `goes_on` sends what comes after the headers, in its own time, instead of `body`.
    """

    __slots__ = ("end", "goes_on", "start")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers = (),
        content_type: bytes = JSON,
        goes_on: Callable[[Send], Awaitable[None]] | None = None,
    ) -> None:
        sent = [*SAFE, *headers]
        if body or goes_on:
            sent.append((b"content-type", content_type))
        if not goes_on and status not in (204, 304):
            sent.append((b"content-length", b"%d" % len(body)))
        self.start: Message = {"type": "http.response.start", "status": status, "headers": sent}
        self.end: Message = {"type": "http.response.body", "body": body}
        self.goes_on = goes_on


class Read:
    """One request for flags."""

    __slots__ = ("_query", "_receive", "headers", "method", "path", "query_string", "scope")

    def __init__(self, scope: Scope, path: str, receive: Receive) -> None:
        """`path` without what a trailing slash in the client's base URL left before it."""
        self.scope = scope
        self.method: str = scope["method"]
        self.path = path
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.query_string: bytes = scope["query_string"]
        self._query: dict[str, str] | None = None
        self._receive = receive

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
        message = await self._receive()
        if not message.get("more_body", False) and len(message.get("body", b"")) <= OTHER:
            found: bytes = message.get("body", b"")
            return found
        whole = await read_body(self._receive, OTHER, message)
        if whole is None:
            raise Refused("too-large", f"at most {OTHER} bytes are read here", ((b"connection", b"close"),))
        return whole

    async def gone(self) -> None:
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


Handler: TypeAlias = Callable[[Read], Awaitable[Reply]]


async def answer(read: Read, reply: Reply, send: Send) -> None:
    """Send it; to another origin's page only where that page may read it (`cors`)."""
    if b"origin" in read.headers:
        headers = [*reply.start["headers"], *cors.headers(read.path, read.headers[b"origin"])]
        await send({**reply.start, "headers": headers})
    else:
        await send(reply.start)
    if reply.goes_on and read.method != "HEAD":
        await reply.goes_on(send)
    else:
        await send(reply.end)
