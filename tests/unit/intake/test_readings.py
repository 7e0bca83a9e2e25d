"""Readings that come as CloudEvents: kept with the event's identity and time, refused in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.analysis.readings import MemoryReadings
from services.intake import readings
from services.intake.wrong import NotUnderstood

NOW = datetime(2022, 7, 29, 12, tzinfo=UTC)
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "run-7",
    "ce-source": "https://ci.example/7",
    "ce-type": "dev.cdeventsx.cutover-reading.published.0.1.0",
    "content-type": "application/json",
}
SAID = b'{"rollout": "vaos", "name": "load", "value": "3 s"}'


@pytest.mark.parametrize(
    ("time", "at"),
    [
        ("2022-07-29T11:00:00Z", datetime(2022, 7, 29, 11, tzinfo=UTC)),
        ("2022-07-29t11:00:00z", datetime(2022, 7, 29, 11, tzinfo=UTC)),
        ("2022-07-29T13:00:00.123456789+02:00", datetime(2022, 7, 29, 11, 0, 0, 123456, tzinfo=UTC)),
        ("", NOW),
    ],
)
async def test_a_reading_is_of_the_events_time_otherwise_of_now(time: str, at: datetime) -> None:
    kept = MemoryReadings()
    headers = HEADERS | ({"ce-time": time} if time else {})
    assert await readings.keep(kept, "http", headers, SAID, NOW) == "kept as the reading 'load' of vaos"
    [reading] = kept.all
    assert (reading.at, reading.value, reading.unit) == (at, 3.0, "s")
    assert (reading.source, reading.id, reading.taken) == ("https://ci.example/7", "run-7", NOW)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"12", "a reading is a JSON object"),
        (b'{"rollout": "vaos", "name": "load"}', "value: expected a number"),
        (b'{"name": "load", "value": 1}', "rollout: expected a rollout's id, found ''"),
    ],
)
async def test_what_is_no_reading_is_refused_in_words(body: bytes, words: str) -> None:
    kept = MemoryReadings()
    with pytest.raises(NotUnderstood, match=words):
        await readings.keep(kept, "http", HEADERS, body, NOW)
    assert kept.all == []
