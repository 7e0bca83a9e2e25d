"""The trail: of one rollout, or of all; a page of it, or all of it as a file.

One rule: pages are cut by the cursor that the page before handed out; no line is missed or seen twice. A file is
streamed, and one that was cut off can be told from a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream
from msgspec import Struct

from projections.audit import AuditRow
from projections.cloudevents import CloudEvent
from services.api.answers import answer
from services.api.audit_query import FORMATS, PARAMS, Asked, asked_of
from services.api.described import ROLLOUT, Answer, several
from services.api.freshness import views_caught_up
from services.api.problems import unknown_rollout
from services.api.service import Request, service_of
from services.views.exporting import begun, exported


class Page(Struct, frozen=True):
    """`next` is the cursor for `?after=`; null: that was all for now."""

    items: Sequence[AuditRow]
    next: str | None


_TEXT = {"type": "string"}
ANSWERS = {
    200: Answer(
        "A page, or a file of everything.",
        Page,
        others={"text/csv": _TEXT, "application/jsonl": _TEXT, FORMATS["cloudevents"]: list[CloudEvent]},
    )
}
IN = tuple(param for param in PARAMS if param.name != "rollout")


@get("/v1/audit", opt=several("audit", ANSWERS, params=PARAMS, problems=("unknown-rollout",)))
async def everything(request: Request) -> Response[bytes] | Stream:
    """The trail of all rollouts."""
    return await _answer(request, asked_of(request))


@get("/v1/rollouts/{rollout:str}/audit", opt=several("audit", ANSWERS, params=(ROLLOUT, *IN)))
async def of_rollout(request: Request, rollout: FromPath[str]) -> Response[bytes] | Stream:
    """The trail of one rollout, refused attempts among it."""
    return await _answer(request, asked_of(request, rollout))


async def _answer(request: Request, asked: Asked) -> Response[bytes] | Stream:
    await views_caught_up(request)
    views = service_of(request).views
    newest = asked.newest_first
    limit = asked.limit if asked.format == "json" else 1
    page = await asyncio.to_thread(views.trail, asked.wanted, asked.after, limit, newest_first=newest)
    rollout = asked.wanted.rollout
    if rollout and not page.lines and await asyncio.to_thread(views.state, rollout) is None:
        raise unknown_rollout(rollout)
    if asked.format == "json":
        return answer(Page(page.lines, page.next.text() if page.next else None))
    export = await asyncio.to_thread(begun, views, asked.wanted, asked.after, asked.limit, newest)
    name = f"audit-{rollout or 'all'}.{SUFFIXES[asked.format]}"
    return Stream(
        exported(views, export._replace(base=service_of(request).public_url), asked.format),
        media_type=FORMATS[asked.format],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept"},
    )


SUFFIXES = {"csv": "csv", "jsonl": "jsonl", "cloudevents": "cloudevents.json"}
