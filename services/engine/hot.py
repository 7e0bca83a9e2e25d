"""A rollout in memory: its state, where its chain ends, and which command ids it has accepted.

One rule: it is the fold of stored bytes alone. It may be behind the log (another engine writes too), never ahead.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from events.codec import Unreadable, decode, digest
from events.facts import Phase, Record
from services.log.protocol import Entry
from services.rollout.state import Rollout, apply


class Accepted(NamedTuple):
    """Where an accepted command stands, and the phase its record led to."""

    revision: int
    phase: Phase


class Hot:
    """One rollout's fold. `stopped` says why its chain cannot be gone on with ("": it can)."""

    __slots__ = ("accepted", "hash", "id", "last", "lock", "ordinal", "rollout", "stopped")

    def __init__(self, rollout_id: str) -> None:
        self.id = rollout_id
        self.rollout: Rollout | None = None
        self.last = 0
        self.ordinal = 0
        self.hash = ""
        self.accepted: dict[str, Accepted] = {}
        self.stopped = ""
        self.lock = asyncio.Lock()

    def take(self, entry: Entry) -> None:
        """Fold one stored record; one that cannot be gone on with stops this rollout and says where."""
        if self.stopped:
            return
        try:
            record = decode(entry.data)
        except Unreadable as error:
            self.stopped = f"revision {entry.revision} of rollout {self.id!r} cannot be read: {error}"
            return
        broken = self._broken(record)
        if broken:
            self.stopped = f"revision {entry.revision} of rollout {self.id!r} breaks its chain: {broken}"
            return
        try:
            self.add(record, entry.revision, entry.data)
        except Exception as error:  # what this program cannot fold must not take the other rollouts down
            why = f"{type(error).__name__}: {error}"
            self.stopped = f"revision {entry.revision} of rollout {self.id!r} cannot be folded: {why}"

    def _broken(self, record: Record) -> str:
        if record.rollout != self.id:
            return f"expected a record of {self.id!r}, found one of {record.rollout!r}"
        if record.ordinal != self.ordinal + 1:
            return f"expected ordinal {self.ordinal + 1}, found {record.ordinal}"
        if record.previous != self.hash:
            return f"expected the previous record's hash {self.hash[:12]}.., found {record.previous[:12]}.."
        return ""

    def add(self, record: Record, revision: int, data: bytes) -> Rollout:
        """Fold a record that is known to continue the chain."""
        state = apply(self.rollout, record, revision)
        self.rollout = state
        self.last, self.ordinal, self.hash = revision, record.ordinal, digest(data)
        self.accepted[record.command_id] = Accepted(revision, state.phase)
        return state


class HotRollouts:
    """The rollouts used last, at most `capacity` of them; one that is being worked on is never dropped."""

    def __init__(self, capacity: int = 5_000) -> None:
        self._capacity = capacity
        self._held: OrderedDict[str, Hot] = OrderedDict()

    def get(self, rollout_id: str) -> Hot:
        """The rollout's place in memory, an empty one if it was not held."""
        hot = self._held.get(rollout_id)
        if hot is None:
            hot = self._held[rollout_id] = Hot(rollout_id)
            self._shed()
        else:
            self._held.move_to_end(rollout_id)
        return hot

    def drop(self, rollout_id: str) -> None:
        """Forget a rollout: it is loaded again when it is asked for."""
        self._held.pop(rollout_id, None)

    def _shed(self) -> None:
        excess = len(self._held) - self._capacity
        for name in [n for n, hot in list(self._held.items())[:-1] if not hot.lock.locked()][: max(excess, 0)]:
            del self._held[name]
