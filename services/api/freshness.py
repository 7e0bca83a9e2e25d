"""`?at_least=REVISION`: an answer that has seen at least that revision.

One rule: never an older answer than asked for. After five seconds: 503, saying which revision is held.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from services.api.problems import failed
from services.api.service import Request, service_of

PATIENCE = 5.0
_REVISION = re.compile(r"[0-9]{1,18}")


async def views_caught_up(request: Request) -> None:
    """Wait until the tables hold the revision asked for."""
    views = service_of(request).views
    if not await _arrived(request, views.wait_for):
        held = await asyncio.to_thread(views.position)
        raise _behind(request, held)


async def flags_caught_up(request: Request) -> None:
    """Wait until the flags in memory hold the revision asked for."""
    flags = service_of(request).flags
    if not await _arrived(request, flags.wait_for):
        raise _behind(request, flags.position)


async def _arrived(request: Request, wait_for: Callable[[int, float], Awaitable[bool]]) -> bool:
    asked = request.query_params.get("at_least")
    if asked is None:
        return True
    if not _REVISION.fullmatch(asked):
        raise failed("malformed", f"at_least must be a revision, a whole number; found '{asked[:40]}'")
    return await wait_for(int(asked), PATIENCE)


def _behind(request: Request, held: int) -> Exception:
    asked = request.query_params["at_least"]
    return failed("behind", f"revision {asked} was asked for; {held} is held here", revision=held)
