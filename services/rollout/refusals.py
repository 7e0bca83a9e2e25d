"""Refused: what `decide` raises, with every reason.

One rule: a refusal carries all that is missing, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from services.rollout.guards.blocker import Blocker

Code = Literal["refused", "changed", "forbidden", "unknown-rollout", "already-exists", "invalid"]


class Refused(Exception):
    """The command cannot be carried out; `blockers` hold every reason, `reasons` their words."""

    def __init__(self, blockers: Iterable[Blocker | str], code: Code = "refused") -> None:
        self.blockers = tuple(b if isinstance(b, Blocker) else Blocker(b, "phase") for b in blockers)
        self.reasons = tuple(b.text for b in self.blockers)
        self.code: Code = code
        super().__init__("; ".join(self.reasons))


def refuse(*reasons: str, code: Code = "refused") -> Refused:
    """A refusal with these reasons, to be raised."""
    return Refused(reasons, code)
