"""Signals: what comes from outside, before anything is decided on it.

One rule: these say what a sender said, in our words, and nothing of what we make of it; `Outcome` says what it led to.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from events.facts import UtcTime

Told = Literal["done", "already", "refused"]
Result = Literal["done", "already", "refused", "kept"]


class Origin(Struct, frozen=True, omit_defaults=True):
    """Who said it and as what. (`source`, `id`) is the signal's identity: the same pair again is the same signal."""

    source: str
    id: str
    type: str
    time: str = ""  # when it happened, as the sender says (RFC 3339)
    link: str = ""
    chain: str = ""
    sha256: str = ""  # of all of it, as it came


class _Signal(Struct, frozen=True, omit_defaults=True, tag_field="signal"):
    """What all kinds of signals have in common. `rollout`: the one that the sender names."""

    origin: Origin
    rollout: str = ""


class Deployed(_Signal, frozen=True, kw_only=True, tag="deployed"):
    """A version of a service runs in an environment. GitHub tells a `repository` and a `task` instead of a service."""

    environment: str
    version: str
    service: str = ""
    repository: str = ""
    task: str = ""
    ref: str = ""


class TakenBack(_Signal, frozen=True, kw_only=True, tag="taken_back"):
    """A service was rolled back to an earlier version, or removed from its environment."""

    service: str
    environment: str
    removed: bool = False


class Trouble(_Signal, frozen=True, kw_only=True, tag="trouble"):
    """An incident, or an alert that fires. (`of`, `about`) names it: who tells of it again means the same one."""

    of: str
    about: str
    kind: str = "incident"
    text: str = ""
    service: str = ""
    environment: str = ""


class Shown(_Signal, frozen=True, kw_only=True, tag="shown"):
    """Evidence: what tests, a pipeline, a change or a resolved incident showed. `of`: see Trouble; "": none is over."""

    kind: str
    about: str
    outcome: str = ""
    text: str = ""
    service: str = ""
    environment: str = ""
    repository: str = ""
    of: str = ""


class NoRule(_Signal, frozen=True, kw_only=True, tag="no_rule"):
    """Understood, and nothing follows from it. `why` in words."""

    why: str


Signal = Deployed | TakenBack | Trouble | Shown | NoRule


class Effect(Struct, frozen=True, omit_defaults=True):
    """One command that a signal led to, and its answer. `revision`: the record's, or that of its first telling."""

    rollout: str
    command: str
    command_id: str
    told: Told
    revision: int = 0
    reasons: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of the signal with this number (its place in the stream SIGNALS). `kept`: nothing; `why` says why."""

    number: int
    received: UtcTime
    way: str  # "http", "github", "alerts", "nats"
    by: str
    result: Result
    why: str
    source: str = ""
    id: str = ""
    type: str = ""
    says: str = ""
    effects: tuple[Effect, ...] = ()
    sha256: str = ""
