"""Is the toggle group on for this user?

One rule: one snapshot, one answer, one revision for the whole group, and no I/O on the way. A known state that has
gone stale is answered and said to be stale; without any state there is an error, never a guess.
"""

from __future__ import annotations

from datetime import datetime

from litestar import Response, get
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from projections.flags import Reason, evaluate
from services.api.answers import answer
from services.api.freshness import flags_caught_up
from services.api.problems import failed
from services.api.service import Request, service_of

ATTRIBUTE = "attribute."


class Flags(Struct, frozen=True):
    """`stale_since`: since when the service has heard nothing new; absent while it hears."""

    revision: int
    flags: dict[str, bool]
    reason: Reason
    stale_since: datetime | UnsetType = UNSET


@get("/v1/rollouts/{rollout:str}/flags")
async def flags(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """The group for `?user=`; without a user it is off, unless it is on for everyone. `?attribute.NAME=` for groups."""
    await flags_caught_up(request)
    service = service_of(request)
    if service.flags.cold:
        raise failed("cold", "the flags have not been read since the start; ask again, or use the application's switch")
    snapshot = service.flags.snapshot(rollout)
    if snapshot is None:
        raise failed("unknown-rollout", f"no rollout '{rollout[:100]}' answers for toggles")
    asked = request.query_params
    attributes = {name.removeprefix(ATTRIBUTE): asked[name] for name in asked if name.startswith(ATTRIBUTE)}
    found = evaluate(snapshot, asked.get("user") or None, service.flags.time(), service.vault.hmac, attributes)
    group = dict.fromkeys(snapshot.toggles, found.value)
    return answer(Flags(snapshot.revision, group, found.reason, service.flags.stale_since or UNSET))
