"""Which parts of a command are about a tester: their identity, and whatever people write about a session.

One rule: what is not listed here goes into the log as it was sent. Structure (which session, which workflow, done or
not, how many seconds) stays readable; free text does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from events.facts import Evidence, Record, SessionRecorded, SessionScheduled, WorkflowResult
from events.plan.actors import known_as
from events.plan.schema import Plan
from services.rollout.commands import (
    CancelSession,
    CloseWindow,
    Command,
    MoveSession,
    OpenWindow,
    RecordSession,
    ScheduleSession,
    WaiveWorkflow,
)

SessionCommand = (
    ScheduleSession | MoveSession | CancelSession | OpenWindow | CloseWindow | RecordSession | WaiveWorkflow
)
Cover = Callable[[str], str]
"""A text that is not empty, as the log may hold it."""

S = TypeVar("S", bound=SessionCommand)


def about_a_tester(command: Command) -> bool:
    """Whether the command is about a session, and so about the tester in it."""
    return isinstance(command, SessionCommand)


C = TypeVar("C", bound=Command)


def by_its_id(command: C, plan: Plan) -> C:
    """A tester by the id that the plan knows users by."""
    if isinstance(command, ScheduleSession):
        return replace(command, tester=known_as(command.tester, plan.actor))
    return command


def named_to_readers(sent: Command, sealed: Command, plan: Plan) -> tuple[str, str] | None:
    """Whose id a reader of the plan has to be told: (reference, what they were scheduled by). None: nobody's.

    Flipper's clients compare ids themselves; nothing else does. A dry run makes nobody's id known.
    """
    if "flipper" not in plan.readers:
        return None
    if not isinstance(sent, ScheduleSession) or not isinstance(sealed, ScheduleSession):
        return None
    user = by_its_id(sent, plan).tester
    return None if sent.dry_run and user != sealed.tester else (sealed.tester, user)


def what_was_said(command: SessionCommand) -> tuple[str, ...]:
    """What the tester said or what went wrong with them there: the texts that a session is recorded for."""
    if not isinstance(command, RecordSession):
        return ()
    texts = (command.comments, *(text for w in command.workflows for text in (w.comments, w.errors)))
    return tuple(text for text in texts if text)


def covered(command: S, said: Cover, beside: Cover) -> S:
    """The command with every free text covered: by `said` what was said in the session, by `beside` the reasons,
    notes, waivers and evidence beside it."""
    if isinstance(command, RecordSession):
        workflows = tuple(_workflow(w, said, beside) for w in command.workflows)
        command = replace(command, comments=_text(command.comments, said), workflows=workflows)
    evidence = tuple(_evidence(e, beside) for e in command.evidence)
    return replace(command, reason=_text(command.reason, beside), note=_text(command.note, beside), evidence=evidence)


def _workflow(result: WorkflowResult, said: Cover, beside: Cover) -> WorkflowResult:
    return replace(
        result,
        comments=_text(result.comments, said),
        errors=_text(result.errors, said),
        waived=_text(result.waived, beside),
    )


def _evidence(evidence: Evidence, cover: Cover) -> Evidence:
    """Its kind, verdict and hash say nothing about anybody; its words and links may."""
    return replace(
        evidence,
        source=_text(evidence.source, cover),
        text=_text(evidence.text, cover),
        query=_text(evidence.query, cover),
        value=_text(evidence.value, cover),
        raw=_text(evidence.raw, cover),
    )


def _text(text: str, cover: Cover) -> str:
    return cover(text) if text else ""


# -- once the key is gone


def as_stored(command: SessionCommand, record: Record) -> SessionCommand:
    """The command with the record's ciphertexts, and its tester, in the place of its own.

    Once a tester is erased their texts cannot be sealed again. That what is left of a repeated command hashes like the
    accepted one shows that all but those texts is the same, and that it has texts in the same places.
    """
    command = replace(
        command,
        reason=_put(command.reason, record.reason),
        note=_put(command.note, record.note),
        evidence=_stored_evidence(command.evidence, record.evidence),
    )
    for fact in record.facts:
        if isinstance(command, ScheduleSession) and isinstance(fact, SessionScheduled):
            return replace(command, tester=fact.tester)
        if isinstance(command, RecordSession) and isinstance(fact, SessionRecorded):
            workflows = _stored_workflows(command.workflows, fact.workflows)
            return replace(command, comments=_put(command.comments, fact.comments), workflows=workflows)
    return command


def _put(own: str, stored: str) -> str:
    return stored if own else ""


def _stored_evidence(own: tuple[Evidence, ...], stored: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    if len(own) != len(stored):
        return own
    names = ("source", "text", "query", "value", "raw")
    return tuple(
        replace(o, **{name: _put(getattr(o, name), getattr(s, name)) for name in names})
        for o, s in zip(own, stored, strict=True)
    )


def _stored_workflows(
    own: tuple[WorkflowResult, ...], stored: tuple[WorkflowResult, ...]
) -> tuple[WorkflowResult, ...]:
    if len(own) != len(stored):
        return own
    names = ("comments", "errors", "waived")
    return tuple(
        replace(o, **{name: _put(getattr(o, name), getattr(s, name)) for name in names})
        for o, s in zip(own, stored, strict=True)
    )
