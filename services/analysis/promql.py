"""PromQL as text: which series a query reads, how far back, and the span it is asked for.

One rule: a query is read only as far as is needed to ask it safely; what it means is the server's business.
Source: the grammar of Prometheus 2 and 3 (https://prometheus.io/docs/prometheus/latest/querying/basics/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from events.plan.schema import Criterion

STEP = 15  # seconds between the looks of a counting query: at most a usual scrape interval

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
    | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<range>\[[^\]]*\])
    | (?P<number>(?:\d+[smhdwy]|\d+ms)+\b|0x[0-9a-fA-F]+|\d*\.?\d+(?:[eE][-+]?\d+)?)
    | (?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = {"and", "or", "unless", "bool", "atan2", "inf", "nan"}
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_SPAN = re.compile(r"\[\s*SPAN\s*(:[^\]]*)?\]")
_AT_THE_EDGE = re.compile(r"@\s*(?:start|end)\s*\(\s*\)")
_SUBQUERY = re.compile(
    r"^\s*(max|min|sum|avg|count)_over_time\s*\((?P<inner>.*)\[\s*SPAN\s*:\s*(?P<step>[0-9a-z]+)\]\s*\)\s*$", re.S
)


class Token(NamedTuple):
    """A piece of a query."""

    kind: str
    text: str


def tokens(query: str) -> list[Token]:
    """The query's pieces without spaces and comments."""
    found = (Token(str(m.lastgroup), m.group()) for m in _TOKEN.finditer(query))
    return [token for token in found if token.kind != "space"]


def has_span(query: str) -> bool:
    """Whether the query says SPAN where a range stands."""
    return _SPAN.search(query) is not None


def with_span(query: str, seconds: int) -> str:
    """The query with SPAN replaced by this many seconds."""
    return _SPAN.sub(lambda match: f"[{seconds}s{match[1] or ''}]", query)


def duration(text: str) -> float:
    """Seconds of "1h30m", "90s", "500ms". Raises ValueError."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(n + u for n, u in parts) != text.strip():
        raise ValueError(f"expected a duration such as 10m, found {text!r}")
    return sum(int(n) * _UNITS[u] for n, u in parts)


def reach(query: str) -> int:
    """How many seconds the query looks back by itself, without SPAN: a range or an offset behind brackets begins where
    what is in them begins to look back, so nested ones add up."""
    found = tokens(_AT_THE_EDGE.sub("", query))
    open_brackets, operand = [0.0], 0.0  # the farthest look back in each open bracket; that of what was just read
    for n, token in enumerate(found):
        if token.kind == "range" and (text := token.text[1:-1].partition(":")[0].strip()) != "SPAN":
            operand += _seconds(text)
        elif token.text.lower() == "offset" and n + 1 < len(found):
            operand += _seconds(found[n + 1].text)
        elif token.text == ")" and len(open_brackets) > 1:
            operand = open_brackets.pop()
        elif token.kind in ("name", "other"):
            operand = 0.0
            open_brackets += [0.0] if token.text == "(" else []
        open_brackets[-1] = max(open_brackets[-1], operand)
    return round(max(open_brackets))


def _seconds(text: str) -> float:
    try:
        return duration(text)
    except ValueError:
        return 0.0  # what the server does not understand it will say


def selectors(query: str) -> tuple[str, ...]:
    """The series the query reads, each as a plain selector: `errors_total{code="5"}`."""
    return tuple(dict.fromkeys(_selectors(tokens(query))))


def _selectors(found: list[Token]) -> Iterator[str]:
    at = 0
    while at < len(found):
        token, following = found[at], found[at + 1].text if at + 1 < len(found) else ""
        word = token.text.lower()
        if token.kind == "name" and word in _LABEL_LISTS:
            at = _closing(found, at + 1, "(", ")") if following == "(" else at + 1
        elif token.kind == "name" and word == "offset":
            at += 2
        elif token.kind == "name" and (word in _KEYWORDS or following == "(" or following.lower() in ("by", "without")):
            at += 1
        elif token.kind == "name" or token.text == "{":
            start = at
            at = at + 1 if token.kind == "name" else at
            at = _closing(found, at, "{", "}") if at < len(found) and found[at].text == "{" else at
            yield "".join(piece.text for piece in found[start:at])
        else:
            at += 1


def _closing(found: list[Token], at: int, opening: str, closing: str) -> int:
    """The place after the bracket that closes the one at `at`."""
    depth = 0
    for n in range(at, len(found)):
        depth += (found[n].text == opening) - (found[n].text == closing)
        if depth == 0:
            return n + 1
    return len(found)


def lasting(query: str) -> tuple[str, ...]:
    """The series that the query reads and that are there all the time. ALERTS exist only while an alert is pending or
    firing."""
    return tuple(s for s in selectors(query) if not re.match(r"^ALERTS(_FOR_STATE)?\b", s))


class Read(NamedTuple):
    """The lasting series that a criterion reads: those that must be there, and those whose absence means 0."""

    needed: tuple[str, ...]
    may_be_unborn: tuple[str, ...] = ()


def series_of(criterion: Criterion) -> Read:
    """Where the plan says what absence means (a counter, `or vector(0)`) and names its traffic, the traffic's series
    must be there instead."""
    query = query_of(criterion)
    values, traffic = lasting(query), lasting(criterion.traffic)
    if criterion.traffic and (criterion.count or "vector(" in query):
        return Read(traffic, tuple(s for s in values if s not in traffic))
    return Read(tuple(dict.fromkeys((*values, *traffic))))


def seen(series: Sequence[str], seconds: int) -> str:
    """A query that finds something where each of these series has a sample in the last so many seconds."""
    return " and ".join(f"count(count_over_time({each}[{seconds}s]))" for each in series)


def query_of(criterion: Criterion) -> str:
    """What is asked for a criterion: its own query, or the one that counts; "" when there is none.

    Counting exactly compares the counter with itself a window ago; `increase` extrapolates to the window's edges
    (a true 9 in ten minutes reads 10 at a 60 s scrape), yet sees through counter resets. With `traffic` a counter
    that was never born is 0; without it, it is missing data.
    """
    if not criterion.count:
        return criterion.query
    counter, window = criterion.count.strip(), criterion.per_seconds
    if not criterion.exact:
        grown = f"sum(increase({counter}[{window}s]))" + (" or vector(0)" if criterion.traffic else "")
        return f"max_over_time(({grown})[SPAN:{STEP}s])"
    now = f"(sum({counter}) or vector(0))" if criterion.traffic else f"sum({counter})"
    return f"max_over_time(({now} - (sum({counter} offset {window}s) or vector(0)))[SPAN:{STEP}s])"


def over_time(query: str) -> tuple[str, str, float] | None:
    """(aggregation, inner query, seconds a step) of `max_over_time(inner[SPAN:30s])`; None for other shapes."""
    match = _SUBQUERY.match(query)
    if match is None or has_span(match["inner"]):
        return None
    depth = 0
    for token in tokens(match["inner"]):  # the range must belong to the whole of what stands in the brackets
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0:
            return None
    return match[1], match["inner"], _seconds(match["step"])
