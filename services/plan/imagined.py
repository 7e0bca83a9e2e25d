"""Imagined people: what somebody with the right title would do about each thing that blocks a plan.

One rule: they do exactly what is asked, at once, and what they record is always good enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from events.facts import Actor, WorkflowResult
from events.plan.numbers import shown
from events.plan.schema import Criterion, Question
from services.rollout import commands as c
from services.rollout import steps
from services.rollout.blockers import Blocker
from services.rollout.criteria import has_limit, judge
from services.rollout.state import Rollout

MANAGER = Actor("release manager", "release_manager")
CLOCK = Actor("clock", "clock")
CI = Actor("CI", "ci")
MONITOR = Actor("monitor", "monitor")
FACILITATOR = Actor("test facilitator", "facilitator")


class Deed(NamedTuple):
    """Who sends which command, and what they do in words: "attests that ..."."""

    by: Actor
    command: c.Command
    words: str


def person(title: str) -> Actor:
    """Somebody who holds this title; the release manager where the plan names nobody."""
    if not title or title == "the release manager":
        return MANAGER
    return Actor(title, "approver", (title,))


def move_of(move: str, rollout: Rollout) -> Deed:
    """The next move, by the release manager."""
    step = steps.title_of(rollout.plan, steps.next_step(rollout))
    moves: dict[str, tuple[c.Command, str]] = {
        "start_testing": (c.StartTesting(), "starts testing"),
        "cut_over": (c.CutOver(), f"cuts over: {step}"),
        "advance": (c.Advance(), f"advances to {step}"),
        "go_live": (c.GoLive(), "declares it live"),
        "close": (c.Close(outcome="keep"), "closes the rollout; the toggles stay on"),
    }
    return Deed(MANAGER, *moves[move])


def answer_to(blocker: Blocker, rollout: Rollout, now: datetime) -> Deed | None:
    """What somebody does about a blocker; None where only time, or nothing, helps."""
    item, by = blocker.item, person(blocker.by)
    match blocker.kind:
        case "attest":
            return Deed(by, c.Attest(item=item), f"attests: {_item(rollout, item)}")
        case "decide":
            unanswered = [q for q in rollout.plan.go_no_go.questions if q.id not in rollout.answers]
            if unanswered:
                return _answer(unanswered[0])
            step = steps.title_of(rollout.plan, item)
            return Deed(by, c.Decide(decision="go", step=item, title=by.titles[0]), f"decides go for {step}")
        case "deploy":
            service = item or "a service"
            return Deed(CI, c.ReportDeploy(service=service, version="1"), f"reports {service} as deployed")
        case "criterion":
            return _judge(rollout, item, blocker.by)
        case "result":
            return _record(rollout, item, by)
        case "answer":
            asked = (*rollout.plan.go_no_go.questions, *rollout.plan.post_launch_questions)
            return _answer(_question(asked, item))
        case "session" | "workflow":
            return _session(rollout, now)
        case "snapshot":
            return Deed(MANAGER, c.TakeSnapshot(of=item), f"takes the {item} snapshot")
        case "halted":
            return Deed(MANAGER, c.Resume(reason="simulated"), "resumes")
    return None


def _item(rollout: Rollout, item: str) -> str:
    found = steps.find_item(rollout.plan, item)
    return found.text if found else item


def _judge(rollout: Rollout, name: str, by: str) -> Deed:
    plan, step = rollout.plan, steps.current_step(rollout)
    criterion = plan.criteria.get(name) or Criterion(name=name, text=name)
    actor = MONITOR if criterion.query else person(by)
    if has_limit(criterion):
        value = good_value(criterion)
        command = c.RecordVerdict(criterion=name, value=value, step=step)
        return Deed(actor, command, f"{'measures' if criterion.query else 'records'} {name}: {value}")
    return Deed(actor, c.RecordVerdict(criterion=name, verdict="pass", step=step), f"judges {name}: pass")


def good_value(criterion: Criterion) -> str:
    """A value that keeps to every limit; the first limit itself where none does (the plan contradicts itself)."""
    limits = (criterion.below, criterion.above, criterion.at_most, criterion.at_least, criterion.than)
    known = [q for q in (*limits, *(criterion.between or ())) if q is not None]
    near = [(q.value, q.value - 1, q.value + 1, q.value / 2, q.value * 2) for q in known]
    middles = [(one.value + other.value) / 2 for one in known for other in known]
    for value in (0.0, *(n for each in near for n in each), *middles):
        tried = type(known[0])(value, known[0].unit) if known else None
        if tried is not None and value >= 0 and judge(criterion, tried).verdict == "pass":
            return shown(tried)
    return shown(known[0]) if known else "0"


def _record(rollout: Rollout, where: str, by: Actor) -> Deed:
    """`where` is "step/item"; an item that is no question of the plan is a KPI, recorded as a number."""
    step, _, item = where.partition("/")
    question = _question(steps.questions(rollout.plan, step), item)
    value = _good(question)
    kpi = next((k for k in rollout.plan.go_live.kpis if k.name == item), None)
    if kpi is not None:
        value = good_value(kpi) if has_limit(kpi) else "as hoped"
    words = f"records for {steps.title_of(rollout.plan, step)}: {question.text}"
    return Deed(by, c.RecordResult(item=item, value=value, step=step), words)


def _answer(question: Question) -> Deed:
    command = c.AnswerQuestion(question=question.id, answer=_good(question))
    return Deed(person(question.answered_by), command, f"answers: {question.text}")


def _question(questions: tuple[Question, ...], item: str) -> Question:
    return next((q for q in questions if q.id == item), Question(text=item, id=item))


def _good(question: Question) -> str:
    if question.must_be:
        return question.must_be
    return {"yes/no": "no", "number": "1", "text": "nothing of note", "found/fixed": "0/0"}[question.kind]


def _session(rollout: Rollout, now: datetime) -> Deed | None:
    """Record the session that is over, wait for the one that is not, or schedule another."""
    waiting = [s for s in rollout.sessions.values() if not s.outcome]
    for session in waiting:
        if session.ends is None or session.ends <= now:
            done = tuple(WorkflowResult(name, done=True, load_times=(1.0,)) for name in rollout.plan.testing.workflows)
            words = f"records {session.id}: {len(done)} workflows done"
            return Deed(FACILITATOR, c.RecordSession(session=session.id, workflows=done), words)
    if waiting:
        return None
    number = len(rollout.sessions) + 1
    at = ""
    if rollout.plan.testing.access == "sessions":
        at = (now + timedelta(seconds=rollout.plan.testing.sessions.toggles_on)).isoformat()
    command = c.ScheduleSession(session=f"session-{number}", tester=f"tester-{number}", at=at)
    return Deed(FACILITATOR, command, f"schedules session-{number} with a tester")
