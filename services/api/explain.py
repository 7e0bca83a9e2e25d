"""POST /v1/explain: what did user X get for toggle T at 14:03, and which record made it so?

One rule: who is asked about travels in the body, never in an address: it may be a tester. The answer names nobody.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Annotated

from litestar import Response, post
from msgspec import Meta, Struct

from events.facts import Role
from services.api.access import one_of
from services.api.answers import answer
from services.api.asof import not_yet, read_point
from services.api.described import AT_LEAST, Body, described
from services.api.freshness import views_caught_up
from services.api.problems import failed
from services.api.reading import convert, read_json
from services.api.service import Request, service_of
from services.views.explaining import Explained, Question
from services.views.past import NotYet

READERS: tuple[Role, ...] = ("admin", "release_manager", "facilitator", "auditor")


class Explain(Struct, frozen=True, forbid_unknown_fields=True):
    """`user` "": an unknown visitor. `at`: an instant (ISO 8601) or a revision; "" now."""

    toggle: Annotated[str, Meta(min_length=1, max_length=250)]
    user: str = ""
    at: str | int = ""
    attributes: dict[str, str] = {}


EXPLAIN = described(
    "audit",
    Explained,
    params=(AT_LEAST,),
    takes=Body(
        Explain,
        "Who, what and when.",
        {"then": {"toggle": "darker_buttons_web", "user": "user-3141", "at": "2022-07-29T14:03:00Z"}},
    ),
    problems=("forbidden", "invalid"),
)


@post("/v1/explain", status_code=200, opt=EXPLAIN)
async def explain(request: Request) -> Response[bytes]:
    """Value, reason and the deciding record, `{"toggle", "user", "at", "attributes"}` in the body."""
    one_of(request, READERS, "what one user got is explained to")
    await views_caught_up(request)
    service = service_of(request)
    data = read_json(await request.body())
    if not isinstance(data, dict):
        raise failed("invalid", 'expected an object such as {"toggle": .., "user": .., "at": ..}')
    asked: Explain = convert(data, Explain, "the question")
    now = service.now()
    point = read_point(str(asked.at), now, "at") if asked.at != "" else now.astimezone(UTC)
    question = Question(asked.toggle, asked.user, point, asked.attributes)
    try:
        return answer(await asyncio.to_thread(service.views.explain, question, service.vault))
    except NotYet as error:
        raise not_yet("at", error) from error
