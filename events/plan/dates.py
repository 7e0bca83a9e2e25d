"""Planned dates, from the words people write.

One rule: a planned date is kept as its words; the days it names are an extra, used to warn and never to gate.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from events.plan.schema import Planned

FIRST_YEAR, LAST_YEAR = 1970, 9000  # beyond these a time zone's offset, or a length added, may not exist
_STORED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAY = re.compile(
    r"(?P<iso>\b\d{4}-\d{1,2}-\d{1,2}\b)"
    r"|(?P<slash>\b\d{1,2}/\d{1,2}(?:/\d{4}|/\d{2})?\b)"
    r"|(?P<name>\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+\d{1,2}(?:st|nd|rd|th)?(?:,?\s+\d{4})?\b)",
    re.IGNORECASE,
)


def planned(text: str) -> Planned:
    """The words, and the first and last day they name: ISO, mm/dd/yy, "August 1, 2022", "week of ...", ranges.

    A day without a year takes that of the next one that has it. ValueError for a day that does not exist.
    """
    parts = [_parts(match) for match in _DAY.finditer(text)]
    days: list[date] = []
    year = 0
    for year_written, month, day in reversed(parts):
        year = year_written or year
        if year:
            days.insert(0, _day(year, month, day, text))
    if not days:
        return Planned(text)
    last = days[-1]
    if re.search(r"\bweek (?:of|beginning|starting)\b", text, re.IGNORECASE):
        last += timedelta(days=6)
    return Planned(text, days[0].isoformat(), last.isoformat())


def stored_day(text: str) -> date:
    """A day as a plan keeps it ("2022-11-24"). ValueError for what is no day from 1970 to 9000."""
    match = _STORED.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a day such as 2022-11-24, found {text[:80]!r}")
    return _day(int(match[1]), int(match[2]), int(match[3]), text)


def _parts(match: re.Match[str]) -> tuple[int, int, int]:
    """(year or 0, month, day) of one written day."""
    if match["iso"]:
        year, month, day = match["iso"].split("-")
        return int(year), int(month), int(day)
    if match["slash"]:
        month, day, *rest = match["slash"].split("/")
        year_written = int(rest[0]) if rest else 0
        return (2000 + year_written if 0 < year_written < 100 else year_written), int(month), int(day)
    numbers = [int(number) for number in re.findall(r"\d+", match["name"])]
    month_number = _MONTHS.index(match["name"][:3].lower()) + 1
    return (numbers[1] if len(numbers) > 1 else 0), month_number, numbers[0]


def _day(year: int, month: int, day: int, text: str) -> date:
    try:
        found = date(year, month, day)
    except ValueError:
        raise ValueError(f"expected a day that exists, found {text!r}") from None
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {text!r}")
    return found
