"""GET /v1/rollouts/{rollout}/report: the release plan, filled in.

One rule: what testers said is opened for those who work with them, and for nobody else; the page asks for nothing and
runs nothing.
"""

from __future__ import annotations

import asyncio
from typing import Literal
from urllib.parse import quote

from litestar import Response, get
from litestar.params import FromPath

from events.plan.names import IDENTIFIER
from projections.report import CONTENT_SECURITY_POLICY, ENCRYPTED, Reveal, html, markdown, report
from services.api.access import actor_of
from services.api.answers import weight
from services.api.asof import as_of
from services.api.described import AS_OF, AT_LEAST, ROLLOUT, Answer, Param, several
from services.api.freshness import views_caught_up
from services.api.problems import Failed, failed, unknown_rollout
from services.api.service import Request, service_of
from services.api.testers import READERS
from services.log.protocol import Log
from services.people.vault import ERASED, Vault, VaultError
from services.views.past import Point
from services.views.records import NotIntact, Stored, records_of

FORMATS = {"md": "text/markdown; variant=GFM", "html": "text/html"}  # the charset is added when it is sent
NAMES = {"": "", "md": "md", "markdown": "md", "html": "html"}


TEXT = {"type": "string"}
FORMAT = Param("format", "Without it what `Accept` prefers.", Literal["md", "markdown", "html"])
REPORT = several(
    "results",
    {200: Answer("The plan, filled in.", TEXT, "text/markdown", others={"text/html": TEXT})},
    params=(ROLLOUT, FORMAT, AT_LEAST, AS_OF),
    problems=("not-ready", "stopped", "unavailable"),
)


@get("/v1/rollouts/{rollout:str}/report", opt=REPORT)
async def filled_in(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """As Markdown, or as a page with `?format=html` or to whoever accepts text/html; `?as_of=` a time or revision."""
    shape = _format(request)
    await views_caught_up(request)
    point = as_of(request)
    stored = await stored_records(request, rollout, point)
    service = service_of(request)
    reveal = opened(service.vault) if actor_of(request).role in READERS else hidden(service.vault)
    now = point if point is not None and not isinstance(point, int) else service.now()
    if isinstance(point, int):
        now = stored.records[-1][1].when
    audit = f"{service.link or str(request.base_url).rstrip('/')}/v1/rollouts/{quote(rollout, safe='')}/audit"

    def made() -> str:
        document = report(stored.records, now, audit=audit, last_hash=stored.hash, reveal=reveal)
        return html(document) if shape == "html" else markdown(document)

    content = await asyncio.to_thread(made)
    headers = {"Vary": "Accept, Authorization"}
    if shape == "html":
        headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; frame-ancestors 'none'"
    return Response(content.encode(), headers=headers, media_type=FORMATS[shape])


async def stored_records(request: Request, rollout: str, point: Point | None) -> Stored:
    """The rollout's records up to a point. Raises Failed: 404 where there was none, 503 where its chain is broken."""
    if not IDENTIFIER.fullmatch(rollout):
        raise unknown_rollout(rollout)
    log = log_of(request)
    if isinstance(point, int) and point > (head := await log.head()):
        raise failed("malformed", f"as_of: revision {point} is not known here: the last one is {head}")
    try:
        stored = await records_of(log, rollout, point)
    except NotIntact as error:
        raise failed("stopped", f"the records of '{rollout}' are not intact: {error}") from error
    if stored.records:
        return stored
    raise await _did_not_exist(log, rollout)


async def _did_not_exist(log: Log, rollout: str) -> Failed:
    if not (entries := (await records_of(log, rollout)).records):
        return unknown_rollout(rollout)
    revision, record = entries[0]
    began = f"it began with revision {revision}, {record.when:%Y-%m-%dT%H:%M:%SZ}"
    return failed("unknown-rollout", f"there was no rollout '{rollout}' then: {began}")


def log_of(request: Request) -> Log:
    """The log itself."""
    log = service_of(request).log
    if log is None:
        raise failed("not-ready", "this process has no log to read")
    return log


def opened(vault: Vault) -> Reveal:
    """Texts in clear; "erased" where the tester's key is gone. It asks the vault: call it in a thread."""

    def reveal(tester: str, text: str) -> str:
        try:
            return vault.open_text(tester, text)
        except VaultError:
            return ERASED

    return reveal


def hidden(vault: Vault) -> Reveal:
    """No text; only whether there still is anything to read. It asks the vault: call it in a thread."""
    there: dict[str, bool] = {}

    def reveal(tester: str, _text: str) -> str:
        if tester not in there:
            there[tester] = vault.holds(tester)
        return ENCRYPTED if there[tester] else ERASED

    return reveal


def _format(request: Request) -> str:
    """The one asked for; else Markdown, unless text/html is preferred."""
    asked = request.query_params.get("format", "")
    if asked not in NAMES:
        raise failed("malformed", f"format: expected md or html; found '{asked[:40]}'")
    accepts = request.headers.get("accept", "")
    prefers = "html" if weight(accepts, "text/html") > weight(accepts, "text/markdown") else "md"
    return NAMES[asked] or prefers
