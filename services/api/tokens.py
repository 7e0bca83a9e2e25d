"""/v1/tokens: who may come in. For admins.

One rule: a token is in one answer, the one to the request that made it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath
from msgspec import Struct

from services.api.access import admin_of
from services.api.answers import answer
from services.api.freshness import views_caught_up
from services.api.problems import failed
from services.api.reading import convert, read_json
from services.api.service import Request, service_of


class NewToken(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. `titles` are what plans name approvers and attesters by."""

    name: str
    role: str
    titles: tuple[str, ...] = ()


@post("/v1/tokens")
async def add(request: Request) -> Response[bytes]:
    """A token for a name; shown here and never again."""
    by = admin_of(request).subject
    data = read_json(await request.body())
    if not isinstance(data, dict):
        raise failed("invalid", "expected an object with `name`, `role` and perhaps `titles`")
    asked: NewToken = convert(data, NewToken, "a token")
    token = await asyncio.to_thread(service_of(request).tokens.add, asked.name, asked.role, asked.titles, by)
    made: dict[str, Any] = {"name": asked.name, "role": asked.role, "titles": asked.titles, "token": token}
    return answer(made, 201)


@get("/v1/tokens")
async def listed(request: Request) -> Response[bytes]:
    """All tokens that ever were, without themselves."""
    admin_of(request)
    await views_caught_up(request)
    return answer({"items": await asyncio.to_thread(service_of(request).tokens.list)})


@get("/v1/tokens/changes")
async def changes(request: Request) -> Response[bytes]:
    """Who added and revoked what, and when."""
    admin_of(request)
    await views_caught_up(request)
    return answer({"items": await asyncio.to_thread(service_of(request).tokens.history)})


@delete("/v1/tokens/{name:str}", status_code=200)
async def revoke(request: Request, name: FromPath[str]) -> Response[bytes]:
    """End all tokens of that name."""
    by = admin_of(request).subject
    ended = await asyncio.to_thread(service_of(request).tokens.revoke, name, by)
    return answer({"name": name, "revoked": ended})
