"""What names, roles and titles people may have.

One rule: a name is one person (or one machine) for ever. Approvers are told apart by it, so two tokens of one name
have the same role and titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

from events.facts import Actor, Role

ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role not in ("clock", "herald"))
"""Roles a token may have. Clock and herald have none: they are parts of the service and ask in their own names."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_RESERVED = ("clock", "herald", "changes")  # the last: a path beside the names, so it could not be revoked


class TokenError(ValueError):
    """It cannot be done; the text names what was expected and what was found."""


class TokenConflict(TokenError):
    """It would contradict the tokens that are there."""


class UnknownName(TokenError):
    """Nobody of this name has a live token."""


def identity(name: str, role: str, titles: Iterable[str]) -> Actor:
    """Who a token is made for: titles trimmed, each once. Raises TokenError."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise TokenError(
            "a name has 1 to 100 letters, digits or . _ @ + -, begins with a letter or a digit, and is not "
            f"one of {', '.join(_RESERVED)}; found '{name}'"
        )
    known = next((r for r in ROLES if r == role), None)
    if known is None:
        raise TokenError(f"there is no role '{role}'; the roles are {', '.join(ROLES)}")
    return Actor(name, known, tuple(dict.fromkeys(title.strip() for title in titles if title.strip())))


def same_person(there: Actor, new: Actor) -> None:
    """Raises TokenConflict when a second token would make two people of one name."""
    if (there.role, set(there.titles)) != (new.role, set(new.titles)):
        raise TokenConflict(
            f"'{new.subject}' already has a token with {_described(there)}; a second one must have the same, not "
            f"{_described(new)}: revoke the first, or use another name for another person"
        )


def _described(actor: Actor) -> str:
    titles = ", ".join(f"'{title}'" for title in actor.titles) or "none"
    return f"the role {actor.role} (titles: {titles})"
