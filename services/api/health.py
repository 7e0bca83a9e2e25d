"""Is it alive, is it ready: for supervisors and load balancers, without a token.

One rule: alive says only that the process answers; ready says that it can do its work.
"""

from __future__ import annotations

from litestar import Response, get

from services.api.answers import answer
from services.api.problems import failed
from services.api.service import Request, service_of


@get("/healthz", opt={"open": True})
async def healthz() -> Response[bytes]:
    return answer({"alive": True})


@get("/readyz", opt={"open": True})
async def readyz(request: Request) -> Response[bytes]:
    """200, or 503 with everything that is missing."""
    problems = service_of(request).problems()
    if problems:
        raise failed("not-ready", problems[0] if len(problems) == 1 else f"{len(problems)} reasons", *problems)
    return answer({"ready": True})
