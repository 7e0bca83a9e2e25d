"""Testers: what their sessions showed, for those who work with them; and forgetting them.

One rule: who a tester is travels in a body, never in an address, and stands in no answer.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import Response, delete, get
from litestar.params import FromPath
from msgspec import Meta, Struct
from msgspec.structs import replace

from events.facts import Role, UtcTime, WorkflowResult
from services.api.access import one_of
from services.api.answers import answer
from services.api.described import AT_LEAST, ROLLOUT, Body, Items, described
from services.api.freshness import views_caught_up
from services.api.problems import failed, unknown_rollout
from services.api.reading import read_json
from services.api.service import Request, service_of
from services.people.testers import CannotErase
from services.people.vault import ERASED, Vault, VaultError
from services.rollout.state import Session

READERS: tuple[Role, ...] = ("admin", "release_manager", "facilitator")
ERASERS: tuple[Role, ...] = ("admin", "facilitator")


class ShownSession(Struct, frozen=True):
    """A session with its texts in clear; `erased`: its tester was, and the texts say so."""

    session: str
    tester: str
    starts: UtcTime
    ends: UtcTime | None
    opens: UtcTime
    closes: UtcTime | None
    window: str
    outcome: str
    workflows: tuple[WorkflowResult, ...]
    comments: str
    erased: bool


class Tester(Struct, frozen=True, forbid_unknown_fields=True):
    """The id of a user."""

    tester: Annotated[str, Meta(min_length=1)]


class Erased(Struct, frozen=True):
    """What was ended for it."""

    erased: bool
    sessions_ended: tuple[str, ...]


SESSIONS = described("testers", Items[ShownSession], params=(ROLLOUT, AT_LEAST), problems=("forbidden",))
ERASE = described(
    "testers",
    Erased,
    "Forgotten.",
    takes=Body(Tester, "Who.", {"a user": Tester("user-3141")}),
    problems=("forbidden", "invalid", "not-found", "refused", "not-ready", "unavailable", "stopped"),
)


@get("/v1/rollouts/{rollout:str}/sessions", opt=SESSIONS)
async def sessions(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Every session of a rollout, with what was said in it."""
    one_of(request, READERS, "what testers said is shown to")
    await views_caught_up(request)
    service = service_of(request)
    state = await asyncio.to_thread(service.views.state, rollout)
    if state is None:
        raise unknown_rollout(rollout)
    found = [*state.sessions.values()]
    return answer(Items(await asyncio.to_thread(lambda: [shown(service.vault, each) for each in found])))


@delete("/v1/testers", status_code=200, opt=ERASE)
async def erase(request: Request) -> Response[bytes]:
    """Forget the tester in the body, `{"tester": ID}`: their windows close, their row and key are destroyed."""
    by = one_of(request, ERASERS, "testers are erased by")
    tester = _tester(read_json(await request.body()))
    testers = service_of(request).testers
    if testers is None:
        raise failed("not-ready", "this process erases nobody: it has no log")
    try:
        done = await testers.erase(tester, by)
    except CannotErase as refusal:
        raise failed(refusal.code, refusal.reasons[0], *refusal.reasons) from refusal
    if not done.known:
        raise failed("not-found", "the vault knows nobody by this id", "the vault knows nobody by this id")
    return answer(Erased(True, done.sessions))


def _tester(data: object) -> str:
    """The id in the body; what is wrong with it is said without repeating it."""
    found = data.get("tester") if isinstance(data, dict) and set(data) == {"tester"} else None
    if not isinstance(found, str) or not found.strip():
        raise failed("invalid", 'expected {"tester": "the id of the user"} and nothing else')
    return found


def shown(vault: Vault, session: Session) -> ShownSession:
    """The session with its texts opened. It asks the vault: call it in a thread."""
    there = vault.holds(session.tester)

    def opened(text: str) -> str:
        try:
            return vault.open_text(session.tester, text)
        except VaultError:
            return ERASED

    return ShownSession(
        session=session.id,
        tester=session.tester,
        starts=session.starts,
        ends=session.ends,
        opens=session.opens,
        closes=session.closes,
        window=session.window,
        outcome=session.outcome,
        workflows=tuple(
            replace(w, comments=opened(w.comments), errors=opened(w.errors), waived=opened(w.waived))
            for w in session.workflows
        ),
        comments=opened(session.comments),
        erased=not there,
    )
