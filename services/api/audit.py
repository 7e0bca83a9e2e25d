"""The trail: of one rollout, or of all.

One rule: pages are cut by the cursor that the page before handed out; no line is missed or seen twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from litestar import Response, get
from litestar.params import FromPath
from msgspec import Struct

from projections.audit import AuditRow, Outcome
from services.api.answers import answer
from services.api.freshness import views_caught_up
from services.api.problems import failed, unknown_rollout
from services.api.service import Request, service_of
from services.trail import BadCursor

DEFAULT = 100
MOST = 1000
ORDERS = {"": False, "oldest": False, "asc": False, "newest": True, "desc": True}
OUTCOMES: dict[str, Outcome | None] = {"": None, "accepted": "accepted", "refused": "refused"}


class Page(Struct, frozen=True):
    """`next` is the cursor for `?after=`; null: that was all for now."""

    items: Sequence[AuditRow]
    next: str | None


@get("/v1/audit")
async def everything(request: Request) -> Response[bytes]:
    """The trail of all rollouts."""
    await views_caught_up(request)
    return answer(await _page(request, ""))


@get("/v1/rollouts/{rollout:str}/audit")
async def of_rollout(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """The trail of one rollout, refused attempts among it."""
    await views_caught_up(request)
    page = await _page(request, rollout)
    if not page.items and await asyncio.to_thread(service_of(request).views.state, rollout) is None:
        raise unknown_rollout(rollout)
    return answer(page)


async def _page(request: Request, rollout: str) -> Page:
    asked = request.query_params
    views = service_of(request).views
    try:
        items, following = await asyncio.to_thread(
            views.audit,
            rollout,
            after=asked.get("after") or None,
            limit=_limit(asked.get("limit")),
            subject=asked.get("subject", ""),
            fact=asked.get("fact", ""),
            outcome=OUTCOMES[_one_of("outcome", asked.get("outcome"), OUTCOMES)],
            since=_instant("since", asked.get("since")),
            until=_instant("until", asked.get("until")),
            newest_first=ORDERS[_one_of("order", asked.get("order"), ORDERS)],
        )
    except BadCursor as error:
        raise failed("malformed", f"after: {error}") from error
    return Page(items, following)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise failed("malformed", f"limit: expected a number from 1 to {MOST}, found '{text[:40]}'")
    return int(text)


def _one_of(name: str, text: str | None, known: Mapping[str, object]) -> str:
    """The word, "" when it was left out."""
    if text is not None and text not in known:
        raise failed("malformed", f"{name}: expected one of {', '.join(filter(None, known))}; found '{text[:40]}'")
    return text or ""


def _instant(name: str, text: str | None) -> datetime | None:
    """An ISO 8601 instant; without an offset it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        hint = f"{name}: expected an instant such as 2022-07-29T12:00:00Z, found '{text[:40]}'"
        raise failed("malformed", hint) from None
