"""The states that flags are answered from: the one that holds now, and those of the last five minutes.

One rule: a state never changes once it is there. It holds everything up to its revision and nothing after it, so what
is answered from one state cannot be mixed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from projections.flags import FlagSnapshot

KEPT_FOR = 300.0  # seconds after something newer came
MOST = 10_000  # states, so that memory stays bounded however fast records come

Changes = Mapping[str, FlagSnapshot | None]
"""Snapshots by rollout; None: this rollout does not answer (any more)."""


@dataclass(frozen=True, slots=True, eq=False)
class FlagState:
    """All rollouts that answer, at one revision."""

    revision: int
    snapshots: Mapping[str, FlagSnapshot]  # by id, ascending
    owners: Mapping[str, str]  # a toggle's key -> its rollout
    edges: tuple[datetime, ...]  # when some tester's window opens or closes, ascending

    def of_toggle(self, key: str) -> FlagSnapshot | None:
        """The snapshot of the rollout that a toggle belongs to; None: nobody's, or retired."""
        owner = self.owners.get(key)
        return None if owner is None else self.snapshots[owner]

    def edge_upto(self, now: datetime) -> datetime | None:
        """The last time until now at which a window opened or closed; from it on, every answer is what it is now."""
        before = bisect_right(self.edges, now)
        return self.edges[before - 1] if before else None

    def edge_after(self, now: datetime) -> datetime | None:
        """The next time at which a window opens or closes."""
        before = bisect_right(self.edges, now)
        return self.edges[before] if before < len(self.edges) else None


NOTHING = FlagState(0, MappingProxyType({}), MappingProxyType({}), ())


class _Past(NamedTuple):
    """A state that was: how to get back to it from the one that followed."""

    revision: int
    until: float
    before: dict[str, FlagSnapshot | None]


class FlagStates:
    """`current`, and the way back. No I/O."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        """`ticks`: seconds of a clock that never goes back."""
        self.current = NOTHING
        self._ticks = ticks
        self._past: deque[_Past] = deque()
        self._rebuilt: dict[int, FlagState] = {}

    def publish(self, changes: Changes, revision: int) -> bool:
        """The next state; whether anybody may be answered otherwise than before."""
        old = self.current.snapshots
        new = {name: _shared(old.get(name), snapshot) for name, snapshot in changes.items()}
        self._past.append(_Past(self.current.revision, self._ticks(), {name: old.get(name) for name in new}))
        self._forget()
        self.current = following(self.current, new, revision)
        return any(_says_otherwise(old.get(name), snapshot) for name, snapshot in new.items())

    def at(self, revision: int) -> FlagState | None:
        """The state of that revision (of several: the last); None: it is not kept, or was never held here."""
        if revision == self.current.revision:
            return self.current
        self._forget()
        if revision not in self._rebuilt:
            changes: dict[str, FlagSnapshot | None] = {}
            for past in reversed(self._past):
                if past.revision < revision:
                    return None
                changes.update(past.before)
                if past.revision == revision:
                    break
            else:
                return None
            self._rebuilt[revision] = following(self.current, changes, revision)
        return self._rebuilt[revision]

    def _forget(self) -> None:
        oldest = self._ticks() - KEPT_FOR
        while self._past and (self._past[0].until < oldest or len(self._past) > MOST):
            self._rebuilt.pop(self._past.popleft().revision, None)
        while len(self._rebuilt) > 64:
            self._rebuilt.pop(next(iter(self._rebuilt)))


def following(state: FlagState, changes: Changes, revision: int) -> FlagState:
    """The state with these changes. What they do not touch is shared with the one before."""
    snapshots = dict(state.snapshots)
    for name, snapshot in changes.items():
        if snapshot is None:
            snapshots.pop(name, None)
        else:
            snapshots[name] = snapshot
    if snapshots.keys() != state.snapshots.keys():
        snapshots = dict(sorted(snapshots.items()))
    owners, edges = state.owners, state.edges
    pairs = [(state.snapshots.get(name), snapshots.get(name)) for name in changes]
    if any(old is None or new is None or old.toggles != new.toggles for old, new in pairs):
        owners = MappingProxyType({key: name for name, snapshot in snapshots.items() for key in snapshot.toggles})
    if any(old is None or new is None or old.windows != new.windows for old, new in pairs):
        edges = _edges(snapshots.values())
    return FlagState(revision, MappingProxyType(snapshots), owners, edges)


def _edges(snapshots: Iterable[FlagSnapshot]) -> tuple[datetime, ...]:
    windows = [window for snapshot in snapshots for window in snapshot.windows]
    return tuple(sorted({w.opens for w in windows} | {w.closes for w in windows if w.closes is not None}))


def _says_otherwise(old: FlagSnapshot | None, new: FlagSnapshot | None) -> bool:
    """Most records change nothing that is read here: a note, a verdict, an attestation."""
    if old is None or new is None:
        return old is not new
    return replace(new, revision=old.revision, when=old.when) != old


def _shared(old: FlagSnapshot | None, new: FlagSnapshot | None) -> FlagSnapshot | None:
    """The same snapshot; what it has in common with the one before is held in memory once."""
    if old is None or new is None:
        return new
    same = {name: getattr(old, name) for name in _LARGE if getattr(old, name) == getattr(new, name)}
    return replace(new, **same)


_LARGE = ("toggles", "exposure", "windows", "testers", "retired", "readers")
