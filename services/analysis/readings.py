"""Readings kept: what CI and jobs publish, and what we measured, on the stream READINGS for 13 months.

One rule: a reading is kept as it was published, late or not; the same (source, id) again is the same reading.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from nats import errors
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from events.codec import NOT_JSON, holds_nul
from events.plan.words import quantity
from events.readings import READING_SUBJECT, Published, Reading
from services.log.ids import is_id
from services.log.streams import READINGS

logger = logging.getLogger(__name__)

LONGEST_NAME = 200
MOST_PARTS = 100
AHEAD = timedelta(minutes=5)  # how far a publisher's clock may be ahead
WAIT = 2.0  # seconds for the next of many readings
_ID = re.compile(r"[\x21-\x7e]{1,200}")

_readings = msgspec.json.Decoder(Reading)
_published = msgspec.json.Decoder(Published)


class NoReading(ValueError):
    """What was published is no reading; the text names the field, what is expected and what was found."""


class Kept(Protocol):
    """Where readings are kept: JetStream, or a list in tests of what stands above it."""

    async def keep(self, reading: Reading) -> None:
        """Store it. Raises OSError or nats.errors.Error when the stream cannot be reached."""
        ...

    async def of(self, rollout: str, name: str, since: datetime) -> Sequence[Reading]:
        """The published readings of this name that were so after `since`, oldest first, each once."""
        ...

    async def measured(self, rollout: str, name: str, since: datetime, until: datetime, most: int) -> Sequence[Reading]:
        """What the monitor measured of a criterion after `since` and up to `until`, oldest first, at most `most`."""
        ...


def reading_of(data: bytes, rollout: str, *, source: str, id: str, time: datetime, now: datetime) -> Reading:
    """The reading in a CloudEvent's data (`Published`, as JSON). Raises NoReading.

    `rollout` is the one addressed ("": the data must name it), `time` the event's, `now` when it reached us.
    """
    try:
        said = _published.decode(data)
    except NOT_JSON as error:
        raise NoReading(f"a reading is a JSON object with a name and a value: {error}") from None
    if holds_nul(data):
        raise NoReading("a text holds the character U+0000, which not every database can keep")
    rollout = rollout or said.rollout
    if not is_id(rollout):
        raise NoReading(f"rollout: expected a rollout's id, found {rollout[:80]!r}")
    if said.rollout and said.rollout != rollout:
        raise NoReading(f"rollout: expected {rollout!r}, found {said.rollout[:80]!r}")
    if not 0 < len(said.name.strip()) <= LONGEST_NAME:
        raise NoReading(f"name: expected 1 to {LONGEST_NAME} characters, found {len(said.name.strip())}")
    if len(said.parts) > MOST_PARTS:
        raise NoReading(f"parts: expected at most {MOST_PARTS}, found {len(said.parts)}")
    at = said.at or time
    if at > now + AHEAD:
        raise NoReading(f"at: expected a time that has been, found {at.isoformat()}")
    value, unit = _value(said)
    return Reading(rollout, said.name.strip(), at, value, unit, said.parts, source, id, now)


def _value(said: Published) -> tuple[float, str]:
    """In base units; the sum of the parts where there are only parts."""
    if said.value is None and not said.parts:
        raise NoReading("value: expected a number such as 10, 5% or 250 ms, found nothing")
    try:
        found = quantity(sum(said.parts.values()) if said.value is None else said.value)
    except ValueError as error:
        raise NoReading(f"value: {error}") from None
    return found.value, found.unit


async def take_reading(
    kept: Kept, data: bytes, rollout: str = "", *, source: str, id: str, time: datetime, now: datetime
) -> Reading:
    """Keep a published reading. Raises NoReading, and what `keep` raises. See `reading_of`."""
    reading = reading_of(data, rollout, source=source, id=id, time=time, now=now)
    await kept.keep(reading)
    return reading


def once(readings: Sequence[Reading], since: datetime) -> list[Reading]:
    """Those after `since`, oldest first, each (source, id) once: the first that came."""
    first: dict[tuple[str, str], Reading] = {}
    for reading in readings:
        first.setdefault((reading.source, reading.id), reading)
    return sorted((r for r in first.values() if r.at > since), key=lambda r: (r.at, r.source, r.id))


class JetStreamReadings:
    """Kept on the stream READINGS, a subject for each name: `rollouts.readings.<rollout>.<kind>.<hash of the name>`."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js

    async def keep(self, reading: Reading) -> None:
        kind = "measured" if reading.verdict is not None else "published"
        identity = f"{reading.source}\n{reading.id}\n{reading.at.timestamp()}"
        headers = {"Nats-Msg-Id": hashlib.sha256(identity.encode()).hexdigest()} if reading.id else None
        await self._js.publish(_subject(reading, kind), msgspec.json.encode(reading), headers=headers)

    async def of(self, rollout: str, name: str, since: datetime) -> list[Reading]:
        found = [each async for each in self._stored(_subject(Reading(rollout, name, since), "published"), since)]
        return once(found, since)

    async def measured(self, rollout: str, name: str, since: datetime, until: datetime, most: int) -> list[Reading]:
        found: list[Reading] = []
        async with aclosing(self._stored(_subject(Reading(rollout, name, since), "measured"), since)) as stored:
            async for reading in stored:
                if len(found) >= most or reading.at > until:
                    break
                if reading.at > since:
                    found.append(reading)
        return found

    async def _stored(self, subject: str, since: datetime) -> AsyncGenerator[Reading, None]:
        """What lies on a subject, from shortly before `since` to what is its last message now."""
        try:
            last = await self._js.get_last_msg(READINGS, subject)
        except NotFoundError:
            return
        start = since - AHEAD  # what was so after `since` was stored after it, but for clocks that are ahead
        if last.time is not None and last.time < start:
            return
        config = ConsumerConfig(
            name=f"readings-{secrets.token_hex(8)}",  # accounts may make named consumers only
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=start,
        )
        subscription = await self._js.subscribe(subject, stream=READINGS, ordered_consumer=True, config=config)
        try:
            while True:
                message = await subscription.next_msg(WAIT)
                yield _readings.decode(message.data)
                if message.metadata.sequence.stream >= (last.seq or 0):
                    return
        finally:
            await subscription.unsubscribe()


TROUBLES = (errors.Error, OSError, *NOT_JSON)
"""What reading or keeping readings may raise."""


class MemoryReadings:
    """Kept in a list: for tests and simulations of what stands above."""

    def __init__(self) -> None:
        self.all: list[Reading] = []

    async def keep(self, reading: Reading) -> None:
        self.all.append(reading)

    async def of(self, rollout: str, name: str, since: datetime) -> list[Reading]:
        said = [r for r in self.all if (r.rollout, r.name, r.verdict) == (rollout, name, None)]
        return once(said, since)

    async def measured(self, rollout: str, name: str, since: datetime, until: datetime, most: int) -> list[Reading]:
        said = [r for r in self.all if (r.rollout, r.name) == (rollout, name) and r.verdict is not None]
        return [r for r in sorted(said, key=lambda r: r.at) if since < r.at <= until][:most]


def _subject(reading: Reading, kind: str) -> str:
    token = hashlib.sha256(reading.name.encode()).hexdigest()[:16]
    return f"{READING_SUBJECT}{reading.rollout}.{kind}.{token}"
