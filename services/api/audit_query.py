"""What is asked of the trail, read from a query string.

One rule: a parameter that is not known, or has a value that can match nothing, is said and never passed over: an
auditor must not take "nothing found" for "nothing happened".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

from msgspec import Meta

from events.facts import Fact, Phase, Role
from events.plan.names import IDENTIFIER
from projections.audit import Outcome
from projections.terms import words
from services.api.answers import weight
from services.api.asof import come, read_instant
from services.api.described import AT_LEAST, Param
from services.api.problems import failed
from services.api.service import Request, service_of
from services.rollout.commands import Command
from services.views.trail import BadCursor, Cursor, Filters, read_cursor

DEFAULT = 100
MOST = 1000
ORDERS = {"": False, "oldest": False, "asc": False, "newest": True, "desc": True}
OUTCOMES: dict[str, Outcome | None] = {"": None, "accepted": "accepted", "refused": "refused"}
FACTS = (*(str(kind.__struct_config__.tag) for kind in get_args(Fact)), "refused")
COMMANDS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Command))
FORMATS = {
    "json": "application/json",
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "cloudevents": "application/cloudevents-batch+json",
}
ALSO = {"application/x-ndjson": "jsonl", "application/jsonlines": "jsonl", "*/*": "json"}
TEXTS = ("rollout", "subject", "title", "toggle", "command", "command_id", "text")
_NUMBER = re.compile(r"[0-9]{1,15}")
_SOME = Annotated[str, Meta(min_length=1)]
_AT = Annotated[int, Meta(ge=1, lt=1 << 46)]
PARAMS = (
    Param("rollout", "Only of this rollout.", Annotated[str, Meta(pattern=f"^{IDENTIFIER.pattern}$")]),
    Param("subject", "Only what this person or machine did.", _SOME),
    Param("title", "Only what was done by somebody with this title.", _SOME),
    Param("toggle", "Only what is about this toggle.", _SOME),
    Param("command", "Only what this command led to.", {"enum": [*COMMANDS]}, example="cut_over"),
    Param("command_id", "Only what the command with this id led to.", _SOME),
    Param("text", "Only lines with these words.", _SOME, example="errors"),
    Param("role", "Only what this role did.", Role),
    Param("fact", "Only this fact, by its stored name, or `refused`.", {"enum": [*FACTS]}, example="exposure_set"),
    Param("phase", "Only what happened in this phase.", Phase),
    Param("outcome", "Only what was accepted, or refused.", Outcome),
    Param("since", "Only from this instant on.", example="2022-07-29T12:00:00Z"),
    Param("until", "Only before this instant.", example="2022-07-30T12:00:00Z"),
    Param("from_revision", "Only from this revision on.", _AT),
    Param("to_revision", "Only up to this revision.", _AT),
    Param("after", "The cursor: `next` of the page before."),
    Param("limit", f"Lines of a page, {DEFAULT} without it; of a file any number.", Annotated[int, Meta(ge=1)]),
    Param("order", "Oldest first without it.", Literal["oldest", "asc", "newest", "desc"]),
    Param("format", "Without it what `Accept` says, else a page of JSON.", {"enum": [*FORMATS]}),
    AT_LEAST,
)
KNOWN = tuple(param.name for param in PARAMS)


class Asked(NamedTuple):
    """Which lines, after which cursor (None: from the beginning), at most how many (0: all), and in which form."""

    wanted: Filters
    after: Cursor | None
    limit: int
    newest_first: bool
    format: str


def asked_of(request: Request, rollout: str = "") -> Asked:
    """The question. `rollout`: the one that the path names. Raises Failed."""
    given = _given(request, rollout)
    form = _format(given.get("format", ""), request.headers.get("accept", ""))
    return Asked(
        _filters(given, rollout, service_of(request).now()),
        _cursor(given.get("after", "")),
        _limit(given.get("limit"), page=form == "json"),
        ORDERS[_one_of("order", given.get("order", ""), ORDERS)],
        form,
    )


def _given(request: Request, rollout: str) -> dict[str, str]:
    found: dict[str, str] = {}
    known = [name for name in KNOWN if not (rollout and name == "rollout")]
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise failed("malformed", f"there is no filter '{name[:40]}'; there are {', '.join(known)}")
        if name in found:
            raise failed("malformed", f"{name}: given twice; expected once")
        if not value and name != "after":  # an empty cursor is the beginning
            raise failed("malformed", f"{name}: expected a value, found nothing")
        found[name] = value
    return found


def _filters(given: Mapping[str, str], rollout: str, now: datetime) -> Filters:
    texts: dict[str, Any] = {name: given.get(name, "") for name in TEXTS}
    if rollout:
        texts["rollout"] = rollout
    elif texts["rollout"] and not IDENTIFIER.fullmatch(texts["rollout"]):
        raise failed("malformed", f"rollout: expected a rollout's id, found '{texts['rollout'][:100]}'")
    if texts["text"] and not words(texts["text"]):
        raise failed("malformed", f"text: expected words, found '{texts['text'][:40]}'")
    _one_of("command", texts["command"], COMMANDS)
    wanted = Filters(
        **texts,
        role=_one_of("role", given.get("role", ""), get_args(Role)),
        fact=_one_of("fact", given.get("fact", ""), FACTS),
        phase=_one_of("phase", given.get("phase", ""), get_args(Phase)),
        outcome=OUTCOMES[_one_of("outcome", given.get("outcome", ""), OUTCOMES)],
        since=_instant("since", given.get("since")),
        until=_instant("until", given.get("until")),
        from_revision=_revision("from_revision", given.get("from_revision")),
        to_revision=_revision("to_revision", given.get("to_revision")),
    )
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise failed(
            "malformed",
            f"until: expected an instant after `since`, {wanted.since.isoformat()} (it is not included itself); "
            f"found {wanted.until.isoformat()}",
        )
    if 0 < wanted.to_revision < wanted.from_revision:
        raise failed(
            "malformed",
            f"to_revision: expected at least `from_revision`, {wanted.from_revision}; found {wanted.to_revision}",
        )
    if wanted.since:
        come(wanted.since, now, "since")
    _of_attempts(wanted)
    return wanted


def _of_attempts(wanted: Filters) -> None:
    """What is asked of refused attempts must be something that they have."""
    name = "fact" if wanted.fact == "refused" else "outcome" if wanted.outcome == "refused" else ""
    if name and (wanted.from_revision or wanted.to_revision):
        raise failed("malformed", f"{name}: a refused attempt has no revision, and revisions are asked for")
    if wanted.outcome and wanted.fact and (wanted.outcome == "refused") != (wanted.fact == "refused"):
        odd = wanted.fact if wanted.outcome == "refused" else wanted.outcome
        raise failed("malformed", f"outcome: what was refused has the fact `refused`; found '{odd}'")


def _format(name: str, accept: str) -> str:
    """The form asked for by name, else the known type that `Accept` prefers, else a page of JSON."""
    if name:
        return _one_of("format", name, FORMATS)
    types = {media: form for form, media in FORMATS.items()} | ALSO
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    best = max(named, key=lambda media: weight(accept, media) if media in types else 0.0)
    return types[best] if best in types and weight(accept, best) else "json"


def _cursor(text: str) -> Cursor | None:
    try:
        return read_cursor(text) if text else None
    except BadCursor as error:
        raise failed("malformed", f"after: {error}") from error


def _limit(text: str | None, *, page: bool) -> int:
    """A page has a limit; an export has one only if it is asked for."""
    if text is None:
        return DEFAULT if page else 0
    most = MOST if page else 10**9
    if not (_NUMBER.fullmatch(text) and 1 <= int(text) <= most):
        raise failed("malformed", f"limit: expected a number from 1 to {most}, found '{text[:40]}'")
    return int(text)


def _revision(name: str, text: str | None) -> int:
    if text is None:
        return 0
    if not (_NUMBER.fullmatch(text) and int(text)) or int(text) >= 1 << 46:
        raise failed("malformed", f"{name}: expected a revision, a number from 1, found '{text[:40]}'")
    return int(text)


def _one_of(name: str, text: str, known: Any) -> str:
    """The word, "" when it was left out."""
    if text and text not in known:
        raise failed("malformed", f"{name}: expected one of {', '.join(filter(None, known))}; found '{text[:40]}'")
    return text


def _instant(name: str, text: str | None) -> datetime | None:
    return None if text is None else read_instant(text, name)
