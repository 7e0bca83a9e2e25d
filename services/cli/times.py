"""Times and lengths as people read them.

One rule: a time is shown in the plan's own time zone, with the zone's name beside it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

HOUR = 3600
UNITS = (("week", 604_800), ("day", 86_400), ("hour", HOUR), ("minute", 60), ("second", 1))


def instant(text: str) -> datetime:
    """A time of the API's JSON, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def local(when: datetime, zone: str = "UTC") -> str:
    """ "Fri 2022-07-29 09:00 EDT": a weekday, since releases are planned by them."""
    try:
        there = when.astimezone(ZoneInfo(zone or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        there = when.astimezone(UTC)
    return f"{there:%a %Y-%m-%d %H:%M %Z}"


def span(length: timedelta) -> str:
    """The two largest units: "1 day 4 hours", "30 minutes"; seconds only under an hour."""
    left = max(0, round(length.total_seconds()))
    if left >= HOUR:
        left = round(left / 60) * 60
    parts = []
    for unit, seconds in UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"


def until(when: datetime, now: datetime) -> str:
    """ "in 3 hours", "2 days ago", "now"."""
    if abs(when - now) < timedelta(seconds=1):
        return "now"
    return f"in {span(when - now)}" if when > now else f"{span(now - when)} ago"
