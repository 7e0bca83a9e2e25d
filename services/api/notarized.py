"""The signed log: its latest checkpoint, the public key, and all of it as one file.

One rule: what is given out here is checked by whoever takes it, with nothing but the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from litestar import Response, get
from litestar.response import Stream

from services.api.access import actor_of
from services.api.described import described
from services.api.problems import failed
from services.api.service import Notarized, Request, service_of
from services.notary.export import export

ROLES = ("admin", "auditor")


TEXT = {"type": "string"}
NOTHING = ("not-found", "unavailable")
NOTE = described("the signed log", TEXT, "The note.", media_type="text/plain", problems=NOTHING)
KEY = described("the signed log", TEXT, "The key.", media_type="text/plain", problems=NOTHING)
WHOLE = described(
    "the signed log",
    TEXT,
    "The log, a line a record.",
    media_type="application/jsonl",
    headers=("Content-Disposition",),
    problems=("forbidden", "unavailable", "stopped"),
)


@get("/v1/checkpoint", opt=NOTE)
async def checkpoint(request: Request) -> Response[bytes]:
    """The latest checkpoint, a C2SP signed note."""
    last = await _notarized(request).kept.last()
    if last is None:
        raise failed("not-found", "nothing was signed yet; the notary signs a few seconds after the first record")
    return Response(last.note.encode(), media_type="text/plain")


@get("/v1/checkpoint/key", opt=KEY)
async def key(request: Request) -> Response[bytes]:
    """The notary's public key, a C2SP vkey."""
    path = _notarized(request).data / "notary.pub"
    try:
        return Response(await asyncio.to_thread(path.read_bytes), media_type="text/plain")
    except FileNotFoundError:
        raise failed("not-found", "there is no key yet; the notary makes it when it starts") from None


@get("/v1/export", opt=WHOLE)
async def whole_log(request: Request) -> Stream:
    """Every record and every checkpoint, for `cutover-verify`."""
    who = actor_of(request)
    if who.role not in ROLES:
        reason = f"the whole log is given to {' and '.join(ROLES)}; '{who.subject}' has the role {who.role}"
        raise failed("forbidden", reason, reason)
    notarized = _notarized(request)
    lines = export(notarized.log, notarized.kept)
    first = await anext(lines)  # what goes wrong until here is still a problem, not half a file

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for each in lines:
            yield each

    headers = {"Content-Disposition": 'attachment; filename="cutover-log.jsonl"'}
    return Stream(whole(), media_type="application/jsonl", headers=headers)


def _notarized(request: Request) -> Notarized:
    found = service_of(request).notarized
    if found is None:
        raise failed("unavailable", "there is no signed log here: there is no connection to NATS")
    return found
