"""Spans of time and quantities, from the words people write.

One rule: a word that could mean two things is refused, never guessed. Every function takes text and raises
`ValueError` with what was expected and what was found.
"""

from __future__ import annotations

import math
import re

from events.plan.schema import Length, Quantity

MINUTE, HOUR, DAY = 60, 3_600, 86_400
LONGEST = 3_660 * DAY  # ten years: beyond that a date computed from it may not exist

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * DAY),
    **dict.fromkeys(("month", "months"), 30 * DAY),
}
_COUNTS = {
    word: n
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
} | {
    "a": 1,
    "an": 1,
}
_TERM = re.compile(r"(\d+(?:\.\d+)?|[a-z]+)\s*-?\s*([a-z]+)")
_RANGE = re.compile(r"^(?:between\s+)?(.+?)\s*(?:-|–|—|\bto\b|\band\b)\s*(.+)$")
_BARE = re.compile(r"^\d+(?:\.\d+)?$")
_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
_QUANTITY = re.compile(rf"^({_NUMBER})\s*(%|[^\W\d_][^\d<>=%,;]*|/[^\d<>=%,;]+)?$")
_SCALES = {
    **dict.fromkeys(("%", "percent", "per cent"), (1.0, "%")),
    **dict.fromkeys(("us", "µs", "microseconds"), (1_000_000.0, "s")),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), (1_000.0, "s")),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), (1.0, "s")),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), (1 / 60, "s")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), (1 / 3_600, "s")),
    **dict.fromkeys(("day", "days"), (1 / DAY, "s")),
}


def seconds(text: str) -> int:
    """Whole seconds of a span: "30 minutes", "1 day 12 hours", "1.5 h", "a week"; a month is 30 days."""
    rest = text.strip().lower()
    total, found = 0.0, False
    while rest:
        term = _TERM.match(rest)
        if not term or term[2] not in _UNITS:
            break
        count = _COUNTS.get(term[1]) if term[1].isalpha() else float(term[1])
        if count is None:
            break
        total, found = total + count * _UNITS[term[2]], True
        rest = re.sub(r"^\s*(?:,|and\b)?\s*", "", rest[term.end() :])
    if rest or not found:
        raise ValueError(f"expected a length of time such as '30 minutes' or '2 days', found {text!r}")
    if total > LONGEST:
        raise ValueError(f"expected at most ten years, found {text!r}")
    return round(total)


def length(text: str) -> Length:
    """A step's length: "2 days" and "at least 2 days" (a minimum), "15 to 30 minutes", "up to 4 hours"."""
    plain = re.sub(r"^(?:for|about|roughly)\s+", "", text.strip().lower())
    if bound := re.match(r"^(?:at least|minimum(?: of)?|min\.?|no less than)\s+(.+)$", plain):
        return Length(at_least=seconds(bound[1]))
    if bound := re.match(r"^(?:at most|up to|maximum(?: of)?|max\.?|no more than)\s+(.+)$", plain):
        return Length(at_most=seconds(bound[1]))
    if plain.endswith("+"):
        return Length(at_least=seconds(plain[:-1]))
    ends = _ends(plain)
    if ends is None:
        return Length(at_least=seconds(plain))
    if ends[0] > ends[1]:
        raise ValueError(f"expected the shorter length first, found {text!r}")
    return Length(at_least=ends[0], at_most=ends[1])


def interval(text: str) -> tuple[int, int]:
    """Seconds since the deploy between which a watch lasts: "24 hours" is (0, 24 h), "4-48 hours" (4 h, 48 h)."""
    plain = text.strip().lower()
    start, until = _ends(plain) or (0, seconds(plain))
    if start >= until:
        raise ValueError(f"expected an interval that ends after it starts, found {text!r}")
    return start, until


def window(text: str) -> int:
    """Seconds of a sliding window: "any 10 minutes", "10 minute period", "day"."""
    plain = re.sub(r"^(?:any|each|every|per|the last|last|a|an|rolling)\s+", "", text.strip().lower())
    plain = re.sub(r"\s+(?:period|window|span|interval)s?$", "", plain)
    return seconds(f"1 {plain}" if plain in _UNITS else plain)


def offset(text: str, side: str) -> int:
    """Seconds `side` ("before" or "after") of a moment: "30 minutes before", "at the end" (0)."""
    plain = text.strip().lower()
    if re.match(r"^(?:at|when|with) (?:the |it )?(?:start|starts|beginning|begins|end|ends)$", plain):
        return 0
    other = "after" if side == "before" else "before"
    if re.search(rf"\b{other}\b", plain):
        raise ValueError(f"expected a time {side}, such as '10 minutes {side}', found {text!r}")
    return seconds(re.split(rf"\s+{side}\b", plain, maxsplit=1)[0])


def quantity(written: object) -> Quantity:
    """A number with its unit in base units: 10, "1,000", "5%", "250 ms" (0.25 s), "none" (0)."""
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        raise ValueError(f"expected a number such as 10, 5% or 250 ms, found {written!r}"[:200])
    if isinstance(written, str) and written.strip().lower() in ("none", "zero", "no"):
        return Quantity(0.0)
    if not isinstance(written, str):
        return Quantity(_finite(float(written) if abs(written) < 1e300 else math.inf, written))
    match = _QUANTITY.match(written.strip())
    if not match:
        raise ValueError(f"expected a number such as 10, 5% or 250 ms, found {written!r}")
    value = _finite(float(match[1].replace(",", "")), written)
    unit = (match[2] or "").strip()
    scale, base = _SCALES.get(unit.lower(), (1.0, unit))
    return Quantity(value / scale, base)


def between(written: object) -> tuple[Quantity, Quantity]:
    """Two quantities, the lower first: "1% to 5%", "1-5%", ["1%", "5%"]."""
    if isinstance(written, str):
        match = re.match(rf"^\s*({_NUMBER}[^\d]*?)\s*(?:-|–|\bto\b|\band\b)\s*({_NUMBER}.*)$", written)
        parts: list[object] = [match[1], match[2]] if match else []
    else:
        parts = list(written) if isinstance(written, (list, tuple)) else []
    if len(parts) != 2:
        raise ValueError(f"expected two numbers such as '1% to 5%', found {written!r}"[:200])
    low, high = quantity(parts[0]), quantity(parts[1])
    if not low.unit:
        low = quantity(f"{str(parts[0]).strip()} {str(parts[1]).strip().lstrip('+-0123456789.,eE')}".strip())
    if low.unit != high.unit:
        raise ValueError(f"expected the same unit twice, found {written!r}")
    if low.value > high.value:
        raise ValueError(f"expected the lower number first, found {written!r}")
    return low, high


def _ends(plain: str) -> tuple[int, int] | None:
    """Both ends of "15 to 30 minutes", or None when it is a single span ("1 hour and 30 minutes" too)."""
    try:
        seconds(plain)
    except ValueError:
        match = _RANGE.match(plain)
        if not match:
            return None
        unit = re.search(r"[a-z]+\s*$", match[2])
        first = f"{match[1]} {unit[0]}" if unit and _BARE.match(match[1]) else match[1]
        return seconds(first), seconds(match[2])
    return None


def _finite(value: float, written: object) -> float:
    if not math.isfinite(value):
        raise ValueError(f"expected a number within reach, found {str(written)[:40]!r}")
    return value
