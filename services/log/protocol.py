"""The event store, as the rest of the service sees it.

One rule: `append` is compare-and-append on the rollout's subject, and when it returns a revision those bytes stay at
that revision, whatever is killed. Every implementation passes tests/contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One stored record: its revision (stream sequence, from 1), its rollout, its bytes as stored."""

    revision: int
    rollout: str
    data: bytes


class LogError(Exception):
    """What the log can answer instead of a revision."""


class Conflict(LogError):
    """Somebody appended first: load what came after `expected` and decide again."""


class Unavailable(LogError):
    """The log cannot be reached, or did not say within the time allowed; the outcome may be unknown."""


class LogFull(LogError):
    """A permanent refusal of the store: limits, size, sealed, storage full. The text names which."""


class Log(Protocol):
    """One stream of records, one subject a rollout, and beside it the refused attempts."""

    async def append(
        self, rollout: str, data: bytes, *, expected: int, command_id: str, expected_head: int | None = None
    ) -> int:
        """Store `data` if the rollout's last revision is `expected` (0: it has none) and return its revision.

        With `expected_head` the whole log's last revision must be that one too (adopting a plan). A repeated
        append of the same command and bytes whose first try landed returns that revision. Unknown outcomes are
        resolved inside by trying again with the same bytes, for up to the implementation's time limit.
        Raises Conflict, Unavailable or LogFull.
        """
        ...

    async def read(self, rollout: str, after: int = 0) -> list[Entry]:
        """The rollout's records with a revision above `after`, in order. Reads its own writes."""
        ...

    async def last_revision(self, rollout: str) -> int:
        """The revision of the rollout's last record, 0 if it has none. Reads its own writes."""
        ...

    async def head(self) -> int:
        """The revision of the last record of the whole log, 0 if it is empty."""
        ...

    async def at(self, revision: int) -> Entry | None:
        """The record at a revision, None if there is none."""
        ...

    def follow(self, after: int, *, until: int | None = None) -> AsyncIterator[Sequence[Entry]]:
        """Batches of the whole log above `after`, in order and without a gap, as they come; ends at `until`.

        Never yields an empty batch. Raises Gap where a revision is missing and Unavailable when the log went away.
        """
        ...

    async def note_attempt(self, rollout: str, data: bytes) -> None:
        """Keep a refused attempt. Best effort: never raises for an unreachable log."""
        ...

    async def attempts(self, after: int) -> list[Entry]:
        """Kept attempts with a sequence above `after` (a stream of their own: sequences are not revisions)."""
        ...

    async def problems(self) -> list[str]:
        """What is wrong with the store itself: configuration drift, first sequence not 1, gaps. Empty: nothing."""
        ...


class Gap(LogError):
    """A revision is missing: the log was cut or damaged. Named: the revision expected and the one found."""
