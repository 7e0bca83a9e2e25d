"""`?as_of=`: an answer as it was at an instant, or up to a revision of the log.

One rule: only what has happened is answered. An instant ahead of the clock or a revision ahead of the log is an error
that says so: what will be would be a guess.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

from services.api.problems import Failed, failed, unknown_rollout
from services.api.service import Request, service_of
from services.views.past import NotYet, Past, Point

_REVISION = re.compile(r"[0-9]{1,18}")
_LOST_PLUS = re.compile(r"(?<=T)(\S+) (?=\d\d:?\d\d$)")


def as_of(request: Request) -> Point | None:
    """The point asked for; None: now. Raises Failed (400)."""
    text = request.query_params.get("as_of")
    return None if text is None else read_point(text, service_of(request).now(), "as_of")


def read_point(text: str, now: datetime, name: str) -> Point:
    """A revision (digits alone) or an instant that has come. Raises Failed (400)."""
    if _REVISION.fullmatch(text):
        return int(text)
    return come(read_instant(text, name, "a revision, or an instant"), now, name)


def read_instant(text: str, name: str, expected: str = "an instant") -> datetime:
    """An ISO 8601 instant; without an offset it is UTC. Raises Failed (400).

    A `+` that an address turned into a blank is taken as it was meant.
    """
    try:
        found = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+", text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        hint = f"{name}: expected {expected} such as 2022-07-29T12:00:00Z; found '{text[:40]}'"
        raise failed("malformed", hint) from None


def come(instant: datetime, now: datetime, name: str) -> datetime:
    """The instant, if it has come. Raises Failed (400)."""
    if instant > now:
        raise failed("malformed", f"{name}: {_utc(instant)} has not come yet, it is {_utc(now)}")
    return instant


async def past(request: Request, rollout: str, point: Point) -> Past:
    """The rollout as it was. Raises Failed: 404 where it did not exist, 400 for a revision that is not there."""
    views = service_of(request).views
    try:
        found = await asyncio.to_thread(views.past, rollout, point)
    except NotYet as error:
        raise not_yet("as_of", error) from error
    if found is None:
        raise await asyncio.to_thread(_did_not_exist, request, rollout)
    return found


def not_yet(name: str, error: NotYet) -> Failed:
    """The log, as far as it is known here, does not go as far as the revision asked for."""
    return failed("malformed", f"{name}: {error}")


def _did_not_exist(request: Request, rollout: str) -> Failed:
    """It blocks on the tables: call it in a thread."""
    began = service_of(request).views.began(rollout)
    if began is None:
        return unknown_rollout(rollout)
    revision, when = began
    detail = f"there was no rollout '{rollout}' then: it began with revision {revision}, {_utc(when)}"
    return failed("unknown-rollout", detail)


def _utc(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
