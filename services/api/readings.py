"""/v1/rollouts/{id}/readings: a job publishes what it measured, and anybody sees what was published.

One rule: 202 says that the reading is on disk; what it means is judged when a criterion or a snapshot asks for it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import uuid4

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Meta

from events.plan.names import IDENTIFIER
from events.readings import Published, Reading
from services.analysis.readings import TROUBLES, Kept, NoReading, take_reading
from services.api.access import actor_of
from services.api.answers import answer
from services.api.described import KEY, ROLLOUT, Body, Items, Param, described
from services.api.problems import failed, unknown_rollout
from services.api.service import Request, service_of
from services.rollout import access
from services.rollout.commands import RecordResult

PATH = "/v1/rollouts/{rollout:str}/readings"
LATEST = timedelta(days=31)


PUBLISH = described(
    "readings",
    Reading,
    "It is on disk, as it says.",
    status=202,
    params=(ROLLOUT, KEY),
    takes=Body(Published, "One reading.", {"seconds": {"name": "load time", "value": "4.2 s"}}),
    problems=("forbidden", "invalid", "unavailable"),
)
NAME = Param("name", "The name that it was published under.", Annotated[str, Meta(min_length=1)], required=True)
PUBLISHED = described("readings", Items[Reading], params=(ROLLOUT, NAME), problems=("unavailable",))


@post(PATH, status_code=202, opt=PUBLISH)
async def publish(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Keep one reading, `{"name": "...", "value": 12.5, "at": "..."}`; the Idempotency-Key is its id."""
    by = actor_of(request)
    if not access.may(by.role, RecordResult(item="", value="")):
        reason = f"readings are published by those who may record results; '{by.subject}' has the role {by.role}"
        raise failed("forbidden", reason, reason)
    store, now = _store(request), service_of(request).now()
    key = request.headers.get("idempotency-key", "").strip().strip('"') or str(uuid4())
    body = await request.body()
    try:
        kept = await take_reading(store, body, _known(rollout), source=by.subject, id=key[:200], time=now, now=now)
    except NoReading as error:
        raise failed("invalid", str(error), str(error)) from error
    except TROUBLES as error:
        raise failed("unavailable", f"the reading cannot be kept now: {error or type(error).__name__}") from error
    return answer(kept, 202)


@get(PATH, opt=PUBLISHED)
async def published(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """The readings published under `?name=` in the last month, oldest first."""
    name = request.query_params.get("name", "").strip()
    if not name:
        raise failed("malformed", "name: expected the name of a reading, found nothing")
    since = service_of(request).now() - LATEST
    try:
        found = await _store(request).of(_known(rollout), name, since)
    except TROUBLES as error:
        raise failed("unavailable", f"readings cannot be read now: {error or type(error).__name__}") from error
    return answer(Items(found))


def _known(rollout: str) -> str:
    if not IDENTIFIER.fullmatch(rollout):
        raise unknown_rollout(rollout)
    return rollout


def _store(request: Request) -> Kept:
    store = service_of(request).readings
    if store is None:
        raise failed("unavailable", "readings cannot be kept here: there is no connection to NATS")
    return store
