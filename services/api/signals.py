"""/v1/signals: CI's events, GitHub's webhooks, alerts; and what each led to.

One rule: 202 says that the signal is on disk, not what it leads to; a sender that asks, by its source and id, is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from litestar import HttpMethod, Response, get, post, route
from msgspec import Meta, Struct

from events.signals import Origin, Outcome
from services.api.access import actor_of
from services.api.answers import answer
from services.api.described import Body, Param, described
from services.api.problems import Failed, failed
from services.api.service import KeepsSignals, Request, service_of
from services.intake import alertmanager, cloudevents, github
from services.intake.store import Busy
from services.intake.understanding import identify
from services.intake.wrong import NotUnderstood, UnknownFormat
from services.log.protocol import LogFull
from services.rollout import access
from services.rollout.commands import ReportDeploy

DEFAULT, MOST = 20, 1000
EVENTS = "/v1/signals"


class Taken(Struct, frozen=True):
    """A signal that is on disk. `again`: it was before."""

    signal: int
    source: str
    id: str
    again: bool


class AllTaken(Struct, frozen=True):
    """Every signal of one request."""

    signals: Sequence[Taken]


class Led(Struct, frozen=True):
    """What signals led to, oldest first; `waiting`: how many nobody has looked at yet."""

    items: Sequence[Outcome]
    waiting: int


class Event(Struct, frozen=True):
    """A CloudEvent 1.0 in the JSON format; extensions stand beside its attributes."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    data: Any = None


DEPLOYED = {
    "specversion": "1.0",
    "id": "run-7",
    "source": "/ci/example",
    "type": "dev.cdevents.service.deployed.0.3.0",
    "data": {
        "context": {
            "specversion": "0.5.1",
            "id": "run-7",
            "source": "/ci/example",
            "type": "dev.cdevents.service.deployed.0.3.0",
            "timestamp": "2026-03-02T10:00:00Z",
        },
        "subject": {
            "id": "web",
            "content": {"environment": {"id": "production"}, "artifactId": "pkg:oci/web@v1"},
        },
    },
}
KEPT = ("too-large", "too-many", "unavailable", "forbidden")
TELL = described(
    "signals",
    AllTaken,
    "On disk.",
    status=202,
    takes=Body(
        Event,
        "One event, a batch of them, or (in binary mode, with `ce-` headers) the data of one.",
        {"deployed": DEPLOYED},
        media_type="application/cloudevents+json",
        others={"application/cloudevents-batch+json": list[Event], "application/json": {}},
    ),
    problems=(*KEPT, "unsupported-media-type"),
)
HANDSHAKE = described(
    "signals",
    says="Somebody with a token may.",
    headers=("Allow", "WebHook-Allowed-Origin", "WebHook-Allowed-Rate"),
    params=(Param("WebHook-Request-Origin", "Who wants to send.", place="header"),),
    access="open",
)
GITHUB = described(
    "signals",
    AllTaken,
    "On disk.",
    status=202,
    takes=Body({"type": "object"}, "A webhook.", others={"application/x-www-form-urlencoded": {"type": "object"}}),
    problems=(*KEPT, "unauthorized", "unsupported-media-type"),
    access="signature",
)
ALERTS = described(
    "signals",
    AllTaken,
    "On disk.",
    status=202,
    takes=Body({"type": "object"}, "A notification of Alertmanager (version 4) or Grafana."),
    problems=(*KEPT, "unsupported-media-type"),
)
LISTED = described(
    "signals",
    Led,
    params=(
        Param("last", f"How many; {DEFAULT} without it.", Annotated[int, Meta(ge=1, le=MOST)]),
        Param("source", "With `id`: the one with this identity."),
        Param("id", "With `source`: the one with this identity."),
    ),
    problems=("unavailable",),
)


@post(EVENTS, status_code=202, opt=TELL)
async def events(request: Request) -> Response[bytes]:
    """CloudEvents 1.0 in binary, structured or batch mode, by the content type alone."""
    by = _sender(request)
    headers, body = _headers(request), await request.body()
    content_type = headers.get("content-type", "")
    try:
        if cloudevents.mode(content_type) != "batch":
            return await _taken(request, [await _keep(request, "cloudevents", headers, body, by)])
        parts = cloudevents.batch(content_type, body)
    except NotUnderstood as error:
        raise _wrong(error) from error
    one = {"content-type": "application/cloudevents+json"}
    return await _taken(request, [await _keep(request, "cloudevents", one, part, by) for part in parts])


@route(EVENTS, http_method=[HttpMethod.OPTIONS], opt=HANDSHAKE, status_code=200)
async def handshake(request: Request) -> Response[bytes]:
    """The webhook specification's question whether somebody may send here: yes, with a token, at any rate."""
    headers = {"Allow": "GET, OPTIONS, POST"}
    origin = request.headers.get("webhook-request-origin", "").strip()
    if origin:
        headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return Response(b"", status_code=200, headers=headers)


@post("/v1/signals/github", status_code=202, opt=GITHUB)
async def from_github(request: Request) -> Response[bytes]:
    """A GitHub webhook. Who may send is decided by its signature, not by a token."""
    secret, body, headers = service_of(request).github_secret, await request.body(), _headers(request)
    if not secret:
        raise failed("forbidden", "webhooks of GitHub are not taken: no secret is set (CUTOVER_GITHUB_SECRET)")
    if not github.signed(secret, body, request.headers.get("x-hub-signature-256", "")):
        raise failed("unauthorized", "X-Hub-Signature-256 is missing or not that of this body")
    try:
        return await _taken(request, [await _keep(request, "github", headers, body, "github")])
    except NotUnderstood as error:
        raise _wrong(error) from error


@post("/v1/signals/alerts", status_code=202, opt=ALERTS)
async def alerts(request: Request) -> Response[bytes]:
    """A notification of Alertmanager or Grafana; each of its alerts is a signal."""
    by, body = _sender(request), await request.body()
    try:
        parts = alertmanager.split(body)
        headers = {"content-type": "application/json"}
        return await _taken(request, [await _keep(request, "alerts", headers, part, by) for _, part in parts])
    except NotUnderstood as error:
        raise _wrong(error) from error


@get(EVENTS, opt=LISTED)
async def listed(request: Request) -> Response[bytes]:
    """The last signals and what each led to; or the one with this `source` and `id`."""
    store, asked = _store(request), request.query_params
    if "source" in asked or "id" in asked:
        found = await store.outcome_of(Origin(asked.get("source", ""), asked.get("id", ""), ""))
        return answer(Led([found] if found else [], await store.waiting()))
    page = await store.latest(_last(asked.get("last")))
    return answer(Led(page.outcomes, page.waiting))


# -- inside


async def _keep(request: Request, kind: str, headers: dict[str, str], body: bytes, by: str) -> Taken:
    """Check that it can be understood as what it claims to be, and put it on disk. Raises NotUnderstood, Failed."""
    origin = identify(f"rollouts.signals.http.{kind}", headers, body)
    try:
        kept = await _store(request).keep(kind, headers, body, origin, by)
    except Busy:
        raise failed("too-many", "too many signals at once: send it again", headers={"Retry-After": "1"}) from None
    except LogFull as error:
        raise failed("too-large", f"the signal cannot be kept: {error}") from error
    return Taken(kept.number, origin.source, origin.id, kept.again)


async def _taken(request: Request, taken: list[Taken]) -> Response[bytes]:
    return answer(AllTaken(taken), 202)


def _store(request: Request) -> KeepsSignals:
    store = service_of(request).signals
    if store is None:
        raise failed("unavailable", "signals cannot be kept here: there is no connection to NATS")
    return store


def _sender(request: Request) -> str:
    """The token's subject; whoever may report deploys may send signals."""
    by = actor_of(request)
    if not access.may(by.role, ReportDeploy(service="", version="")) and by.role != "monitor":
        reason = f"signals are sent by admin, release_manager, ci and monitor; '{by.subject}' has the role {by.role}"
        raise failed("forbidden", reason, reason)
    return by.subject


def _headers(request: Request) -> dict[str, str]:
    """What belongs to the event, by lower-case names. A header given twice is none that could be believed."""
    found: dict[str, str] = {}
    for name, value in request.headers.multi_items():
        key = name.lower()
        if key == "content-type" or key.startswith(("ce-", "x-github-")):
            if key in found:
                raise failed("malformed", f"the header {key[:80]} is given twice")
            if not (key + value).isascii():
                raise failed("malformed", f"{key[:80]!r}: a header is ASCII, percent-encoded where needed")
            found[key] = value
    return found


def _wrong(error: NotUnderstood) -> Failed:
    slug = "unsupported-media-type" if isinstance(error, UnknownFormat) else "malformed"
    return failed(slug, str(error), str(error))


def _last(text: str | None) -> int:
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise failed("malformed", f"last: expected a number from 1 to {MOST}, found '{text[:40]}'")
    return int(text)


# The handshake first: Litestar answers OPTIONS itself on a path that has no handler for it yet.
HANDLERS: tuple[Any, ...] = (handshake, events, listed, from_github, alerts)
