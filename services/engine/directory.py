"""The directory: who holds which toggle key, and how far each rollout is.

One rule: a fold of the whole log up to `position`; an adoption is appended only if the log still ends there.
A key stays the rollout's that has ever named it, until that is cancelled: applications may go on asking for it.
"""

from __future__ import annotations

import asyncio

from events.codec import Unreadable, decode
from events.facts import PhaseEntered, PlanAdopted, PlanRevised
from services.log.protocol import Entry, Log
from services.rollout.asked import Surroundings


class Directory:
    """Catches up on demand, so that it costs nothing while nobody adopts or revises a plan."""

    def __init__(self, log: Log, default_approvers: tuple[str, ...] = ()) -> None:
        self._log = log
        self._default_approvers = default_approvers
        self._toggles: dict[str, tuple[str, ...]] = {}  # rollout -> the keys of its plan
        self._dropped: dict[str, tuple[str, ...]] = {}  # rollout -> keys of its earlier plans
        self._phases: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self.position = 0

    async def surroundings(self) -> tuple[Surroundings, int]:
        """What is known of all rollouts, and the revision up to which it is."""
        async with self._lock:
            head = await self._log.head()
            if head > self.position:
                async for batch in self._log.follow(self.position, until=head):
                    for entry in batch:
                        self._take(entry)
            return self._as_of_now(), self.position

    def _as_of_now(self) -> Surroundings:
        owners = {
            key: rollout
            for held in (self._dropped, self._toggles)  # the plan in force decides, should two have named a key
            for rollout, keys in held.items()
            if self._phases.get(rollout) != "cancelled"
            for key in keys
        }
        return Surroundings(owners, dict(self._phases), self._default_approvers)  # type: ignore[arg-type]

    def _take(self, entry: Entry) -> None:
        self.position = entry.revision
        try:
            record = decode(entry.data)
        except Unreadable:
            return  # that rollout is stopped; its toggles stay as they were known
        for fact in record.facts:
            if isinstance(fact, (PlanAdopted, PlanRevised)):
                before = (*self._dropped.get(entry.rollout, ()), *self._toggles.get(entry.rollout, ()))
                self._dropped[entry.rollout] = tuple(dict.fromkeys(before))
                self._toggles[entry.rollout] = tuple(t.key for t in fact.plan.toggles)
                self._phases.setdefault(entry.rollout, "planned")
            elif isinstance(fact, PhaseEntered):
                self._phases[entry.rollout] = fact.phase
