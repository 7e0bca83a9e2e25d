"""What is answered when the answer is no: problem details (RFC 9457).

One rule: status codes are chosen here and nowhere else. A `type` is a stable slug that programs may rely on;
`reasons` are sentences for people, all of them at once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException
from msgspec import Struct

from services.api.service import Request
from services.engine.messages import Refusal
from services.log.protocol import LogError
from services.people.tokens import TokenConflict, TokenError, UnknownName
from services.people.vault import VaultError

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}
TITLES: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "Nobody is known by this token"),
    "forbidden": (403, "You may not ask this"),
    "unknown-rollout": (404, "There is no such rollout"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This cannot be done here"),
    "refused": (409, "Refused"),
    "changed": (409, "Something has changed since"),
    "already-exists": (409, "There already is one"),
    "command-id-reused": (409, "This command id was used for something else"),
    "conflict": (409, "It contradicts what is there"),
    "erased": (410, "It cannot be known any more"),
    "gone": (410, "The pin is not kept any more"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "This kind of content is not understood"),
    "too-many": (429, "Too many at once"),
    "invalid": (422, "It cannot be understood"),
    "invalid-plan": (422, "The plan cannot be used"),
    "head-too-large": (431, "The address or the headers are too large"),
    "internal": (500, "Something is wrong with the service"),
    "stopped": (503, "Commands are stopped"),
    "unavailable": (503, "The log cannot be reached"),
    "behind": (503, "That revision has not arrived here yet"),
    "cold": (503, "No state is known yet"),
    "not-ready": (503, "Not ready"),
}
TRY_AGAIN = ("unavailable", "behind", "cold", "not-ready")
_BY_STATUS = {400: "malformed", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"}


class Place(Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a plan: the line of its file (0: not known), the path of its fields, the words."""

    text: str
    path: str = ""
    line: int = 0

    def words(self) -> str:
        line = f"line {self.line}" if self.line else ""
        return ": ".join(part for part in (line, self.path, self.text) if part)


class Problem(Struct, frozen=True):
    """The body. `places` go with an invalid plan, `phase` and `revision` with a refusal by a rollout."""

    type: str
    title: str
    status: int
    detail: str
    reasons: tuple[str, ...] = ()
    places: tuple[Place, ...] | msgspec.UnsetType = msgspec.UNSET
    phase: str | msgspec.UnsetType = msgspec.UNSET
    revision: int | msgspec.UnsetType = msgspec.UNSET


class Failed(Exception):
    """Raised by handlers; answered as a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = dict(headers or {})


def failed(slug: str, detail: str, *reasons: str, headers: Mapping[str, str] | None = None, **more: Any) -> Failed:
    """A problem of this kind, to be raised. `more` are Problem's other members."""
    status, title = TITLES[slug]
    retry = RETRY_AFTER if slug in TRY_AGAIN else {}
    return Failed(Problem(f"/problems/{slug}", title, status, detail, reasons, **more), {**retry, **(headers or {})})


def refused(refusal: Refusal, command: str) -> Failed:
    """The engine's no."""
    count = len(refusal.reasons)
    detail = refusal.reasons[0] if count == 1 else f"{command} is refused for {count} reasons"
    more: dict[str, Any] = {"phase": refusal.phase} if refusal.phase else {}
    more |= {"revision": refusal.revision} if refusal.revision else {}
    return failed(refusal.code, detail, *refusal.reasons, **more)


def invalid_plan(places: tuple[Place, ...]) -> Failed:
    """A plan that cannot be read or carried out, with everything that is wrong with it."""
    words = tuple(place.words() for place in places)
    detail = words[0] if len(words) == 1 else f"{len(words)} things are wrong with the plan"
    return failed("invalid-plan", detail, *words, places=places)


def unknown_rollout(rollout: str) -> Failed:
    return failed("unknown-rollout", f"there is no rollout '{rollout[:100]}'")


def problem_of(error: Exception) -> Failed:
    """What an exception is answered with."""
    match error:
        case Failed():
            return error
        case HTTPException():
            return _of_litestar(error)
        case UnknownName():
            return failed("not-found", str(error), str(error))
        case TokenConflict():
            return failed("conflict", str(error), str(error))
        case TokenError():
            return failed("invalid", str(error), str(error))
        case VaultError():
            return failed("refused", str(error), str(error))
        case LogError():
            return failed("unavailable", "the log cannot be reached; ask again with the same Idempotency-Key")
    if type(error) is LookupError:  # what the tables raise before the projector has ever run
        return failed("not-ready", str(error), str(error))
    return failed("internal", "the service's own log says what happened")


def answered(request: Request, error: Exception) -> Response[bytes]:
    """The exception handler of the app. The query string is never logged: it may hold a user's id."""
    problem = problem_of(error)
    if problem.problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return Response(
        encoded(problem), status_code=problem.problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def encoded(problem: Failed) -> bytes:
    return msgspec.json.encode(problem.problem)


def _of_litestar(error: HTTPException) -> Failed:
    """The framework's own refusals: unknown paths, wrong methods."""
    slug = _BY_STATUS.get(error.status_code, "internal" if error.status_code >= 500 else "malformed")
    details = {
        "not-found": "no such path; GET /v1/openapi.json lists the paths",
        "method-not-allowed": "this path does not take this method; `Allow` says which it takes",
        "internal": "the service's own log says what happened",
    }
    return failed(slug, details.get(slug, error.detail), headers=error.headers)
