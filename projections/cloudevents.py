"""A record as others hear of it: one CloudEvent, whose data is a custom CDEvent.

One rule: one record is one event, so nobody hears half of a decision; its type names what matters most in it, and
`facts` says all of it. (`source`, `id`) is the event's identity: the same record is the same event wherever it is met,
on the feed, in an export or after a restart. A plan is named and not sent; `GET /v1/rollouts/{id}/plan` has it.

Sources: CloudEvents 1.0.2 (JSON format, extension `sequence`); CDEvents 0.5.1, `custom/` (types `dev.cdeventsx.*`,
`<tool>-<subject>` and a predicate of letters alone) and its CloudEvents binding (id, source, type, time and subject of
the event are those of the CDEvent).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from events.facts import Actor, Attempt, Evidence, Fact, PlanAdopted, PlanRevised, Record, UtcTime
from projections.audit import AuditRow, plan_named, tag

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
PREFIX = "dev.cdeventsx.cutover-rollout."
VERSION = "0.1.0"
REFUSED = "refused"
ROLLED_BACK = "rolledback"
PREDICATES: dict[str, str] = {
    "plan_adopted": "adopted",
    "exposure_set": "flipped",
    "phase_entered": "moved",
    "stage_entered": "moved",
    "halted": "halted",
    "resumed": "resumed",
    "decided": "decided",
    "deploy_reported": "deployed",
    "watch_started": "watched",
    "plan_revised": "revised",
    "attestation_withdrawn": "withdrawn",
    "attested": "attested",
    "verdict_recorded": "judged",
    "snapshot_taken": "snapshotted",
    "session_recorded": "tested",
    "session_scheduled": "scheduled",
    "session_moved": "rescheduled",
    "session_cancelled": "unscheduled",
    "window_opened": "opened",
    "window_closed": "closed",
    "workflow_waived": "waived",
    "toggle_retired": "retired",
    "issue_reported": "reported",
    "announced": "announced",
    "question_answered": "answered",
    "result_recorded": "recorded",
    "evidence_recorded": "evidenced",
    "reminded": "reminded",
    "noted": "noted",
}
"""What a fact makes of a rollout, by the fact's stored name; of a record's facts, the first in this order speaks."""

_RANKS = {name: rank for rank, name in enumerate(PREDICATES)}
_encode = msgspec.json.Encoder().encode

Plain = dict[str, Any]


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the record holds. `facts` are as in the log, tagged by `fact`, but for a plan: its id and title.

    `hash` is that of the record's stored bytes, `previous` that of the rollout's record before. A refused attempt has
    no revision, ordinal or hash, and its one fact is `refused`, with the code and the reasons.
    """

    revision: int = 0
    ordinal: int = 0
    who: Actor
    command: str
    command_id: str
    facts: tuple[Plain, ...]
    reason: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    previous: str = ""
    hash: str = ""


class Context(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """CDEvents' context. `chainId`: what one change led to, from CI's first event on, where the record says so."""

    specversion: Literal["0.5.1"]
    id: str
    source: str
    type: str
    timestamp: UtcTime
    chain: str = field(default="", name="chainId")


class Subject(Struct, frozen=True):
    """CDEvents' subject: the rollout (`id`), and what happened to it."""

    id: str
    source: str
    content: Content


class CDEvent(Struct, frozen=True):
    """The event's data: a custom CDEvent."""

    context: Context
    subject: Subject


class CloudEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event in CloudEvents' JSON format. `sequence`: the revision in 20 digits, so that texts sort as it does."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: UtcTime
    sequence: str = ""
    datacontenttype: Literal["application/json"]
    data: CDEvent


def encode(event: CloudEvent | Sequence[CloudEvent]) -> bytes:
    """CloudEvents' JSON format, or its batch format."""
    return _encode(event)


def type_of(predicate: str) -> str:
    """ "flipped" as a CloudEvents type. Match by what stands before the version: it may rise."""
    return f"{PREFIX}{predicate}.{VERSION}"


def types() -> tuple[str, ...]:
    """Every type there is."""
    return tuple(type_of(each) for each in dict.fromkeys((ROLLED_BACK, *PREDICATES.values(), REFUSED)))


def source_of(rollout: str, base: str = "") -> str:
    """Where the rollout is found: an address under `base`, the service's own; without one relative to it."""
    return f"{base}/v1/rollouts/{rollout}"


def event(revision: int, data_hash: str, record: Record, base: str = "") -> CloudEvent:
    """The record at this revision; `data_hash` is the SHA-256 of its stored bytes."""
    content = Content(
        who=record.who,
        command=record.command,
        command_id=record.command_id,
        facts=tuple(map(_plain, record.facts)),
        revision=revision,
        ordinal=record.ordinal,
        reason=record.reason,
        note=record.note,
        evidence=record.evidence,
        previous=record.previous,
        hash=data_hash,
    )
    return _event(str(revision), record.rollout, record.when, content, base)


def refused(seq: int, attempt: Attempt, base: str = "") -> CloudEvent:
    """The refused attempt at this place of its own stream."""
    fact = {"fact": REFUSED, "code": attempt.code, "reasons": list(attempt.reasons)}
    content = Content(
        who=attempt.who, command=attempt.command, command_id=attempt.command_id, facts=(fact,), reason=attempt.reason
    )
    return _event(f"attempt-{seq}", attempt.rollout, attempt.when, content, base)


def of_trail(rows: Sequence[AuditRow], base: str = "") -> CloudEvent:
    """The event of one record from its lines of the trail, all of one revision; or of one refused attempt.

    With all of the record's lines it is the event that `event` makes.
    """
    row = rows[0]
    is_refused = row.outcome == "refused"
    facts = tuple({"fact": row.fact, **row.data} for row in rows)
    content = Content(
        who=Actor(row.subject, row.role, row.titles),
        command=row.command,
        command_id=row.command_id,
        facts=facts,
        revision=row.revision,
        ordinal=row.ordinal,
        reason=row.reason,
        note=row.note,
        evidence=row.evidence,
        previous=row.previous,
        hash=row.hash,
    )
    id_ = f"attempt-{row.n}" if is_refused else str(row.revision)
    return _event(id_, row.rollout, row.when, content, base)


def predicate(facts: Iterable[Mapping[str, Any]]) -> str:
    """What a record did, in one word: of its facts, what matters most."""
    known = sorted(facts, key=lambda fact: _RANKS.get(fact["fact"], len(_RANKS)))
    if any(fact["fact"] == "phase_entered" and fact["phase"] == "rolled_back" for fact in known):
        return ROLLED_BACK
    return PREDICATES.get(known[0]["fact"], REFUSED)


def _event(id_: str, rollout: str, when: UtcTime, content: Content, base: str) -> CloudEvent:
    source, type_ = source_of(rollout, base), type_of(predicate(content.facts))
    context = Context(specversion="0.5.1", id=id_, source=source, type=type_, timestamp=when, chain=_chain(content))
    return CloudEvent(
        specversion="1.0",
        id=id_,
        source=source,
        type=type_,
        subject=rollout,
        time=when,
        sequence=f"{content.revision:020d}" if content.revision else "",
        datacontenttype="application/json",
        data=CDEvent(context, Subject(rollout, source, content)),
    )


def _chain(content: Content) -> str:
    """The one chain that the record's evidence and facts belong to; "": to none, or to several."""
    chains = {evidence.chain for evidence in content.evidence} | {str(fact.get("chain", "")) for fact in content.facts}
    chains.discard("")
    return chains.pop() if len(chains) == 1 else ""


def _plain(fact: Fact) -> Plain:
    """The fact as the trail shows it: as the log holds it, a plan by its id and title."""
    if isinstance(fact, (PlanAdopted, PlanRevised)):
        return {"fact": tag(fact), **msgspec.to_builtins(plan_named(fact))}
    plain: Plain = msgspec.to_builtins(fact)
    return plain
