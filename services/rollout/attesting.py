"""What people give their word for: attestations, go or no-go, answers.

One rule: a title counts only when its holder speaks, or somebody the plan names as delegate.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from events import facts as f
from events.facts import Actor, Fact
from events.plan.schema import Item, Question
from services.rollout import commands as c
from services.rollout import steps
from services.rollout.asked import Asked, span
from services.rollout.guards.go import unanswered
from services.rollout.refusals import Refused, refuse
from services.rollout.state import Rollout

_TWO_COUNTS = re.compile(r"^\d+ ?/ ?\d+$")  # found/fixed
_NUMBER = re.compile(r"^[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?$")
_MANAGERS = ("release_manager", "admin")


def holds(rollout: Rollout, by: Actor, title: str) -> bool:
    """Whether `by` may speak under a title; "" is the release manager's."""
    if title == "":
        managers = rollout.plan.release_managers
        return by.role in _MANAGERS or any(t in managers for t in (*by.titles, by.subject))
    return title in by.titles


def only(asked: Asked, title: str, what: str) -> None:
    """Refused unless the sender holds the title that the plan names for it, if it names one."""
    if title and not holds(asked.rollout, asked.by, title):
        raise refuse(f"{what} {title}; you are {_who(asked.by)}", code="forbidden")


def attest(asked: Asked, command: c.Attest) -> tuple[Fact, ...]:
    rollout = asked.rollout
    item = _item(asked, command.item)
    if not holds(rollout, asked.by, item.attested_by):
        who = item.attested_by or "a release manager"
        raise refuse(f"{item.text!r} is attested by {who}; you are {_who(asked.by)}", code="forbidden")
    if steps.attested(rollout, item):
        return ()
    return (f.Attested(item.id, item.attested_by),)


def withdraw(asked: Asked, command: c.Withdraw) -> tuple[Fact, ...]:
    """Taken back; while anybody is exposed the rollout also halts."""
    rollout = asked.rollout
    item = _item(asked, command.item)
    if not holds(rollout, asked.by, item.attested_by) and asked.by.role not in _MANAGERS:
        who = item.attested_by or "a release manager"
        raise refuse(f"{item.text!r} is withdrawn by {who}; you are {_who(asked.by)}", code="forbidden")
    if item.id not in rollout.attested:
        if item.id in rollout.withdrawn:
            return ()
        raise refuse(f"{item.text!r} has not been attested")
    withdrawn = f.AttestationWithdrawn(item.id)
    if rollout.exposed and rollout.active and not rollout.halted:
        return (withdrawn, f.Halted(f"{item.text!r} was withdrawn"))
    return (withdrawn,)


def decide_step(asked: Asked, command: c.Decide) -> tuple[Fact, ...]:
    """One fact for each title the sender decides for; `pause` also halts."""
    rollout = asked.rollout
    if rollout.phase not in ("planned", "rolled_back") and not rollout.active:
        raise refuse(f"decide is not possible in phase {rollout.phase}")
    step = steps.find_step(rollout.plan, command.step) if command.step else steps.next_go_step(rollout)
    if not step:
        known = ", ".join(steps.steps(rollout.plan))
        raise refuse(f"{command.step or 'the next step'!r} is no step of the plan; it has: {known}", code="invalid")
    titles = _titles(asked, command.title)
    if command.decision == "go":
        missing = tuple(unanswered(rollout))
        if missing:
            raise Refused(missing)
    expires = _expiry(asked, command)
    if _decided_already(asked, command, step, titles):
        return ()
    decided = tuple(
        f.Decided(
            command.decision, step, title, rollout.plan_revision, rollout.basis, title not in asked.by.titles, expires
        )
        for title in titles
    )
    if command.decision == "pause" and rollout.active and not rollout.halted:
        return (*decided, f.Halted(f"{' and '.join(titles)} decided pause: {asked.reason or 'no reason given'}"))
    return decided


def _expiry(asked: Asked, command: c.Decide) -> datetime | None:
    """When a go ends by itself: as said, else as the plan says; None for never."""
    if command.decision != "go":
        return None
    if command.valid_for:
        return asked.now + span(command.valid_for)
    seconds = asked.rollout.plan.go_no_go.valid_for
    return asked.now + timedelta(seconds=seconds) if seconds else None


def _titles(asked: Asked, wanted: str) -> tuple[str, ...]:
    """The approver titles this decision is for: the one asked for, or all that the sender may speak for."""
    rollout, by = asked.rollout, asked.by
    approvers = steps.approvers(rollout)
    if not approvers:
        raise refuse("the plan names nobody to decide (go_no_go: decided_by) and the service has no default approvers")
    delegates = rollout.plan.go_no_go.delegates

    def may(title: str) -> bool:
        named = delegates.get(title, ())
        return title in by.titles or any(name in named for name in (*by.titles, by.subject))

    if wanted and wanted not in approvers:
        raise refuse(f"{wanted!r} does not decide here; deciding are: {', '.join(approvers)}", code="invalid")
    mine = tuple(t for t in approvers if (not wanted or t == wanted) and may(t))
    if not mine:
        deciding = wanted or " and ".join(approvers)
        raise refuse(f"{deciding} decide{'s' * bool(wanted)}; you are {_who(by)}", code="forbidden")
    return mine


def _decided_already(asked: Asked, command: c.Decide, step: str, titles: tuple[str, ...]) -> bool:
    """The same decision by the same person still stands, and nothing it rests on has changed: no news."""
    rollout = asked.rollout
    if command.decision == "pause" and rollout.active and not rollout.halted:
        return False
    for title in titles:
        choice = rollout.choices.get(f"{step}/{title}")
        if choice is None or choice.decision != command.decision or choice.voided:
            return False
        if command.decision == "go" and choice.rests_on != rollout.basis:
            return False
        if choice.subject != asked.by.subject or (choice.expires is not None and choice.expires <= asked.now):
            return False
    return True


def answer_question(asked: Asked, command: c.AnswerQuestion) -> tuple[Fact, ...]:
    """A go/no-go question by its role, or a post-launch question. Answers may be corrected: the latest counts."""
    rollout, plan = asked.rollout, asked.rollout.plan
    asked_for = (*plan.go_no_go.questions, *plan.post_launch_questions)
    question = find_question(asked_for, command.question)
    if question is None:
        asks = "; ".join(q.id for q in asked_for) or "none"
        raise refuse(f"the plan asks no question {command.question!r}; it asks: {asks}")
    only(asked, question.answered_by, f"{question.text!r} is answered by")
    value, note = answer_value(question, command.answer)
    known = steps.answer(rollout, question)
    if known is not None and (known.value, known.note) == (value, note):
        return ()
    return (f.QuestionAnswered(question.id, value, note),)


def find_question(questions: tuple[Question, ...], words: str) -> Question | None:
    """The question with this id or this text; None if there is none."""
    wanted = words.strip().casefold()
    return next((q for q in questions if wanted in (q.id.casefold(), q.text.strip().casefold())), None)


def answer_value(question: Question, written: str) -> tuple[str, str]:
    """The typed answer and the note after it: "yes, two of them" is ("yes", "two of them") to a yes/no question."""
    text = written.strip()
    if not text:
        raise refuse(f"{question.text!r}: expected an answer, found nothing", code="invalid")
    if question.kind == "text":
        return text, ""
    head, _, note = text.partition(",")
    if question.kind == "yes/no":
        if head.strip().lower() not in ("yes", "no"):
            raise refuse(
                f"{question.text!r}: expected yes or no (and a note after a comma), found {text!r}", code="invalid"
            )
        return head.strip().lower(), note.strip()
    if question.kind == "found/fixed":
        if not _TWO_COUNTS.match(head.strip()):
            raise refuse(f"{question.text!r}: expected two counts such as 3/2, found {text!r}", code="invalid")
        return head.strip(), note.strip()
    if not _NUMBER.match(text):
        raise refuse(f"{question.text!r}: expected a number, found {text!r}", code="invalid")
    return text, ""


def _item(asked: Asked, words: str) -> Item:
    rollout = asked.rollout
    if rollout.phase in ("closed", "cancelled"):
        raise refuse(f"nothing is attested in phase {rollout.phase}")
    item = steps.find_item(rollout.plan, words)
    if item is None:
        known = ", ".join(i.id for i in steps.all_items(rollout.plan)) or "none"
        raise refuse(f"the plan has no item {words!r} to attest; it has: {known}")
    return item


def _who(by: Actor) -> str:
    titles = f" ({', '.join(by.titles)})" if by.titles else ", without a title"
    return f"{by.subject}{titles}"
