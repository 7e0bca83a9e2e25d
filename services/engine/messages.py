"""The conversation with the engine: a request, and what it may answer.

One rule: these travel as JSON over `rollouts.command.<id>` and through HTTP unchanged; HTTP status codes are chosen
in `api/` alone, from `Refusal.code`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from msgspec import Struct

from events.facts import Actor, Fact, Phase, UtcTime
from services.rollout.commands import Command

RefusalCode = Literal[
    "refused",  # the rollout's state does not allow it; reasons say all that is missing
    "changed",  # `seen` is older than what the command rests on
    "forbidden",  # the sender may not ask this
    "unknown-rollout",
    "already-exists",  # a rollout with this id is already there
    "invalid",  # the command itself cannot be understood
    "command-id-reused",
    "too-large",
    "stopped",  # the log or this rollout's chain is not intact: commands are refused
    "unavailable",  # the log cannot be reached; try again with the same command id
    "internal",  # the engine failed at this command
]

RESERVED = ("clock:", "herald:", "monitor:", "ci:", "erased-")
"""How the command ids begin that the service's own parts make. They can be foreseen: whoever used one first would
silence what it stands for, so nobody may from outside."""


class Request(Struct, frozen=True, omit_defaults=True):
    """One command by one sender. The same `command_id` again gets the first answer."""

    rollout: str
    command_id: str
    by: Actor
    command: Command


class Accepted(Struct, frozen=True, omit_defaults=True, tag_field="answer", tag="accepted"):
    """Done (or already so: no facts). `revision` names the record, or where the rollout stands."""

    revision: int
    phase: Phase
    when: UtcTime | None = None
    facts: tuple[Fact, ...] = ()
    already: bool = False
    dry_run: bool = False
    effects: tuple[str, ...] = ()  # what it means for whom, in words


class Refusal(Struct, frozen=True, omit_defaults=True, tag_field="answer", tag="refused"):
    """Nothing was written. `reasons` are sentences for a release manager: all that is missing, at once."""

    code: RefusalCode
    reasons: tuple[str, ...]
    phase: Phase | None = None
    revision: int = 0


Reply = Accepted | Refusal

Ask = Callable[[Request], Awaitable[Reply]]
"""How a command is sent: the engine itself in one process, a NATS request between processes."""
