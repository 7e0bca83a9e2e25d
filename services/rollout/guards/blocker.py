"""Blocker: one thing that is missing; and Asking: what the guards look at and collect it on.

One rule: what is missing is said in a release manager's words, with who can mend it or when time will.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from events.facts import Actor, Exposure, Phase
from services.rollout.state import Rollout

Kind = Literal[
    "gap",
    "attest",
    "decide",
    "length",
    "criterion",
    "result",
    "session",
    "workflow",
    "answer",
    "deploy",
    "halted",
    "frozen",
    "phase",
    "toggle",
    "after",
    "snapshot",
    "reason",
]


class Blocker(Struct, frozen=True, omit_defaults=True):
    """One thing that is missing. `by`: who can mend it (a title or ""); `until`: when time alone will."""

    text: str
    kind: Kind
    item: str = ""
    by: str = ""
    until: datetime | None = None


class Asking:
    """What a guard looks at: one move being tried, and what was found to be missing for it so far.

    `step` is the step that would be entered ("" if none); `by` is None when nobody asks, as in a list of blockers;
    `wanted` is the exposure asked for (None: as entering the step gives).
    """

    __slots__ = ("by", "finished", "missing", "now", "reason", "rollout", "state", "step", "wanted")

    def __init__(
        self,
        rollout: Rollout,
        step: str,
        now: datetime,
        by: Actor | None = None,
        reason: str = "",
        finished: dict[str, Phase] | None = None,
        wanted: Exposure | None = None,
    ) -> None:
        self.rollout = rollout
        self.step = step
        self.now = now
        self.by = by
        self.reason = reason
        self.finished = finished
        self.wanted = wanted
        self.missing: list[Blocker] = []
        self.state: str = rollout.phase
