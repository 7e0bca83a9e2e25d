"""The trail: who did what, when, why and on which evidence. One row a fact, and one a refused attempt.

One rule: a row holds what the log holds, in plain values; nothing is looked up when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from events.facts import Attempt, Evidence, Fact, PlanAdopted, PlanRevised, Record, Role, UtcTime
from projections import terms
from projections.sentences import sentence

Outcome = Literal["accepted", "refused"]
FACTS_IN_A_RECORD = 1 << 16  # at most: a record has 768 KiB, and no fact is shorter than 12 bytes
BY_ITSELF = ("clock", "monitor", "herald")

_encode = msgspec.json.Encoder().encode


class AuditRow(Struct, frozen=True):
    """One line of the trail.

    Accepted: `revision` and `n` (the fact's place in its record, from 0) name it; `hash` is that of the record's
    stored bytes, `previous` that of the rollout's record before. Refused: `revision` is 0, `n` the attempt's place
    in its own stream, `fact` is "refused" and `data` holds the code and the reasons.

    `phase`: the one that the rollout was in when it was decided. `environment`: where, as the plan names it. `source`:
    the way it came in (see `source`). Attempts made before these were kept have "" there.
    """

    revision: int
    n: int
    rollout: str
    ordinal: int
    when: UtcTime
    subject: str
    role: Role
    titles: tuple[str, ...]
    command: str
    command_id: str
    fact: str
    says: str
    data: Any
    reason: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    previous: str = ""
    hash: str = ""
    phase: str = ""
    environment: str = ""
    source: str = ""
    outcome: Outcome = "accepted"


Values = tuple[Any, ...]
"""One row as the table takes it, in the order of COLUMNS: structured parts are JSON text, times are text."""

COLUMNS = (
    "place",
    "revision",
    "n",
    "rollout",
    "ordinal",
    "at",
    "subject",
    "role",
    "titles",
    "command",
    "command_id",
    "fact",
    "says",
    "data",
    "reason",
    "note",
    "evidence",
    "previous",
    "hash",
    "phase",
    "environment",
    "source",
)
ATTEMPT_COLUMNS = (
    "seq",
    "rollout",
    "at",
    "subject",
    "role",
    "titles",
    "command",
    "command_id",
    "code",
    "reasons",
    "reason",
    "phase",
    "environment",
    "source",
)


def instant(when: datetime) -> str:
    """An instant in UTC as text that sorts as time does, and is the same for the same instant."""
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    text = _encode(utc).decode()[1:-1]  # isoformat, with or without microseconds, at a fifth of its price
    return text if len(text) == 27 else f"{text[:19]}.000000Z"


def place(revision: int, n: int = 0) -> int:
    """Where a fact stands among all: one number that sorts as (revision, n) does."""
    return revision * FACTS_IN_A_RECORD + n


class Lines(Struct, frozen=True):
    """A record's lines, one a fact, and with the place of each the terms that it is found by."""

    values: list[Values]
    terms: list[tuple[int, str]]


class Standing(Struct, frozen=True):
    """How its rollout stood when something was decided: the phase, the environment, the toggles."""

    phase: str = "planned"
    environment: str = ""
    toggles: tuple[str, ...] = ()


def lines(
    revision: int, data_hash: str, record: Record, names: Mapping[str, str], before: Standing, after: Standing
) -> Lines:
    """The record's lines. `names`: see `sentences.texts`. They are found by the phase and the toggles before and after
    it, so the record that enters a phase, or takes a toggle away, is among those of both."""
    who = record.who
    head = (record.rollout, record.ordinal, instant(record.when), who.subject, who.role, _json(who.titles))
    asked = (record.command, record.command_id)
    tail = (record.reason, record.note, _json(record.evidence), record.previous, data_hash)
    where = (before.phase, after.environment, source(record))
    toggles = before.toggles if before.toggles == after.toggles else (*before.toggles, *after.toggles)
    shared = terms.of_record(record, (before.phase, after.phase), toggles)
    values: list[Values] = []
    found: list[tuple[int, str]] = []
    at = place(revision)
    for n, fact in enumerate(record.facts):
        name, says = tag(fact), sentence(fact, names)
        values.append((at + n, revision, n, *head, *asked, name, says, _data(fact), *tail, *where))
        found.append((at + n, f"{shared} {terms.of_fact(name, says)}"))
    return Lines(values, found)


def source(said: Record | Attempt) -> str:
    """The way in: "clock", "monitor" and "herald" act by themselves; "signal" with who sent it, where the intake acted
    on one; else "command": somebody sent it, over HTTP or NATS, and `subject` says who."""
    who = said.who
    if who.role in BY_ITSELF:
        return who.role
    if who.role != "ci" or not said.command_id.startswith("ci:"):
        return "command"
    return f"signal: {said.evidence[0].source}" if isinstance(said, Record) and said.evidence else "signal"


def attempt_values(seq: int, attempt: Attempt) -> Values:
    """A refused attempt's line."""
    who = attempt.who
    head = (seq, attempt.rollout, instant(attempt.when), who.subject, who.role, _json(who.titles))
    asked = (attempt.command, attempt.command_id, attempt.code, _json(attempt.reasons), attempt.reason)
    return (*head, *asked, attempt.phase, attempt.environment, source(attempt))


def tag(fact: Fact) -> str:
    """The fact's stored name."""
    return _tag_of(type(fact))


@cache
def _tag_of(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _json(value: Any) -> str:
    return _encode(value).decode() if value else "[]"


def _data(fact: Fact) -> str:
    return _encode(plan_named(fact) if isinstance(fact, (PlanAdopted, PlanRevised)) else fact).decode()


def plan_named(fact: PlanAdopted | PlanRevised) -> dict[str, Any]:
    """All of the fact, except that its plan is named and not stored a second time: the log holds it."""
    rest = {name: getattr(fact, name) for name in fact.__struct_fields__ if name != "plan"}
    return {"plan": {"id": fact.plan.id, "title": fact.plan.title}, **rest}


# -- reading them back

_titles = msgspec.json.Decoder(tuple[str, ...])
_evidence = msgspec.json.Decoder(tuple[Evidence, ...])


def accepted(row: Mapping[str, Any]) -> AuditRow:
    """A stored line of the trail, by COLUMNS."""
    values = {name: row[name] for name in COLUMNS if name not in ("at", "place")}
    values["when"] = datetime.fromisoformat(row["at"])
    values["titles"] = _titles.decode(row["titles"])
    values["evidence"] = _evidence.decode(row["evidence"])
    values["data"] = msgspec.json.decode(row["data"])
    return AuditRow(**values)


def refused(row: Mapping[str, Any]) -> AuditRow:
    """A stored attempt, by ATTEMPT_COLUMNS."""
    reasons = _titles.decode(row["reasons"])
    return AuditRow(
        revision=0,
        n=row["seq"],
        rollout=row["rollout"],
        ordinal=0,
        when=datetime.fromisoformat(row["at"]),
        subject=row["subject"],
        role=row["role"],
        titles=_titles.decode(row["titles"]),
        command=row["command"],
        command_id=row["command_id"],
        fact="refused",
        says=f"{row['command']} was refused: {'; '.join(reasons)}",
        data={"code": row["code"], "reasons": reasons},
        reason=row["reason"],
        phase=row["phase"],
        environment=row["environment"],
        source=row["source"],
        outcome="refused",
    )
