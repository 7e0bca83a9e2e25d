"""A remark about a plan.

One rule: a finding is about what was written, so its path is that of the written plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from events.plan.gaps import Path
from events.plan.problems import path_words

Level = Literal["error", "warning", "question", "gap"]


class Finding(Struct, frozen=True):
    """One remark about a plan: how much it matters, where, and what. The path is that of the written plan."""

    level: Level
    path: Path
    text: str

    def words(self) -> str:
        return f"{path_words(self.path)}: {self.text}" if self.path else self.text


Findings = Iterator[Finding]
