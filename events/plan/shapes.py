"""How each part of a plan may be written, where that differs from how it is stored.

One rule: a shape takes the written mapping and gives one with the stored field names; what it cannot understand
it reports with its field and leaves out. It invents nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from events.plan import dates, words
from events.plan.defaults import POST_LAUNCH_QUESTIONS, RESULTS
from events.plan.gaps import placeholder
from events.plan.schema import (
    After,
    Criterion,
    Freeze,
    GoLive,
    GoNoGo,
    IssueRoute,
    Length,
    Plan,
    Question,
    Sessions,
    Stage,
    Watch,
)

Written = dict[str, Any]


class Span(int):
    """Seconds that a shape has read already; a bare number written by a person is refused, having no unit."""


Fail = Callable[[str, str], None]  # field, what is wrong with it

GO_BEFORE = ("testing", "first stage", "every stage", "go live")
_EVERYONE = ("everyone", "everybody", "all", "all users", "all veterans")
_SHARE = re.compile(
    r"^(\d+(?:\.\d+)?)\s*(?:%|percent)?"
    r"(?:\s*(?:-|–|\bto\b)\s*(\d+(?:\.\d+)?)\s*(?:%|percent)?)?"
    r"(?:\s+of\s+(?:the\s+)?(.+))?$",
    re.IGNORECASE,
)
MOST_MEASUREMENTS = 100
_OUT_OF = re.compile(r"^(?:any\s+)?(\d{1,3})\s*(?:out\s+)?of\s*(?:the\s+last\s+|any\s+)?(\d{1,3})$", re.IGNORECASE)
_KINDS = (
    (re.compile(r"[\s:,(]*\byes\s*/\s*no\b\)?(?:,? (?:and|plus) (?:a )?note)?[\s.:]*$", re.I), "yes/no"),
    (re.compile(r"[\s:,(]*\bfound\s*/\s*fixed\)?[\s.:]*$", re.I), "found/fixed"),
    (re.compile(r"\s*(?:[?:,]\s*number|\(number\))[\s.:]*$", re.I), "number"),
)


def text_in(written: Written, field: str) -> str:
    """The field's text when there is one that is not a blank; else ""."""
    value = written.get(field)
    return value if isinstance(value, str) and placeholder(value) != "whole" else ""


def question(written: Written, fail: Fail) -> Written:
    """ "Was it easy? yes/no" asks for yes or no; "Number of ..." for a number."""
    text = text_in(written, "text").strip()
    if "kind" in written or not text:
        return written
    for pattern, kind in _KINDS:
        bare = pattern.sub("", text)
        if bare != text and bare:
            return written | {"text": bare if bare.endswith("?") or "?" not in text else bare + "?", "kind": kind}
    if re.match(r"number of\b", text, re.IGNORECASE):
        return written | {"kind": "number"}
    return written


def criterion(written: Written, fail: Fail) -> Written:
    """`per` is kept as written, and in seconds; so are `breaches`, as two numbers."""
    return _breaches(_per(written, fail), fail)


def _per(written: Written, fail: Fail) -> Written:
    per = text_in(written, "per")
    if not per:
        return written
    try:
        return written | {"per_seconds": Span(words.window(per))}
    except ValueError as error:
        fail("per", str(error).replace("a length of time", "a window of time"))
        return {name: value for name, value in written.items() if name != "per"}


def _breaches(written: Written, fail: Fail) -> Written:
    text = text_in(written, "breaches")
    if not text:
        return written
    match = _OUT_OF.match(text)
    needed, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if 1 <= needed <= of <= MOST_MEASUREMENTS:
        return written | {"breaches_needed": needed, "breaches_of": of}
    fail("breaches", f"expected how many of how many measurements, such as '2 of 3', found {text!r}")
    return {name: value for name, value in written.items() if name != "breaches"}


def watch(written: Written, fail: Fail) -> Written:
    """`until` is an interval since the deploy: "24 hours", "0-24 hrs", "4-48 hours"."""
    until = text_in(written, "until")
    if not until:
        return written
    rest = {name: value for name, value in written.items() if name != "until"}
    try:
        start, end = words.interval(until)
    except ValueError as error:
        fail("until", str(error))
        return rest
    if start and "start" in rest:
        fail("start", f"is already said by until: {until!r}")
    return ({} if not start else {"start": Span(start)}) | rest | {"until": Span(end)}


def sessions(written: Written, fail: Fail) -> Written:
    """A single length is both least and most; the toggles go on before the meeting and off after it."""
    done = dict(written)
    for field, side in (("toggles_on", "before"), ("toggles_off", "after")):
        if text := text_in(written, field):
            try:
                done[field] = Span(words.offset(text, side))
            except ValueError as error:
                fail(field, str(error))
                del done[field]
    if text := text_in(written, "length"):
        try:
            read = words.length(text)
        except ValueError as error:
            fail("length", str(error))
            del done["length"]
        else:
            done["length"] = read if read.at_most is not None else Length(read.at_least, read.at_least)
    return done


def stage(written: Written, fail: Fail) -> Written:
    """`to`: "everyone", "25%", 25, "5% to 25%", a group, "10% of GROUP"."""
    to = written.get("to")
    derived = [name for name in ("group", "percentage", "up_to") if name in written]
    if to is None and not derived:
        if "to" not in written:
            fail("", "does not say for whom; write to: everyone, a percentage such as 25%, or a group's name")
        return written
    if to is None:
        return written | {"to": _stage_words(written)}
    if derived:
        fail(derived[0], "is already said by `to`; write one of them")
        return written | {"to": ""}
    if isinstance(to, bool) or not isinstance(to, (str, int, float)):
        return written
    words_to = f"{to:g}%" if not isinstance(to, str) and abs(to) < 1e9 else str(to).strip()
    if placeholder(words_to) == "whole":
        return written
    meaning, wrong = _meaning(words_to)
    if wrong:
        fail("to", wrong)
    return written | {"to": words_to} | meaning


def _stage_words(written: Written) -> str:
    share, group = written.get("percentage"), written.get("group")
    share_words = f"{share:g}%" if isinstance(share, (int, float)) and abs(share) < 1e9 else str(share or "")
    return f"{share_words} of {group}" if share_words and group else share_words or str(group)[:100]


def _meaning(to: str) -> tuple[Written, str]:
    """What `to` means as stored fields, and what is wrong with it ("" when nothing is)."""
    if to.lower() in _EVERYONE:
        return {}, ""
    match = _SHARE.match(to)
    if not match:
        return ({}, f"expected a percentage, found {to!r}") if "%" in to else ({"group": to}, "")
    low, high = float(match[1]), float(match[2] or match[1])
    group = match[3] or ""
    group = "" if group.lower() in (*_EVERYONE, "users", "veterans") else group
    if high > 100:
        return {}, f"expected a percentage from 0 to 100, found {to!r}"
    if low > high:
        return {}, f"expected the lower percentage first, found {to!r}"
    if not match[2] and low == 100 and not group:
        return {}, ""
    return {"group": group, "percentage": low} | ({"up_to": high} if match[2] else {}), ""


def after(written: Written, fail: Fail) -> Written:
    """ "1 week" is a text and its seconds."""
    text = text_in(written, "text")
    if not text or "seconds" in written:
        return written
    try:
        return written | {"seconds": Span(words.seconds(re.sub(r"^after\s+", "", text, flags=re.IGNORECASE)))}
    except ValueError as error:
        fail("", str(error))
        return {}


def freeze(written: Written, fail: Fail) -> Written:
    """Two local days; one day when `last` is not written."""
    done = {"last": written["first"]} | written if "first" in written else dict(written)
    for field in ("first", "last"):
        if text := text_in(done, field):
            try:
                day = dates.planned(text).first
            except ValueError:
                day = ""
            if not day:
                fail(field, f"expected a day such as 2022-11-24, found {text!r}")
                del done[field]
            else:
                done[field] = day
    return done


def issue_route(written: Written, fail: Fail) -> Written:
    """`for:` is stored as `purpose`, because `for` is no name in Python."""
    if "for" not in written:
        return written
    rest = {name: value for name, value in written.items() if name != "for"}
    return rest | {"purpose": written["for"]}


def go_no_go(written: Written, fail: Fail) -> Written:
    """`before` names the steps that need a go."""
    steps = written.get("before")
    for step in [steps] if isinstance(steps, str) else steps if isinstance(steps, list) else []:
        if isinstance(step, str) and step not in GO_BEFORE and placeholder(step) != "whole":
            fail("before", f"expected one of {', '.join(GO_BEFORE)}; found {step!r}")
    return written


def go_live(written: Written, fail: Fail) -> Written:
    """The platform template's results, where the plan names none."""
    return {"results": list(RESULTS)} | written


def plan(written: Written, fail: Fail) -> Written:
    """The platform template's post-launch questions, where the plan names none; one actor kind only."""
    done = {"go_live": {}, "post_launch_questions": list(POST_LAUNCH_QUESTIONS)} | written
    if isinstance(done.get("actor"), list):
        fail(
            "actor",
            "expected one kind, found a list: whoever is known by one kind here and by another there would have "
            "the toggles on in one place and off in the other",
        )
        del done["actor"]
    return done


SHAPES: Mapping[type[Struct], Callable[[Written, Fail], Written]] = {
    After: after,
    Criterion: criterion,
    Freeze: freeze,
    GoLive: go_live,
    GoNoGo: go_no_go,
    IssueRoute: issue_route,
    Plan: plan,
    Question: question,
    Sessions: sessions,
    Stage: stage,
    Watch: watch,
}
ALIASES: Mapping[type[Struct], Mapping[str, str]] = {IssueRoute: {"for": "purpose"}}
