"""What every value of a stored plan must keep to.

One rule: whatever reading refuses in a written plan is refused here too, whichever way the plan came; and what is
stored as a number says the same as the words beside it.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, get_args, get_origin

from msgspec import Meta, Struct

from events.plan import dates, words
from events.plan.findings import Finding, Findings
from events.plan.gaps import Path, placeholder
from events.plan.schema import (
    Criterion,
    Freeze,
    GoNoGo,
    Length,
    Plan,
    Planned,
    Quantity,
    Seconds,
    Stage,
)
from events.plan.shapes import GO_BEFORE, MOST_MEASUREMENTS, SHAPES, Written
from events.plan.walk import CONTROL, MOST_COUNT, MOST_ENTRIES, bare, found, is_part, parts_of


def bounds(plan: Plan) -> Findings:
    """An error for every value that no written plan could have led to."""
    yield from _value(Plan, plan, ())
    for name, one in plan.criteria.items():
        if one.name != name:
            yield Finding("error", ("criteria", name, "name"), f"expected {name!r}, found {one.name!r}")
    for n, kpi in enumerate(plan.go_live.kpis):
        if not kpi.name:
            yield Finding("error", ("go_live", "kpis", n, "name"), "is missing")


def _value(kind: Any, value: Any, path: Path) -> Findings:
    kind = bare(kind)
    if value is None:
        return
    if kind == Seconds:
        yield from _within(path, value, words.LONGEST, "a span of time", " seconds (ten years)")
    elif kind is int:
        yield from _within(path, value, MOST_COUNT, "a number")
    elif kind is float:
        yield from _within(path, value, 100, "a percentage")
    elif is_part(kind):
        yield from _part(value, path)
    elif isinstance(value, str):
        yield from _text(kind, value, path)
    elif isinstance(value, (tuple, dict)):
        yield from _entries(get_args(kind), value, path)


def _within(path: Path, value: float, most: int, what: str, unit: str = "") -> Findings:
    if not 0 <= value <= most:
        yield Finding("error", path, f"expected {what} from 0 to {most:,}{unit}, found {found(value)}")


def _text(kind: Any, value: str, path: Path) -> Findings:
    if bad := CONTROL.search(value):
        yield Finding("error", path, f"holds a character that cannot be shown: {bad[0]!a}")
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    for pattern in (meta.pattern for meta in metas if isinstance(meta, Meta) and meta.pattern):
        if not re.fullmatch(pattern.strip("^$"), value):
            yield Finding("error", path, f"expected {pattern.strip('^$')}, found {found(value)}")


def _entries(kinds: tuple[Any, ...], value: Any, path: Path) -> Findings:
    if len(value) > MOST_ENTRIES:
        yield Finding("error", path, f"expected at most {MOST_ENTRIES:,} entries, found {len(value):,}")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _text(str, name, (*path, name))
            yield from _value(kinds[1], one, (*path, name))
    else:
        for n, one in enumerate(value):
            yield from _value(kinds[0], one, (*path, n))


def _part(part: Struct, path: Path) -> Findings:
    if isinstance(part, Quantity):
        if not math.isfinite(part.value):
            yield Finding("error", path, f"expected a number within reach, found {part.value}")
        return
    for info in parts_of(type(part)):
        yield from _value(info.type, getattr(part, info.name), (*path, info.name))
    yield from _sense(part, path)


def _sense(part: Struct, path: Path) -> Findings:
    """What the fields of one part must be to each other."""
    match part:
        case Length(at_least=least, at_most=most) if most is not None and most < least:
            yield Finding("error", (*path, "at_most"), f"expected at least {least} seconds, found {most}")
        case Planned(first=first, last=last) if first or last:
            yield from _days(path, first, last)
        case Freeze(first=first, last=last):
            yield from _days(path, first, last)
        case GoNoGo(before=before):
            for step in before:
                if step not in GO_BEFORE:
                    text = f"expected one of {', '.join(GO_BEFORE)}; found {step!r}"
                    yield Finding("error", (*path, "before"), text)
        case Criterion():
            yield from _measurements(part, path)
        case Stage():
            yield from _audience(part, path)


def _days(path: Path, first: str, last: str) -> Findings:
    for name, text in (("first", first), ("last", last)):
        try:
            dates.stored_day(text)
        except ValueError as error:
            yield Finding("error", (*path, name), str(error))


def _measurements(one: Criterion, path: Path) -> Findings:
    needed, of = one.breaches_needed, one.breaches_of
    if not 1 <= needed <= of <= MOST_MEASUREMENTS:
        yield Finding(
            "error", (*path, "breaches"), f"expected some of at most {MOST_MEASUREMENTS}, found {needed} of {of}"
        )
    if one.between and one.between[0].value > one.between[1].value:
        yield Finding("error", (*path, "between"), "expected the lower number first")
    said, wrong = _as_written(Criterion, {"per": one.per, "breaches": one.breaches})
    stored = {"per_seconds": one.per_seconds, "breaches_needed": needed, "breaches_of": of}
    for field, text in wrong:
        yield Finding("error", (*path, field), text)
    for field, value in said.items():
        if field in stored and stored[field] != value:
            yield Finding("error", (*path, field), f"expected {value}, as the words say, found {stored[field]}")


def _audience(stage: Stage, path: Path) -> Findings:
    """A stage whose words name fewer than its fields would switch on for more than anybody can read in it."""
    if placeholder(stage.to) == "whole":
        return
    said, wrong = _as_written(Stage, {"to": stage.to})
    for _, text in wrong:
        yield Finding("error", (*path, "to"), text)
    group, share = said.get("group", ""), said.get("percentage")
    if stage.to and group != stage.group:
        yield Finding(
            "error", (*path, "group"), f"expected {group!r}, as `to` says ({stage.to!r}), found {stage.group!r}"
        )
    elif share is not None and stage.percentage is None:
        yield Finding("error", (*path, "percentage"), f"expected {share:g}, as `to` says ({stage.to!r}), found nothing")


def _as_written(kind: type[Struct], written: Written) -> tuple[Written, list[tuple[str, str]]]:
    """What these words mean when they are read, and what is wrong with them."""
    wrong: list[tuple[str, str]] = []
    return SHAPES[kind](written, lambda field, text: wrong.append((field, text))), wrong
