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
from projections.sentences import sentence

Outcome = Literal["accepted", "refused"]

_encode = msgspec.json.Encoder().encode


class AuditRow(Struct, frozen=True):
    """One line of the trail.

    Accepted: `revision` and `n` (the fact's place in its record, from 0) name it; `hash` is that of the record's
    stored bytes, `previous` that of the rollout's record before. Refused: `revision` is 0, `n` the attempt's place
    in its own stream, `fact` is "refused" and `data` holds the code and the reasons.
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
    outcome: Outcome = "accepted"


Values = tuple[Any, ...]
"""One row as the table takes it, in the order of COLUMNS: structured parts are JSON text, times are text."""

COLUMNS = (
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
)


def instant(when: datetime) -> str:
    """An instant in UTC as text that sorts as time does, and is the same for the same instant."""
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:26] + "Z"


def rows(revision: int, data_hash: str, record: Record, names: Mapping[str, str]) -> list[Values]:
    """The record's lines, one a fact. `names`: see `sentences.texts`."""
    who = record.who
    head = (record.rollout, record.ordinal, instant(record.when), who.subject, who.role, _json(who.titles))
    asked = (record.command, record.command_id)
    tail = (record.reason, record.note, _json(record.evidence), record.previous, data_hash)
    return [
        (revision, n, *head, *asked, tag(fact), sentence(fact, names), _data(fact), *tail)
        for n, fact in enumerate(record.facts)
    ]


def attempt_values(seq: int, attempt: Attempt) -> Values:
    """A refused attempt's line."""
    who = attempt.who
    head = (seq, attempt.rollout, instant(attempt.when), who.subject, who.role, _json(who.titles))
    return (*head, attempt.command, attempt.command_id, attempt.code, _json(attempt.reasons), attempt.reason)


def tag(fact: Fact) -> str:
    """The fact's stored name."""
    return _tag_of(type(fact))


@cache
def _tag_of(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _json(value: Any) -> str:
    return _encode(value).decode() if value else "[]"


def _data(fact: Fact) -> str:
    """The fact, except that a plan is named and not stored a second time: the log holds it."""
    if isinstance(fact, PlanAdopted):
        named = {"id": fact.plan.id, "title": fact.plan.title}
        return _encode({"plan": named, "default_approvers": fact.default_approvers}).decode()
    if isinstance(fact, PlanRevised):
        named = {"id": fact.plan.id, "title": fact.plan.title}
        return _encode({"plan": named, "changed": fact.changed, "touches": fact.touches}).decode()
    return _encode(fact).decode()


# -- reading them back

_titles = msgspec.json.Decoder(tuple[str, ...])
_evidence = msgspec.json.Decoder(tuple[Evidence, ...])


def accepted(row: Mapping[str, Any]) -> AuditRow:
    """A stored line of the trail, by COLUMNS."""
    values = {name: row[name] for name in COLUMNS if name != "at"}
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
        outcome="refused",
    )
