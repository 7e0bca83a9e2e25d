"""Times of the past as people write them, and how the answers about them look."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.cli.asof import both, point
from services.client import CannotAsk

NOON = datetime(2022, 7, 29, 16, 30, tzinfo=UTC)  # 12:30 in New York


def new_york() -> str:
    return "America/New_York"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("57", "57"),
        ("12:03", "2022-07-29T16:03:00+00:00"),
        ("9:05:10", "2022-07-29T13:05:10+00:00"),
        ("2022-07-29 12:03", "2022-07-29T16:03:00+00:00"),
        ("2022-01-29", "2022-01-29T05:00:00+00:00"),
        ("2022-07-29T12:03:00Z", "2022-07-29T12:03:00+00:00"),
        ("2022-07-29T12:03:00-04:00", "2022-07-29T16:03:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_plans_zone(written: str, meant: str) -> None:
    assert point(written, "--at", new_york, NOON) == meant


def test_the_zone_is_only_asked_for_where_it_matters() -> None:
    def unasked() -> Any:
        raise AssertionError("nobody needed the zone")

    assert point("2022-07-29T12:03:00Z", "--at", unasked, NOON) == "2022-07-29T12:03:00+00:00"
    assert point("57", "--at", unasked, NOON) == "57"


def test_a_time_to_come_is_not_asked_about() -> None:
    with pytest.raises(CannotAsk, match=r"14:03 has not come yet: that is 2022-07-29 18:03:00 UTC \(.* 14:03 EDT\)"):
        point("14:03", "--at", new_york, NOON)


@pytest.mark.parametrize("written", ["yesterday", "25:00", "2022-13-01", "-1", "0001-01-01"])
def test_what_is_no_time_is_named(written: str) -> None:
    with pytest.raises(CannotAsk, match=f"--at: expected a time such as .* found '{written}'"):
        point(written, "--at", lambda: "Asia/Tokyo", NOON)


def test_an_instant_is_shown_in_utc_and_in_the_plans_zone() -> None:
    assert both(NOON, new_york()) == "2022-07-29 16:30:00 UTC (Fri 2022-07-29 12:30 EDT)"
    assert both(NOON, "UTC") == "2022-07-29 16:30:00 UTC"
