"""What is due: every timed thing that a rollout has ahead of it, as commands.

One rule: a pure function of the log. After any outage the clock finds here what is owed; nothing is kept elsewhere.
A command's id names the record that made it due, so that two clocks, or one that was restarted, do it once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from events.facts import Actor
from services.rollout import steps
from services.rollout.blockers import blockers
from services.rollout.commands import Advance, CloseWindow, Command, OpenWindow, Remind, TakeSnapshot
from services.rollout.state import Rollout, Session

CLOCK = Actor("clock", "clock")


class Due(Struct, frozen=True):
    """A command whose time comes `at` (UTC). `what` says it in words."""

    at: datetime
    command: Command
    command_id: str
    what: str


def agenda(rollout: Rollout) -> tuple[Due, ...]:
    """All timed things still to come or owed, earliest first."""
    if not rollout.active:
        return ()
    found = [*_windows(rollout), *_lengths(rollout), *_expiries(rollout), *_results(rollout)]
    return tuple(sorted(found, key=lambda due: (due.at, due.command_id)))


def due(rollout: Rollout, now: datetime) -> tuple[Due, ...]:
    """What is owed at `now`. An automatic promotion is owed only when nothing blocks it; a window that is over is
    only closed."""
    owed = [each for each in agenda(rollout) if each.at <= now]
    over = {each.command.session for each in owed if isinstance(each.command, CloseWindow)}
    owed = [each for each in owed if not (isinstance(each.command, OpenWindow) and each.command.session in over)]
    if any(isinstance(each.command, Advance) for each in owed) and blockers(rollout, now, by=CLOCK):
        owed = [each for each in owed if not isinstance(each.command, Advance)]
    return tuple(owed)


def _windows(rollout: Rollout) -> Iterator[Due]:
    for session in rollout.sessions.values():
        if session.window == "closed":
            continue
        may_open = rollout.exposed and not rollout.halted
        ahead = session.window == "ahead" and not session.outcome
        if ahead and not may_open:
            yield from _missed(rollout, session)
            continue
        if ahead:
            key = f"clock:open:{session.id}:{session.ordinal}:{session.opens:%Y%m%dT%H%M%S}"
            yield Due(session.opens, OpenWindow(session.id), key, f"the window of {session.id} opens")
        if session.closes is not None:
            key = f"clock:close:{session.id}:{session.ordinal}:{session.closes:%Y%m%dT%H%M%S}"
            yield Due(session.closes, CloseWindow(session.id), key, f"the window of {session.id} closes")


def _missed(rollout: Rollout, session: Session) -> Iterator[Due]:
    """A window that cannot open in time is announced. One for the whole phase has no time: it waits for testing."""
    if session.closes is None:
        return
    why = "the rollout is halted" if rollout.halted else f"the rollout is in {rollout.phase}"
    about = f"missed:{session.id}:{session.ordinal}:{session.opens:%Y%m%dT%H%M%S}"
    text = f"the window of session {session.id} could not open in time: {why}"
    yield from _reminder(rollout, session.opens, about, text, f"the window of {session.id} should open")


def _lengths(rollout: Rollout) -> Iterator[Due]:
    step = steps.current_step(rollout)
    over, most = steps.length_over_at(rollout), steps.length_limit_at(rollout)
    if rollout.halted or over is None:
        return
    title = steps.title_of(rollout.plan, step)
    if steps.length(rollout.plan, step).at_least:
        yield from _reminder(rollout, over, f"length:{step}:{rollout.step_ordinal}", f"the time of {title} is over")
    if most is not None:
        text = f"{title} has lasted as long as the plan allows"
        yield from _reminder(rollout, most, f"longest:{step}:{rollout.step_ordinal}", text)
    upcoming = steps.stage_of(rollout.plan, steps.next_step(rollout))
    if rollout.phase == "cutover" and upcoming is not None and upcoming.automatic:
        key = f"clock:advance:{steps.next_step(rollout)}:{rollout.step_ordinal}:{rollout.basis}"
        yield Due(over, Advance(), key, f"{steps.title_of(rollout.plan, steps.next_step(rollout))} is entered")


def _expiries(rollout: Rollout) -> Iterator[Due]:
    for choice in rollout.choices.values():
        if choice.decision == "go" and choice.expires is not None and not choice.voided:
            text = f"the go of {choice.title} for {steps.title_of(rollout.plan, choice.step)} has expired"
            about = f"expired:{choice.step}:{choice.title}:{choice.ordinal}"
            yield from _reminder(rollout, choice.expires, about, text)


def _results(rollout: Rollout) -> Iterator[Due]:
    if rollout.phase not in ("cutover", "go_live") or rollout.released_at is None:
        return
    for text, seconds in steps.result_sets(rollout.plan).items():
        if rollout.snapshots.get(text, 0) <= rollout.released_ordinal:
            key = f"clock:snapshot:{_ascii(text)}:{rollout.released_ordinal}"
            at = rollout.released_at + timedelta(seconds=seconds)
            yield Due(at, TakeSnapshot(text), key, f"the {text} results are due")
    experiment = rollout.plan.go_live.experiment
    if experiment is not None:
        at = rollout.released_at + timedelta(seconds=experiment.ends_after)
        text = f"the experiment is over: {experiment.question}"
        yield from _reminder(rollout, at, f"experiment:{rollout.released_ordinal}", text)


def _reminder(rollout: Rollout, at: datetime, about: str, text: str, what: str = "") -> Iterator[Due]:
    if about not in rollout.reminded:
        yield Due(at, Remind(about, text), f"clock:{_ascii(about)}", what or text)


def _ascii(text: str) -> str:
    """A command id's part: the text in visible ASCII, cut, and a hash that tells it from all others that look so."""
    name = re.sub(r"[^!-~]", "-", text)[:120]
    return f"{name}:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"
