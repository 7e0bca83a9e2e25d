"""Who is asking.

One rule: every route needs a known bearer token unless it says `opt={"open": True}`. Any token reads; which commands
it may send is the engine's decision, so that every way in has the same one.
"""

from __future__ import annotations

import asyncio

from events.facts import Actor, Role
from services.api.problems import Failed, failed
from services.api.service import Request, service_of

_REALM = {"WWW-Authenticate": 'Bearer realm="cutover"'}
_WRONG = {"WWW-Authenticate": 'Bearer realm="cutover", error="invalid_token"'}
_HINT = "an admin makes one with: cutover token add NAME --role ROLE"


async def authenticate(request: Request) -> None:
    """Before every handler: 401 for a stranger, otherwise `actor_of(request)` says who it is."""
    if request.route_handler.opt.get("open"):
        return
    who = await _known(request)
    if who is None:
        raise failed("unauthorized", f"this token is unknown or was revoked; {_HINT}", headers=_WRONG)
    request.state.actor = who


async def still_known(request: Request) -> bool:
    """Whether the token of an answer that goes on for long is still one."""
    return await _known(request) is not None


async def _known(request: Request) -> Actor | None:
    token = _bearer(request)
    book = service_of(request).tokens
    return book.who(token) if book.fresh() else await asyncio.to_thread(book.who, token)


def actor_of(request: Request) -> Actor:
    """The sender; only behind `authenticate`."""
    who: Actor = request.state.actor
    return who


def admin_of(request: Request) -> Actor:
    """The sender, who must be an admin."""
    who = actor_of(request)
    if who.role != "admin":
        reason = f"tokens are managed by the role admin; '{who.subject}' has the role {who.role}"
        raise failed("forbidden", reason, reason)
    return who


def one_of(request: Request, roles: tuple[Role, ...], what: str) -> Actor:
    """The sender, who must have one of these roles."""
    who = actor_of(request)
    if who.role not in roles:
        reason = f"{what} {', '.join(roles)}; you are {who.role}"
        raise failed("forbidden", reason, reason)
    return who


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _no_token()
    return token.strip()


def _no_token() -> Failed:
    return failed("unauthorized", f"send a token as `Authorization: Bearer cut_...`; {_HINT}", headers=_REALM)
