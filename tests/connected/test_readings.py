"""Published readings on a real stream, as whoever may publish there left them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from events.plan.reading import read_plan
from events.readings import Reading
from services.analysis.measure import Measurer
from services.analysis.readings import JetStreamReadings, _subject
from services.log.streams import create_streams
from services.nats.connection import Connection

pytestmark = pytest.mark.connected


@pytest.mark.parametrize("body", [b'{"rollout": "\xff"}', b"<html>", b"[" * 5_000])
async def test_bytes_that_are_no_reading_are_an_error_of_the_criterion(nats_client: Connection, body: bytes) -> None:
    js, since = nats_client.jetstream(), datetime.now(UTC) - timedelta(minutes=5)
    await create_streams(js)
    await js.publish(_subject(Reading("small", "load", since), "published"), body)
    plan = read_plan({"title": "A", "criteria": {"load": {"below": 5, "reading": "load"}}}, default_id="small")
    measurer = Measurer(None, JetStreamReadings(js))
    taken = await measurer.now(plan.criteria["load"], "small", since, datetime.now(UTC))
    assert taken.judged.verdict == "error"
    assert taken.judged.why.startswith("the published readings cannot be read: ")


async def test_readings_from_before_the_step_are_none_and_are_not_waited_for(nats_client: Connection) -> None:
    await create_streams(nats_client.jetstream())
    kept, now = JetStreamReadings(nats_client.jetstream()), datetime.now(UTC)
    assert await kept.of("small", "load", now) == []
    reading = Reading("small", "load", now, 4.2, source="ci", id="1")
    await kept.keep(reading)
    for since in (now + timedelta(minutes=6), now + timedelta(days=300)):
        assert await kept.of("small", "load", since) == []
    for since in (now - timedelta(days=300), now - timedelta(seconds=1)):
        assert await kept.of("small", "load", since) == [reading]


async def test_every_reading_is_found_by_all_who_ask_at_once(nats_client: Connection) -> None:
    await create_streams(nats_client.jetstream())
    kept, now = JetStreamReadings(nats_client.jetstream()), datetime.now(UTC)
    readings = [Reading("small", "load", now + timedelta(seconds=n), n, source="ci", id=str(n)) for n in range(100)]
    await asyncio.gather(*map(kept.keep, readings))
    asked = await asyncio.gather(*(kept.of("small", "load", now - timedelta(seconds=1)) for _ in range(20)))
    assert all(found == readings for found in asked)
