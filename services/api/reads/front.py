"""The way in: flag reads are answered here, everything else goes on to the routes.

One rule: a path belongs to one room by how it begins; who answers there gives a `Reply` or raises `Refused`, and
nothing that a client sends ends in a stack trace.
"""

from __future__ import annotations

import logging

import msgspec

from services.api.bodies import App, Disconnected, Receive, Scope, Send
from services.api.problems import MEDIA_TYPE, TITLES, Problem
from services.api.reads import feature_toggles, flipper
from services.api.reads.feature_toggles import FeatureToggles
from services.api.reads.flipper import Flipper
from services.api.reads.moment import Moments
from services.api.reads.ofrep import Ofrep
from services.api.reads.stream import Stream
from services.api.reads.tickets import Tickets
from services.api.reads.who import Readers
from services.api.reads.wire import Handler, Read, Refused, Reply, answer
from services.api.service import Service

logger = logging.getLogger("cutover.flags")

PATHS: tuple[tuple[str, str], ...] = (
    ("POST", "/ofrep/v1/evaluate/flags/{key}"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("GET", "/ofrep/v1/events"),
    ("GET", "/v0/feature_toggles"),
    ("GET", "/flipper/features"),
    ("GET", "/flipper/features/{key}"),
    ("GET", "/flipper/actors/{actor}"),
)
"""Method and path of everything that is answered here."""


class Front:
    """An ASGI app before another one."""

    def __init__(self, service: Service, behind: App) -> None:
        moments, readers = Moments(service.flags, service.vault.hmac), Readers(service.tokens)
        tickets = Tickets(service.vault.derived, service.now)
        self._stream = Stream(service.flags, moments, readers, tickets)
        self._behind = behind
        self._rooms: tuple[tuple[str, Handler], ...] = (
            ("/ofrep/", Ofrep(moments, readers, tickets, self._stream).handle),
            (feature_toggles.PATH, FeatureToggles(moments, readers).handle),
            (flipper.PATH + "/", Flipper(moments, readers, service.vault.ids).handle),
        )

    def close(self) -> None:
        """End what would go on for ever, so that the server can stop."""
        self._stream.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("//"):  # the client's base URL ends in a slash
                path = "/" + path.lstrip("/")
            for prefix, handle in self._rooms:
                if path.startswith(prefix):
                    await _handled(handle, Read(scope, path, receive), send)
                    return
        await self._behind(scope, receive, send)


async def _handled(handle: Handler, read: Read, send: Send) -> None:
    try:
        reply = await handle(read)
    except Disconnected:
        return
    except Refused as refused:
        problem = Problem(f"/problems/{refused.slug}", refused.words, refused.status, refused.words)
        reply = Reply(refused.status, msgspec.json.encode(problem), refused.headers, MEDIA_TYPE.encode())
    except Exception:
        logger.exception("%s %s failed", read.method, read.path)
        problem = Problem("/problems/internal", TITLES["internal"][1], 500, "the service's own log says what happened")
        reply = Reply(500, msgspec.json.encode(problem), (), MEDIA_TYPE.encode())
    await answer(read, reply, send)
