"""Standing: of every rollout, what a signal must be held against. A fold of the log, caught up on demand.

One rule: it is asked for after the signal has arrived, so a plan that was adopted before a signal is always known.
"""

from __future__ import annotations

import asyncio

from msgspec import Struct
from msgspec.structs import replace

from events.codec import Unreadable, decode
from events.facts import DeployReported, EvidenceRecorded, Fact, Phase, PhaseEntered, PlanAdopted, PlanRevised, Record
from events.plan.schema import Plan
from services.intake.cloudevents import not_after
from services.log.protocol import Log

MOST_CHAINS = 200


class Running(Struct, frozen=True):
    """What is said to run of a service, and when its sender says that it was deployed ("": it does not say).

    Never after it was recorded: a sender whose clock is ahead would make all that comes after it look late.
    """

    version: str
    time: str = ""


class Standing(Struct, frozen=True):
    """One rollout. `told`: every (service, version) ever reported; `over`: incidents and alerts that are resolved."""

    plan: Plan
    phase: Phase = "planned"
    running: dict[str, Running] = {}
    told: frozenset[tuple[str, str]] = frozenset()
    chains: tuple[str, ...] = ()
    over: frozenset[tuple[str, str]] = frozenset()


class Standings:
    """All rollouts, as of the log's end."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[str, Standing] = {}
        self._lock = asyncio.Lock()
        self.position = 0

    async def latest(self) -> dict[str, Standing]:
        """Every rollout by its id, in the order of adoption. Raises LogError."""
        async with self._lock:
            head = await self._log.head()
            if head > self.position:
                async for batch in self._log.follow(self.position, until=head):
                    for entry in batch:
                        self._take(entry.rollout, entry.data)
                        self.position = entry.revision
            return dict(self._known)

    def _take(self, rollout: str, data: bytes) -> None:
        try:
            record = decode(data)
        except Unreadable:
            return  # that rollout is stopped; the engine says so to whoever asks something of it
        after = self._known.get(rollout)
        for fact in record.facts:
            after = with_fact(after, fact, record)
        if after is not None:
            self._known[rollout] = after


def with_fact(standing: Standing | None, fact: Fact, record: Record) -> Standing | None:
    """The standing after one more fact; None before the plan is adopted."""
    if isinstance(fact, PlanAdopted):
        return Standing(fact.plan)
    if standing is None:
        return None
    match fact:
        case PlanRevised(plan=plan):
            return replace(standing, plan=plan)
        case PhaseEntered(phase=phase):
            return replace(standing, phase=phase)
        case DeployReported(service=service, version=version):
            told = next((evidence.time for evidence in record.evidence if evidence.time), "")
            chain = next((evidence.chain for evidence in record.evidence if evidence.chain), "")
            return replace(
                standing,
                running={**standing.running, service: Running(version, not_after(told, record.when))},
                told=standing.told | {(service, version)},
                chains=_with(standing.chains, chain),
            )
        case EvidenceRecorded(outcome="resolved", source=source, about=about, chain=chain):
            return replace(standing, over=standing.over | {(source, about)}, chains=_with(standing.chains, chain))
        case EvidenceRecorded(chain=chain):
            return replace(standing, chains=_with(standing.chains, chain))
    return standing


def _with(chains: tuple[str, ...], chain: str) -> tuple[str, ...]:
    return chains if not chain or chain in chains else (*chains, chain)[-MOST_CHAINS:]
