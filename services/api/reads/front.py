"""The way in: flag reads are answered here, everything else goes on to the routes.

One rule: a path belongs to one room by how it begins; who answers there gives a `Reply` or raises `Refused`, and
nothing that a client sends ends in a stack trace.
"""

from __future__ import annotations

from services.api.bodies import App, Disconnected, Receive, Scope, Send
from services.api.reads.moment import Moments
from services.api.reads.ofrep import Ofrep
from services.api.reads.who import Readers
from services.api.reads.wire import Handler, Read, answer
from services.api.service import Service

PATHS: tuple[tuple[str, str], ...] = (
    ("POST", "/ofrep/v1/evaluate/flags/{key}"),
    ("POST", "/ofrep/v1/evaluate/flags"),
)
"""Method and path of everything that is answered here."""


class Front:
    """An ASGI app before another one."""

    def __init__(self, service: Service, behind: App) -> None:
        moments, readers = Moments(service.flags, service.vault.hmac), Readers(service.tokens)
        self._behind = behind
        self._rooms: tuple[tuple[str, Handler], ...] = (("/ofrep/", Ofrep(moments, readers).handle),)

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
    await answer(read, reply, send)
