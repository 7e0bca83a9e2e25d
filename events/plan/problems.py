"""What is wrong with a written plan, and where.

One rule: a path is that of the written plan (its keys, and list positions counted from 0), so that a file can
say the line.
"""

from __future__ import annotations

from msgspec import Struct

from events.plan.gaps import Path


def path_words(path: Path) -> str:
    """A path as people read it, list positions counted from 1: "go_live / kpis / 1"."""
    return " / ".join(str(part + 1) if isinstance(part, int) else part for part in path)


class Problem(Struct, frozen=True):
    """One thing that is wrong, in words, and its place in the written plan."""

    path: Path
    text: str

    def words(self) -> str:
        return f"{path_words(self.path)}: {self.text}" if self.path else self.text


class PlanError(ValueError):
    """A written plan that cannot be read: all of its problems at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(problem.words() for problem in problems))
        self.problems = problems
