"""The documents that describe this service to others: OpenAPI for HTTP, AsyncAPI for NATS.

One rule: they are made of what runs, when they are asked for; nothing of them is kept.
"""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Litestar, Response, get

from services import asyncapi
from services.api.described import described
from services.api.openapi import document
from services.api.service import Request

OPEN = described("documents", {"type": "object"}, "The document.", access="open")


@get("/v1/openapi.json", opt=OPEN)
async def openapi(request: Request) -> Response[bytes]:
    """This document: everything that HTTP takes and answers, in OpenAPI 3.1."""
    return _sent(await asyncio.to_thread(_openapi, request.app))


@get("/v1/asyncapi.json", opt=OPEN)
async def nats() -> Response[bytes]:
    """What is on which subject of NATS, in AsyncAPI 3."""
    return _sent(await asyncio.to_thread(lambda: msgspec.json.encode(asyncapi.document())))


def _openapi(app: Litestar) -> bytes:
    made: bytes | None = app.state.get("openapi")
    if made is None:
        made = app.state["openapi"] = msgspec.json.encode(document(app))
    return made


def _sent(body: bytes) -> Response[bytes]:
    return Response(body, media_type="application/json")
