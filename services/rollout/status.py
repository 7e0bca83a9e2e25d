"""Status: how a rollout stands, as `GET /v1/rollouts/{id}` and `cutover status` show it.

One rule: derived from the rollout and a time; field names are what clients build on.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from events.exposed import exposure_words
from events.facts import Phase, UtcTime
from services.rollout.blockers import blockers, next_move
from services.rollout.due import agenda
from services.rollout.state import Rollout


class Next(Struct, frozen=True):
    """The next timed thing: when (UTC) and what, in words."""

    at: UtcTime
    what: str


class Status(Struct, frozen=True):
    """How a rollout stands. `stage` is 0 outside of cutover; `blockers` are of `next_move`, in words.

    `as_of`: the instant that was asked about; absent: now.
    """

    id: str
    title: str
    phase: Phase
    stage: int
    stages: int
    exposure: str
    halted: bool
    halted_because: str
    revision: int
    entered_at: UtcTime
    blockers: tuple[str, ...]
    next_move: str
    next: Next | None
    toggles: tuple[str, ...]
    time_zone: str
    updated_at: UtcTime
    as_of: UtcTime | UnsetType = UNSET


def status(rollout: Rollout, now: datetime, finished: dict[str, Phase] | None = None) -> Status:
    """The status at `now` (UTC). `finished`: the phases of other rollouts, for plans that come after another."""
    ahead = agenda(rollout)
    return Status(
        id=rollout.id,
        title=rollout.plan.title,
        phase=rollout.phase,
        stage=rollout.stage if rollout.phase in ("cutover", "go_live") else 0,
        stages=len(rollout.plan.rollout.stages),
        exposure=exposure_words(rollout.exposure),
        halted=rollout.halted,
        halted_because=rollout.halted_because,
        revision=rollout.revision,
        entered_at=rollout.entered_at,
        blockers=tuple(b.text for b in blockers(rollout, now, finished)),
        next_move=next_move(rollout),
        next=Next(ahead[0].at, ahead[0].what) if ahead else None,
        toggles=tuple(t.key for t in rollout.plan.toggles if t.key not in rollout.retired),
        time_zone=rollout.plan.time_zone,
        updated_at=rollout.when,
    )
