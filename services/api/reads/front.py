"""The way in: flag reads are answered here, everything else goes on to the routes.

One rule: a path belongs to one room by how it begins; who answers there gives a `Reply` or raises `Refused`, and
nothing that a client sends ends in a stack trace.
"""

from __future__ import annotations

import logging

from services.api.bodies import App, Disconnected, Receive, Scope, Send
from services.api.problems import MEDIA_TYPE, encoded, failed
from services.api.reads import feature_toggles, flipper, ofrep
from services.api.reads.feature_toggles import USER_HEADER, FeatureToggles
from services.api.reads.flipper import Flipper
from services.api.reads.moment import Moments
from services.api.reads.ofrep import Ofrep
from services.api.reads.remembered import Question, Remembered
from services.api.reads.stream import Stream
from services.api.reads.tickets import Tickets
from services.api.reads.waiting import without_waiting
from services.api.reads.who import Readers
from services.api.reads.wire import Handler, Read, Refused, Reply, answer, by_name
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

FLIPPER = flipper.PATH + "/"
AT_ONCE = (ofrep.FLAGS.encode(), feature_toggles.PATH.encode(), FLIPPER.encode())
"""How the targets of those requests begin that can be answered `at_once`."""
_METHODS = (b"GET", b"POST")


class Front:
    """An ASGI app before another one."""

    def __init__(self, service: Service, behind: App) -> None:
        moments, readers = Moments(service.flags, service.vault.hmac), Readers(service.tokens)
        tickets = Tickets(service.vault.derived, service.now)
        self._stream = Stream(service.flags, moments, readers, tickets)
        self._tokens = service.tokens
        self._remembered = Remembered(moments, service.tokens)
        self._behind = behind
        self._rooms: tuple[tuple[str, Handler], ...] = (
            ("/ofrep/", Ofrep(moments, readers, tickets, self._stream).handle),
            (feature_toggles.PATH, FeatureToggles(moments, readers).handle),
            (FLIPPER, Flipper(moments, readers, service.vault.ids).handle),
        )

    def close(self) -> None:
        """End what would go on for ever, so that the server can stop."""
        self._stream.close()

    def at_once(self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes) -> Reply | None:
        """The answer to a plain read (method, path with query, headers by lower-case names) that nothing keeps waiting.

        None: `__call__` has to be asked, because there is something to wait for, or to refuse.
        """
        sent = headers.get
        token, key = sent(b"authorization"), sent(b"x-api-key")
        if (token or key) and not self._tokens.fresh():
            return None
        asked = (method, target, body, token, key, sent(b"if-none-match"), sent(USER_HEADER), sent(b"origin"))
        try:
            return self._remembered.find(asked) or self._answered(asked, headers)
        except Exception:  # refused, or something is wrong: `__call__` says so
            return None

    def _answered(self, asked: Question, headers: dict[bytes, bytes]) -> Reply | None:
        method, target, body = asked[:3]
        path, _, query = target.partition(b"?")
        if method not in _METHODS or b"%" in path or b"#" in target:
            return None
        read = Read(method.decode(), path.decode("ascii"), query, headers, whole=body)
        for prefix, handle in self._rooms:
            if read.path.startswith(prefix):
                if (reply := without_waiting(handle(read))) is None:
                    return None
                reply = reply.seen_by(read)
                if prefix != FLIPPER:  # testers' ids are remembered for a second at most
                    self._remembered.keep(asked, reply)
                return reply
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("//"):  # the client's base URL ends in a slash
                path = "/" + path.lstrip("/")
            for prefix, handle in self._rooms:
                if path.startswith(prefix):
                    read = Read(scope["method"], path, scope["query_string"], by_name(scope["headers"]), receive)
                    await _handled(handle, read, send)
                    return
        await self._behind(scope, receive, send)


async def _handled(handle: Handler, read: Read, send: Send) -> None:
    try:
        reply = await handle(read)
    except Disconnected:
        return
    except Refused as refused:
        body = encoded(failed(refused.slug, refused.words))
        reply = Reply(refused.status, body, refused.headers, MEDIA_TYPE.encode())
    except Exception:
        logger.exception("%s %s failed", read.method, read.path)
        body = encoded(failed("internal", "the service's own log says what happened"))
        reply = Reply(500, body, (), MEDIA_TYPE.encode())
    await answer(read, reply, send)
