"""Is it alive, is it ready: for supervisors and load balancers, without a token.

One rule: alive says only that the process answers; ready says that it can do its work.
"""

from __future__ import annotations

from litestar import Response, get
from msgspec import Struct

from services.api.answers import answer
from services.api.described import described
from services.api.problems import failed
from services.api.service import Request, service_of


class Alive(Struct, frozen=True):
    """Always true, where there is an answer at all."""

    alive: bool


class Ready(Struct, frozen=True, omit_defaults=True):
    """True, where it is not a problem. `troubles`: rollouts at which a part of the service fails; the others go on."""

    ready: bool
    troubles: tuple[str, ...] = ()


@get("/healthz", opt=described("health", Alive, "It answers.", access="open"))
async def healthz() -> Response[bytes]:
    """Whether the process answers."""
    return answer(Alive(True))


@get("/readyz", opt=described("health", Ready, "It can.", access="open", problems=("not-ready",)))
async def readyz(request: Request) -> Response[bytes]:
    """Whether it can do its work; if not, everything that is missing."""
    problems = service_of(request).problems()
    if problems:
        raise failed("not-ready", problems[0] if len(problems) == 1 else f"{len(problems)} reasons", *problems)
    return answer(Ready(True, service_of(request).troubles()))
