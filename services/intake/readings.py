"""Readings that come as CloudEvents: kept beside the criteria's own, and judged when somebody asks.

One rule: a reading is evidence, not a command: it moves nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from events.readings import READING_PREFIX
from events.signals import Origin
from services.analysis.readings import TROUBLES, Kept, NoReading, take_reading
from services.intake import cloudevents
from services.intake.wrong import NotUnderstood
from services.log.protocol import LogError


def is_reading(origin: Origin) -> bool:
    """Whether this event says that something was measured."""
    return origin.type.startswith(READING_PREFIX)


async def keep(kept: Kept, over: cloudevents.Over, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Keep it; what became of it in words. Raises NotUnderstood, and LogError while it cannot be kept."""
    event = cloudevents.event(headers, body, over)
    at = cloudevents.instant(event.time) or now
    try:
        reading = await take_reading(kept, event.data, source=event.source, id=event.id, time=at, now=now)
    except NoReading as error:
        raise NotUnderstood(f"data: {error}") from error
    except TROUBLES as error:
        raise LogError(f"the reading cannot be kept now: {error or type(error).__name__}") from error
    return f"kept as the reading {reading.name!r} of {reading.rollout}"
