"""The records as they come, as server-sent events: of one rollout, or of all.

One rule: a client that comes back with the last id it got misses nothing and gets nothing twice; so a client that
reads too slowly, or whose token was revoked, may be hung up on at any time.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from time import monotonic
from typing import Any

from litestar import get
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from events.plan.names import IDENTIFIER
from services import event_stream
from services.api.access import actor_of, still_known
from services.api.described import ROLLOUT, Described, Param, Revision, described
from services.api.problems import failed, unknown_rollout
from services.api.service import Request, service_of
from services.log.protocol import LogError
from services.record_feed import BEAT, Chunk, RecordFeed, TooMany

logger = logging.getLogger("cutover.feed")

RETRY = 1000  # milliseconds after which a client comes back
SLOW = 10.0  # seconds that a client may leave what it was sent
FOLLOW = {"true": True, "false": False}
LATER = {"Retry-After": "5"}
HEADERS = [
    (b"content-type", event_stream.MEDIA_TYPE.encode()),
    (b"x-accel-buffering", b"no"),  # a proxy that gathers bytes before it passes them on would hold events back
]
_REVISION = re.compile(r"[0-9]{1,18}")


STREAM = {
    "type": "object",
    "description": "One server-sent event, as it is read: a record.",
    "required": ["id", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The revision."},
        "event": {"enum": ["message", "unreadable"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/cloudevents+json",
            "contentSchema": {"$ref": "#/components/schemas/CloudEvent"},
        },
    },
}
PARAMS = (
    Param("after", "Go on above this revision; without it from now on.", Revision),
    Param("Last-Event-ID", "The same; it says more than `after`.", Revision, "header"),
    Param("follow", "`false`: end when everything up to now is told.", bool),
)


def _described(*params: Param) -> Described:
    problems = ("too-many", "behind", "unavailable")
    kind = event_stream.MEDIA_TYPE
    return described("events", STREAM, "The stream.", media_type=kind, params=(*params, *PARAMS), problems=problems)


@get("/v1/events", opt=_described())
async def everything(request: Request) -> ASGIApp:
    """Every record of all rollouts, as it comes."""
    return await _stream(request, "")


@get("/v1/rollouts/{rollout:str}/events", opt=_described(ROLLOUT))
async def of_rollout(request: Request, rollout: FromPath[str]) -> ASGIApp:
    """Every record of one rollout, as it comes."""
    if not IDENTIFIER.fullmatch(rollout) or not await _feed(request).has(rollout):
        raise unknown_rollout(rollout)
    return await _stream(request, rollout)


async def _stream(request: Request, rollout: str) -> ASGIApp:
    feed = _feed(request)
    after = await _place(request, feed)
    chunks = feed.listen(after, rollout, None if _follow(request) else await feed.head())

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with feed.opened(actor_of(request).subject):
                await _unless_gone(_tell(request, after, chunks, send), receive)
        except TimeoutError:
            logger.warning("a listener of '%s' was too slow and is hung up on", actor_of(request).subject)
        except TooMany as error:
            raise failed("too-many", f"{error}: close one, or come back later", headers=LATER) from error

    return app


async def _place(request: Request, feed: RecordFeed) -> int:
    """The revision after which the client wants to go on; where it names none: the last one."""
    asked = request.headers.get("last-event-id") or request.query_params.get("after") or ""
    held = feed.position or 0
    if not asked:
        return held
    if not _REVISION.fullmatch(asked):
        raise failed("malformed", f"after (or Last-Event-ID): expected a revision, found '{asked[:40]}'")
    if int(asked) > held and int(asked) > (head := await feed.head()):
        raise failed("behind", f"revision {asked} was asked for; the log ends at {head}", revision=head)
    return int(asked)


def _follow(request: Request) -> bool:
    asked = request.query_params.get("follow", "true")
    if asked not in FOLLOW:
        raise failed("malformed", f"follow: expected true or false, found '{asked[:40]}'")
    return FOLLOW[asked]


def _feed(request: Request) -> RecordFeed:
    feed = service_of(request).feed
    if feed is None or feed.position is None or feed.ended:
        raise failed("unavailable", "the log has not been heard of here yet")
    return feed


# -- one client's stream


async def _tell(request: Request, after: int, chunks: AsyncGenerator[Chunk, None], send: Send) -> None:
    """Send everything, until the end of the feed or of the client's patience, or of ours with the client."""
    checked = monotonic()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await _send(send, event_stream.opening(after, RETRY))
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await _send(send, chunk.data or event_stream.place(chunk.upto))
                if monotonic() - checked >= BEAT:
                    if not await still_known(request):
                        break
                    checked = monotonic()
    except LogError as error:
        logger.warning("a listener is hung up on, to come back: %s", error)
    await _send(send, b"", more=False)


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    """Raises TimeoutError where the client leaves what it was sent before."""
    async with asyncio.timeout(SLOW):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _unless_gone(telling: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Tell until all is told or the client has gone away."""
    tasks = asyncio.create_task(telling), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
