"""`--as-of` and `--at`: times of the past as people write them, or a revision.

One rule: without an offset a time is in the plan's zone, and the answer says which instant that was in UTC too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from services.cli.times import local
from services.client import CannotAsk

AsOf = Annotated[
    str,
    typer.Option(
        help='As it was then: "14:03" (today), "2022-07-29 14:03" (in the plan\'s zone), an instant with an offset, '
        "or a revision.",
        show_default=False,
    ),
]
_CLOCK = re.compile(r"\d?\d:\d\d(:\d\d)?")


def point(text: str, option: str, zone: Callable[[], str], now: datetime) -> str:
    """What the API takes for it: digits, or an instant in UTC. `zone` is only asked where it matters.

    Raises CannotAsk for what is no time, and for one that has not come yet.
    """
    if text.isascii() and text.isdigit():
        return text
    found = written(text, option, zone, now, "a revision")
    if found > now:
        raise CannotAsk(f"{option}: {text} has not come yet: that is {both(found, zone())}, it is {both(now, zone())}")
    return found.isoformat()


def written(text: str, option: str, zone: Callable[[], str], now: datetime, *others: str) -> datetime:
    """A time as people write it, in UTC. Raises CannotAsk for what is none; `others`: what else may stand there."""
    text = text.strip()
    try:
        found = _today(text, now.astimezone(_zone(zone()))) if _CLOCK.fullmatch(text) else datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=_zone(zone()))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = ", or ".join(('a time such as "14:03" or "2022-07-29 14:03"', *others))
        raise CannotAsk(f"{option}: expected {expected}; found {text!r}") from error


def _today(clock: str, now: datetime) -> datetime:
    return datetime.combine(now.date(), time.fromisoformat(clock if clock[2] == ":" else f"0{clock}"), now.tzinfo)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def both(when: datetime, zone: str) -> str:
    """An instant in UTC to the second, and in the plan's zone: "2022-07-29 18:03:00 UTC (Fri 2022-07-29 14:03 EDT)"."""
    utc = f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return utc if zone in ("", "UTC") else f"{utc} ({local(when, zone)})"
