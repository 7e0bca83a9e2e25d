"""/v1/tokens: who may come in. For admins.

One rule: a token is in one answer, the one to the request that made it.
"""

from __future__ import annotations

import asyncio

from litestar import Response, delete, get, post
from litestar.params import FromPath
from msgspec import Struct

from services.api.access import admin_of
from services.api.answers import answer
from services.api.described import AT_LEAST, Body, Items, Param, described
from services.api.freshness import views_caught_up
from services.api.problems import failed
from services.api.reading import convert, read_json
from services.api.service import Request, service_of
from services.people.tokens import TokenChange, TokenRow


class NewToken(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. `titles` are what plans name approvers and attesters by."""

    name: str
    role: str
    titles: tuple[str, ...] = ()


class MadeToken(Struct, frozen=True):
    """The token, in clear, once."""

    name: str
    role: str
    titles: tuple[str, ...]
    token: str


class Revoked(Struct, frozen=True):
    """How many live tokens of that name have ended."""

    name: str
    revoked: int


ADD = described(
    "tokens",
    MadeToken,
    "Made.",
    status=201,
    takes=Body(NewToken, "For whom.", {"approver": NewToken("maria", "approver", ("Product Owner",))}),
    problems=("forbidden", "invalid", "conflict"),
)
NAME = Param("name", "Whose tokens.", place="path", required=True, problems=("not-found", "method-not-allowed"))


@post("/v1/tokens", opt=ADD)
async def add(request: Request) -> Response[bytes]:
    """A token for a name; shown here and never again."""
    by = admin_of(request).subject
    data = read_json(await request.body())
    if not isinstance(data, dict):
        raise failed("invalid", "expected an object with `name`, `role` and perhaps `titles`")
    asked: NewToken = convert(data, NewToken, "a token")
    token = await asyncio.to_thread(service_of(request).tokens.add, asked.name, asked.role, asked.titles, by)
    return answer(MadeToken(asked.name, asked.role, asked.titles, token), 201)


@get("/v1/tokens", opt=described("tokens", Items[TokenRow], params=(AT_LEAST,), problems=("forbidden",)))
async def listed(request: Request) -> Response[bytes]:
    """All tokens that ever were, without themselves."""
    admin_of(request)
    await views_caught_up(request)
    return answer(Items(await asyncio.to_thread(service_of(request).tokens.list)))


@get("/v1/tokens/changes", opt=described("tokens", Items[TokenChange], params=(AT_LEAST,), problems=("forbidden",)))
async def changes(request: Request) -> Response[bytes]:
    """Who added and revoked what, and when."""
    admin_of(request)
    await views_caught_up(request)
    return answer(Items(await asyncio.to_thread(service_of(request).tokens.history)))


@delete(
    "/v1/tokens/{name:str}", status_code=200, opt=described("tokens", Revoked, params=(NAME,), problems=("forbidden",))
)
async def revoke(request: Request, name: FromPath[str]) -> Response[bytes]:
    """End all tokens of that name."""
    by = admin_of(request).subject
    ended = await asyncio.to_thread(service_of(request).tokens.revoke, name, by)
    return answer(Revoked(name, ended))
