"""What did user X get for toggle T at 14:03, and which record made it so: out of the tables and the vault.

One rule: whose toggle it was is asked of the log as of then, since a key may have belonged to another rollout; and what
only an erased tester's identity could tell is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from events.facts import Phase, Role, UtcTime
from events.plan.actors import known_as
from projections.audit import place
from projections.explain import Asked, Ground, Why, answer, decided_by, ground, standing, words
from projections.flags import Answer, Reason, holds
from services.people.vault import Vault
from services.projector.tables import Generation, Position
from services.views.past import Past, Point, moment, past_of, snapshots_back

LAG = "This is by the log: a reader that lagged behind it may have answered as before a little longer."


class Question(Struct, frozen=True):
    """`user` "": an unknown visitor; `attributes` are those that the application sent along."""

    toggle: str
    user: str
    point: Point
    attributes: Mapping[str, str] = {}


class Decider(Struct, frozen=True):
    """The record that made it so, and who wrote it when and why."""

    revision: int
    when: UtcTime
    subject: str
    role: Role
    titles: tuple[str, ...]
    command: str
    command_id: str
    says: tuple[str, ...]
    reason: str = ""
    note: str = ""


class Held(Struct, frozen=True):
    """A tester's window that bears on the answer: [opens, closes), None: until testing ends."""

    session: str
    opens: UtcTime
    closes: UtcTime | None


class Explained(Struct, frozen=True):
    """What readers answered at `at` by the log, and why; `known_to`: how far the log was known when this was asked.

    `value` None: nothing was answered (`why` is "unlisted": clients fell back on their default), or it cannot be known
    ("erased"). `rollout` "": none had listed the toggle by then; else `revision` is its last record by then. `bucket`
    and `limit` are places among 100,000 users, where a percentage decided.
    """

    toggle: str
    at: UtcTime
    known_to: int
    why: Why
    says: str
    value: bool | None = None
    reason: Reason | Literal["FLAG_NOT_FOUND", "UNKNOWN"] = "FLAG_NOT_FOUND"
    variant: str = ""
    rollout: str = ""
    title: str = ""
    time_zone: str = "UTC"
    phase: Phase | None = None
    stage: int = 0
    exposure: str = ""
    halted: bool = False
    revision: int = 0
    record: Decider | None = None
    windows: tuple[Held, ...] = ()
    bucket: int | None = None
    limit: int | None = None
    cautions: tuple[str, ...] = (LAG,)


def explained(connection: Connection, tables: Generation, at: Position, question: Question, vault: Vault) -> Explained:
    """The answer, blocking on the tables and the vault. Raises past.NotYet."""
    claims = _claims(connection, tables, question.toggle)
    pasts = [past_of(connection, tables, at, rollout, question.point) for rollout in claims]
    found = [past for past in pasts if past and past.revision >= claims[past.state.id]]
    candidates = [_of_one(connection, tables, at, past, question, vault) for past in found]
    listed = [each for each in candidates if each.why != "unlisted"]
    if best := listed or sorted(candidates, key=lambda each: each.record.revision if each.record else 0):
        return best[-1]
    now = moment(connection, tables, at, question.point)
    return Explained(question.toggle, now, at.seq, "unlisted", _never(claims))


def about(past: Past, vault: Vault, toggle: str, user: str, attributes: Mapping[str, str]) -> Asked:
    """The question as the projection takes it: who is asked about, and who among the testers is forgotten."""
    user = known_as(user, past.snapshot.actor)
    testers = {session.tester for session in past.state.sessions.values()}
    forgotten = frozenset(testers - vault.hmacs(testers).keys())
    reference = vault.known(user) if user and testers else ""
    return Asked(toggle, user or None, past.now, attributes, reference, forgotten)


def answered(past: Past, vault: Vault, user: str, attributes: Mapping[str, str]) -> Answer | None:
    """What readers answered for the whole group, which answers; None: it cannot be known. It asks the vault."""
    return answer(past.snapshot, about(past, vault, "", user, attributes))


def _claims(connection: Connection, tables: Generation, toggle: str) -> dict[str, int]:
    """The rollouts that ever listed this toggle, and since when."""
    claims = tables.claims.c
    first = func.min(claims.revision).label("first")
    asked = select(claims.rollout, first).where(claims.toggle == toggle).group_by(claims.rollout)
    return {row.rollout: row.first for row in connection.execute(asked.order_by(first))}


def _never(claims: Mapping[str, int]) -> str:
    """No rollout of those existed by then."""
    later = "".join(f"; {rollout} lists it from revision {first} on" for rollout, first in list(claims.items())[:1])
    return f"no rollout listed this toggle then{later}"


def _of_one(
    connection: Connection, tables: Generation, at: Position, past: Past, question: Question, vault: Vault
) -> Explained:
    """The answer as far as this rollout gives it: it has listed the toggle by then."""
    asked = about(past, vault, question.toggle, question.user, question.attributes)
    rests_on = ground(past.snapshot, asked)
    history = snapshots_back(connection, tables, past.state.id, question.point)
    facts, record = _decider(connection, tables, decided_by(history, asked))
    unlisted = rests_on.why == "unlisted"
    found = Explained(
        toggle=question.toggle,
        reason="UNKNOWN" if rests_on.why == "erased" else "FLAG_NOT_FOUND",
        at=past.now,
        known_to=at.seq,
        why=rests_on.why,
        says=_unlisted(facts, past) if unlisted else words(rests_on, past.snapshot, asked),
        rollout=past.state.id,
        title=past.state.plan.title,
        time_zone=past.state.plan.time_zone,
        phase=past.state.phase,
        stage=past.state.stage if past.state.phase in ("cutover", "go_live") else 0,
        exposure=past.known.row.exposure,
        halted=past.state.halted,
        revision=past.revision,
        record=record,
        windows=tuple(Held(window.session, window.opens, window.closes) for window in rests_on.windows),
        cautions=_cautions(past, rests_on, asked),
    )
    return _answered(found, past, rests_on, asked)


def _answered(found: Explained, past: Past, rests_on: Ground, asked: Asked) -> Explained:
    """With what readers said, and where a percentage decided, by how much."""
    if said := answer(past.snapshot, asked):
        found = replace(found, value=said.value, reason=said.reason, variant=said.variant)
    if stands := standing(rests_on, past.snapshot, asked):
        found = replace(found, bucket=stands[0], limit=stands[1])
    return found


def _decider(connection: Connection, tables: Generation, revision: int) -> tuple[tuple[str, ...], Decider]:
    """The names of its facts, and the record itself, from its lines in the trail."""
    audit, key = tables.audit, tables.audit.c.place
    of_it = select(audit).where(key >= place(revision), key < place(revision + 1)).order_by(key)
    lines = connection.execute(of_it).all()
    row = lines[0]
    record = Decider(
        revision=revision,
        when=datetime.fromisoformat(row.at),
        subject=row.subject,
        role=row.role,
        titles=msgspec.json.decode(row.titles, type=tuple[str, ...]),
        command=row.command,
        command_id=row.command_id,
        says=tuple(_unnamed(line.says, msgspec.json.decode(line.data)) for line in lines),
        reason=row.reason,
        note=row.note,
    )
    return tuple(line.fact for line in lines), record


def _unnamed(says: str, fact: dict[str, Any]) -> str:
    """The sentence without the tester's reference: beside the user who is asked about it would tell whose it is."""
    return says.replace(f" with tester {fact['tester']}", "") if "tester" in fact else says


def _unlisted(facts: tuple[str, ...], past: Past) -> str:
    """Why a rollout that once listed the toggle no longer answered for it."""
    if "toggle_retired" in facts:
        return "the toggle had been retired: its code is gone, and nothing answered for it"
    if past.state.phase == "cancelled":
        return "its rollout had been cancelled: nothing answered for it"
    return "the plan had been revised and no longer listed it: nothing answered for it"


def _cautions(past: Past, rests_on: Ground, asked: Asked) -> tuple[str, ...]:
    said = [LAG]
    if past.stopped:
        said.append(
            f"This rollout is stopped: {past.stopped}. What came after its revision {past.revision} is unknown."
        )
    if rests_on.why == "audience" and any(
        w.tester in asked.forgotten and holds(w, asked.at) for w in past.snapshot.windows
    ):
        said.append("A tester with a window has been erased: if it was this user, TARGETING_MATCH may be the reason.")
    return tuple(said)
