"""Testers' sessions and their windows [opens, closes).

One rule: a window is a span of time that is decided when a flag is read; open_window and close_window only record
what is so already, or end a window early. Nothing here lowers a wider exposure.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from events import facts as f
from events.facts import Fact, WorkflowResult
from services.rollout import commands as c
from services.rollout import steps
from services.rollout.asked import Asked, local_time, span
from services.rollout.refusals import refuse
from services.rollout.state import Rollout, Session

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BEFORE_CUTOVER = ("planned", "code_deploy", "veteran_testing")
_SCHEDULABLE = ("planned", "code_deploy", "veteran_testing", "cutover", "go_live")


def schedule(asked: Asked, command: c.ScheduleSession) -> tuple[Fact, ...]:
    """A meeting with its window before and after; for the whole phase where the plan says so."""
    rollout, plan = asked.rollout, asked.rollout.plan
    _schedulable(asked)
    if not _NAME.fullmatch(command.session):
        raise refuse(f"a session's name is of letters, digits, . _ -; found {command.session!r}", code="invalid")
    if not command.tester.strip():
        raise refuse("a session needs a tester", code="invalid")
    known = rollout.sessions.get(command.session)
    if plan.testing.access == "whole phase" and not command.at:
        if rollout.phase not in _BEFORE_CUTOVER:
            raise refuse("testing has ended: say when the session is", code="invalid")
        starts, ends, opens, closes = asked.now, None, asked.now, None
        if known is not None and known.tester == command.tester and known.closes is None and not known.outcome:
            return ()
    else:
        starts, ends, opens, closes = _window(asked, command.at, command.length)
    if known is not None:
        if (known.tester, known.starts, known.ends) == (command.tester, starts, ends) and not known.outcome:
            return ()
        raise refuse(f"there is a session {command.session!r} already: move it, or choose another name")
    if closes is not None and closes <= asked.now:
        raise refuse(f"the session would be over: its window closes {steps.local(asked.rollout, closes)}")
    return (f.SessionScheduled(command.session, command.tester, starts, ends, opens, closes),)


def _schedulable(asked: Asked) -> None:
    rollout, plan = asked.rollout, asked.rollout.plan
    if rollout.phase not in _SCHEDULABLE:
        raise refuse(f"no session is scheduled in phase {rollout.phase}")
    if not steps.exposes_testers(plan):
        where = plan.testing.waived or f"testing is in {plan.testing.environment}"
        raise refuse(f"the plan switches nothing on for testers: {where}")


def _window(asked: Asked, at: str, length: str) -> tuple[datetime, datetime, datetime, datetime]:
    """(starts, ends, opens, closes) of a meeting, within the plan's lengths."""
    plan = asked.rollout.plan.testing.sessions
    if not at:
        raise refuse("say when the session is: at, such as 2026-03-02T10:30", code="invalid")
    longest = plan.length.at_most or plan.length.at_least
    lasts = span(length) if length else timedelta(seconds=longest)
    if lasts <= timedelta(0):
        raise refuse(f"a session lasts longer than nothing; found {length!r}", code="invalid")
    if plan.length.at_most is not None and lasts > timedelta(seconds=plan.length.at_most):
        raise refuse(f"the plan's sessions last at most {plan.length.at_most // 60} minutes; found {length!r}")
    starts = local_time(asked.rollout, at)
    ends = starts + lasts
    opens = starts - timedelta(seconds=plan.toggles_on)
    return starts, ends, opens, ends + timedelta(seconds=plan.toggles_off)


def move(asked: Asked, command: c.MoveSession) -> tuple[Fact, ...]:
    """Another time while the window is ahead; another end while it is open (an overrun may pass the plan's length)."""
    session = _pending(asked, command.session)
    if session.ends is None or session.closes is None:
        raise refuse(f"session {session.id!r} lasts for the whole phase: cancel it instead")
    if is_open(asked.rollout, session, asked.now):
        return _new_end(asked, command, session)
    if asked.now >= session.closes:
        raise refuse(f"session {session.id!r} is over: record it, and schedule another")
    _schedulable(asked)
    at = command.at or session.starts.isoformat()
    kept = f"{int((session.ends - session.starts).total_seconds())} seconds"
    starts, ends, opens, closes = _window(asked, at, command.length or kept)
    if closes <= asked.now:
        raise refuse(f"the session would be over: its window closes {steps.local(asked.rollout, closes)}")
    if (starts, ends) == (session.starts, session.ends):
        return ()
    return (f.SessionMoved(session.id, starts, ends, opens, closes),)


def _new_end(asked: Asked, command: c.MoveSession, session: Session) -> tuple[Fact, ...]:
    if command.at:
        raise refuse(f"the window of {session.id!r} is open: only its length can be changed")
    if not command.length:
        raise refuse("say the new length", code="invalid")
    ends = session.starts + span(command.length)
    closes = ends + timedelta(seconds=asked.rollout.plan.testing.sessions.toggles_off)
    if closes <= asked.now:
        raise refuse(f"the new end {steps.local(asked.rollout, closes)} has passed: close the window instead")
    if ends == session.ends:
        return ()
    return (f.SessionMoved(session.id, session.starts, ends, session.opens, closes),)


def cancel(asked: Asked, command: c.CancelSession) -> tuple[Fact, ...]:
    session = _known(asked.rollout, command.session)
    if session.outcome == "cancelled":
        return ()
    if session.outcome:
        raise refuse(f"session {session.id!r} is recorded already")
    return (f.SessionCancelled(session.id, asked.reason),)


def open_window(asked: Asked, command: c.OpenWindow) -> tuple[Fact, ...]:
    rollout, session = asked.rollout, _pending(asked, command.session)
    if session.window == "open":
        return ()
    if not rollout.exposed:
        raise refuse(f"nobody can have the group on in phase {rollout.phase}: no window opens")
    if rollout.halted:
        raise refuse(f"halted: {rollout.halted_because or 'no reason given'}; no new window opens")
    if asked.now < session.opens:
        raise refuse(f"the window of {session.id!r} opens {steps.local(asked.rollout, session.opens)}")
    if session.closes is not None and asked.now >= session.closes:
        raise refuse(f"the window of {session.id!r} closed {steps.local(asked.rollout, session.closes)}")
    return (f.WindowOpened(session.id),)


def close_window(asked: Asked, command: c.CloseWindow) -> tuple[Fact, ...]:
    session = _known(asked.rollout, command.session)
    if session.window == "closed":
        return ()
    over = session.closes is not None and asked.now >= session.closes
    if (
        session.window == "ahead"
        and not session.outcome
        and not over
        and not is_open(asked.rollout, session, asked.now)
    ):
        raise refuse(f"the window of {session.id!r} is not open; it opens {steps.local(asked.rollout, session.opens)}")
    return (f.WindowClosed(session.id),)


def is_open(rollout: Rollout, session: Session, now: datetime) -> bool:
    """Whether the tester has the group on at `now` because of this session, recorded or not."""
    if session.outcome == "cancelled" or session.window == "closed" or not rollout.exposed:
        return False
    if session.closes is not None and now >= session.closes:
        return False
    return session.window == "open" or (now >= session.opens and not rollout.halted)


def _never_open(rollout: Rollout, session: Session, now: datetime) -> bool:
    """Whether the rollout was halted for the whole window, so that the tester never had the group on."""
    over = session.closes or now
    return any(h.since < session.opens and (h.until is None or over <= h.until) for h in rollout.halts)


def record(asked: Asked, command: c.RecordSession) -> tuple[Fact, ...]:
    """What a session showed. Recording it again corrects it; the log keeps both."""
    rollout = asked.rollout
    session = _known(rollout, command.session)
    if session.outcome == "cancelled":
        raise refuse(f"session {session.id!r} was cancelled")
    if asked.now < session.starts:
        raise refuse(f"session {session.id!r} has not begun; it starts {steps.local(asked.rollout, session.starts)}")
    workflows = tuple(_workflow(rollout, result) for result in command.workflows)
    if len({result.workflow for result in workflows}) < len(workflows):
        raise refuse("a workflow is named twice: one session tries each workflow once", code="invalid")
    held = command.outcome == "held"
    if held and rollout.phase in ("planned", "code_deploy"):
        raise refuse(f"nobody has had the group on yet in phase {rollout.phase}: no session was held")
    if not held and workflows:
        raise refuse("a tester who did not come has done no workflows", code="invalid")
    if session.outcome and (session.outcome, session.workflows, session.comments) == (
        command.outcome,
        workflows,
        command.comments,
    ):
        return ()
    if held and _never_open(rollout, session, asked.now):
        raise refuse(
            f"the window of {session.id!r} never opened, the rollout was halted: no session was held; "
            "record a no-show, or cancel it, and schedule another"
        )
    return (f.SessionRecorded(session.id, held, workflows, command.comments),)


def waive(asked: Asked, command: c.WaiveWorkflow) -> tuple[Fact, ...]:
    """A failure in a recorded session no longer stands in the way. Recording the session again makes it count again."""
    session = _known(asked.rollout, command.session)
    if session.outcome != "held":
        raise refuse(f"session {session.id!r} is not recorded as held: there is nothing to waive")
    if not asked.reason.strip():
        raise refuse("a reason is needed: say why the failure does not count")
    tried = tuple(result.workflow for result in session.workflows)
    wanted = _named(tried, command.workflow, f"was tried in session {session.id!r}")
    result = next(r for r in session.workflows if r.workflow == wanted)
    if result.done:
        raise refuse(f"{wanted!r} did not fail in session {session.id!r}")
    return () if result.waived else (f.WorkflowWaived(session.id, wanted, asked.reason),)


def _named(known: tuple[str, ...], words: str, what: str) -> str:
    """The workflow that these words name: its full text, or a beginning that no other has."""
    wanted = words.strip().casefold()
    found = [w for w in known if w.casefold() == wanted] or [
        w for w in known if wanted and w.casefold().startswith(wanted)
    ]
    if len(found) != 1:
        no = f"no workflow that begins with {words!r} {what}" if not found else f"{words!r} begins several workflows"
        raise refuse(f"{no}; there are: {'; '.join(known) or 'none'}", code="invalid")
    return found[0]


def _workflow(rollout: Rollout, result: WorkflowResult) -> WorkflowResult:
    """The result under the workflow's full text; a unique beginning of it is enough."""
    wanted = result.workflow.strip().casefold()
    known = rollout.plan.testing.workflows
    exact = [w for w in known if w.casefold() == wanted]
    found = exact or [w for w in known if wanted and w.casefold().startswith(wanted)]
    if len(found) != 1:
        what = "is no workflow of the plan" if not found else "begins several workflows"
        raise refuse(f"{result.workflow!r} {what}; it has: {'; '.join(known) or 'none'}", code="invalid")
    if any(not 0 <= t < float("inf") for t in result.load_times):
        raise refuse(f"load times are seconds, 0 or more; found {result.load_times}", code="invalid")
    return WorkflowResult(found[0], result.done, result.load_times, result.comments, result.errors, result.waived)


def _known(rollout: Rollout, name: str) -> Session:
    session = rollout.sessions.get(name)
    if session is None:
        known = ", ".join(rollout.sessions) or "none"
        raise refuse(f"there is no session {name!r}; there are: {known}")
    return session


def _pending(asked: Asked, name: str) -> Session:
    session = _known(asked.rollout, name)
    if session.outcome:
        what = {"cancelled": "was cancelled", "held": "is recorded", "no_show": "is recorded"}[session.outcome]
        raise refuse(f"session {session.id!r} {what}")
    if session.window == "closed":
        raise refuse(f"the window of session {session.id!r} has closed")
    return session
