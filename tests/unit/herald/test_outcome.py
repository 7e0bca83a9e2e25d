"""What a receiver's answer means: it is there, it never will be, or later, and how much later."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from services.herald.outcome import LONGEST, SECONDARY, Again, NotSent, refused, wait_of


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("7", 7.0), ("999999", LONGEST), ("soon", None), ("", None)])
def test_retry_after_in_seconds_is_kept_to_for_an_hour_at_most(text: str, seconds: float | None) -> None:
    assert wait_of(httpx.Headers({"Retry-After": text})) == seconds


def test_retry_after_may_be_a_date() -> None:
    then = datetime.now(UTC) + timedelta(seconds=30)
    wait = wait_of(httpx.Headers({"Retry-After": format_datetime(then, usegmt=True)}))
    assert wait is not None
    assert 20 < wait <= 30
    assert wait_of(httpx.Headers({"Retry-After": "Fri, 29 Jul 2022 12:00:00 GMT"})) == 0.0


def test_githubs_reset_counts_only_when_nothing_remains() -> None:
    reset = {"x-ratelimit-reset": str(int(time.time()) + 40)}
    wait = wait_of(httpx.Headers({"x-ratelimit-remaining": "0", **reset}))
    assert wait is not None
    assert 30 < wait <= 40
    assert wait_of(httpx.Headers({"x-ratelimit-remaining": "12", **reset})) is None


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert refused(httpx.Response(status)) == Again(f"answered {status}")


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 422])
def test_what_would_be_answered_alike_is_not(status: int) -> None:
    assert refused(httpx.Response(status), "why") == NotSent(f"answered {status}: why")


@pytest.mark.parametrize(
    ("response", "says", "after"),
    [
        (httpx.Response(429), "", SECONDARY),
        (httpx.Response(429, headers={"retry-after": "3"}), "", 3.0),
        (httpx.Response(429, headers={"retry-after": "0"}), "", 0.0),
        (httpx.Response(403, headers={"retry-after": "3"}), "", 3.0),
        (httpx.Response(403), "You have exceeded a secondary rate limit", SECONDARY),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0"}), "", SECONDARY),
    ],
)
def test_a_limit_is_no_refusal(response: httpx.Response, says: str, after: float) -> None:
    found = refused(response, says)
    assert isinstance(found, Again)
    assert found.after == after
