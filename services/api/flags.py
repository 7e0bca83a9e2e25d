"""Is the toggle group on for this user?

One rule: one snapshot, one answer, one revision for the whole group, and no I/O on the way. A known state that has
gone stale is answered and said to be stale; without any state there is an error, never a guess.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from litestar import Response, get
from litestar.params import FromPath
from msgspec import UNSET, Struct, UnsetType

from projections.flags import Reason, answers, evaluate
from services.api.access import one_of
from services.api.answers import answer
from services.api.asof import as_of, past
from services.api.described import AS_OF, AT_LEAST, ROLLOUT, Param, described
from services.api.explain import READERS
from services.api.freshness import flags_caught_up, views_caught_up
from services.api.problems import Failed, failed
from services.api.service import Request, service_of
from services.views.explaining import answered
from services.views.past import Past

ATTRIBUTE = "attribute."


class Flags(Struct, frozen=True):
    """`stale_since`: since when the service has heard nothing new; absent while it hears.

    `as_of`: the instant that was asked about; absent: now.
    """

    revision: int
    flags: dict[str, bool]
    reason: Reason
    stale_since: datetime | UnsetType = UNSET
    as_of: datetime | UnsetType = UNSET


FLAGS = described(
    "flags",
    Flags,
    params=(ROLLOUT, Param("user", "For whom; without it an unknown visitor."), AT_LEAST, AS_OF),
    problems=("cold", "erased", "forbidden"),
    example=Flags(12, {"darker_buttons_web": True}, "TARGETING_MATCH"),
)


@get("/v1/rollouts/{rollout:str}/flags", opt=FLAGS)
async def flags(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """The group for `?user=`; without a user it is off, unless it is on for everyone. `?attribute.NAME=` for groups.

    `?as_of=` as it was by the log, at an instant or at a revision: with a user, to those who may have it explained.
    """
    asked = request.query_params
    attributes = {name.removeprefix(ATTRIBUTE): asked[name] for name in asked if name.startswith(ATTRIBUTE)}
    if (point := as_of(request)) is not None:
        if asked.get("user"):
            one_of(request, READERS, "what one user got is told to")
        await views_caught_up(request)
        then = await past(request, rollout, point)
        return answer(await asyncio.to_thread(_then, request, then, attributes))
    await flags_caught_up(request)
    service = service_of(request)
    if service.flags.cold:
        raise failed("cold", "the flags have not been read since the start; ask again, or use the application's switch")
    snapshot = service.flags.snapshot(rollout)
    if snapshot is None:
        raise _unanswered(rollout)
    found = evaluate(snapshot, asked.get("user") or None, service.flags.time(), service.vault.hmac, attributes)
    group = dict.fromkeys(snapshot.toggles, found.value)
    return answer(Flags(snapshot.revision, group, found.reason, service.flags.stale_since or UNSET))


def _then(request: Request, then: Past, attributes: dict[str, str]) -> Flags:
    """What readers answered then, by the log. It asks the vault: call it in a thread."""
    if not answers(then.snapshot):
        raise _unanswered(then.snapshot.rollout)
    found = answered(then, service_of(request).vault, request.query_params.get("user", ""), attributes)
    if found is None:
        raise failed("erased", "a tester whose window was open then has been erased: it cannot be known who it was")
    group = dict.fromkeys(then.snapshot.toggles, found.value)
    return Flags(then.revision, group, found.reason, as_of=then.now)


def _unanswered(rollout: str) -> Failed:
    return failed("unknown-rollout", f"no rollout '{rollout[:100]}' answers for toggles")
