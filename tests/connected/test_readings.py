"""Published readings on a real stream, as whoever may publish there left them."""

from __future__ import annotations

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
