"""Asked: what a decision looks at besides the command, and the times people write.

One rule: `now` and the surroundings are handed in; nothing here looks at a clock or at another rollout.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.facts import Actor, Phase
from events.plan import words
from events.plan.dates import FIRST_YEAR, LAST_YEAR
from services.rollout.measured import Measured
from services.rollout.refusals import refuse
from services.rollout.state import Rollout


class Surroundings(Struct, frozen=True):
    """What is known besides the rollout's own log: who holds which toggle key, how far other rollouts are, the
    service's defaults, and what was measured for this decision."""

    toggle_owners: dict[str, str] = {}
    phases: dict[str, Phase] = {}
    default_approvers: tuple[str, ...] = ()
    measured: Measured | None = None  # for this command, afresh


ALONE = Surroundings()


class Asked(NamedTuple):
    """One command being decided: for which rollout, by whom, when (UTC), why, among which others."""

    rollout: Rollout
    by: Actor
    now: datetime
    reason: str = ""
    around: Surroundings = ALONE


def local_time(rollout: Rollout, text: str) -> datetime:
    """A time as written ("2022-08-02T10:30"), in UTC. Without an offset it is local to the plan's time zone.

    Refused: what is no ISO 8601 time, a year that no plan reaches, a local time that the clocks skip, and one that
    happens twice.
    """
    try:
        written = datetime.fromisoformat(text.strip())
    except ValueError:
        expected = f"a time such as 2026-03-02T10:30 (local to {rollout.plan.time_zone})"
        raise refuse(f"expected {expected}, found {text!r}", code="invalid") from None
    if not FIRST_YEAR <= written.year <= LAST_YEAR:
        raise refuse(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {text!r}", code="invalid")
    if written.tzinfo is not None:
        return written.astimezone(UTC)
    zone = ZoneInfo(rollout.plan.time_zone)
    early, late = written.replace(tzinfo=zone, fold=0), written.replace(tzinfo=zone, fold=1)
    if early.utcoffset() != late.utcoffset():
        skipped = early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != written
        what = "does not exist" if skipped else "happens twice"
        raise refuse(f"{text} {what} in {zone.key} (the clocks change): write it with its offset", code="invalid")
    return early.astimezone(UTC)


def span(text: str) -> timedelta:
    """A length as written ("30 minutes"). Refused with what was expected and found."""
    try:
        return timedelta(seconds=words.seconds(text))
    except ValueError as error:
        raise refuse(str(error), code="invalid") from None
