"""Testers' sessions: when each was, what worked in it, and what was said, as far as the reader may see it.

One rule: a tester appears by the vault's reference, and what they said only as it is revealed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from events import facts as f
from events.facts import WorkflowResult
from events.plan.numbers import number
from projections.report.document import Block, Cell, Grid, Paragraph, State
from projections.report.history import Found
from projections.report.writing import Pen


@dataclass
class Meeting:
    """What the log says of one session."""

    scheduled: Found[f.SessionScheduled]
    moved: list[Found[f.SessionMoved]] = field(default_factory=list)
    cancelled: Found[f.SessionCancelled] | None = None
    opened: Found[f.WindowOpened] | None = None
    closed: Found[f.WindowClosed] | None = None
    recorded: Found[f.SessionRecorded] | None = None
    waived: list[Found[f.WorkflowWaived]] = field(default_factory=list)

    @property
    def tester(self) -> str:
        return self.scheduled.fact.tester


def meetings(pen: Pen) -> dict[str, Meeting]:
    """Every session by its name, in the order they were scheduled."""
    found = {each.fact.session: Meeting(each) for each in pen.history.of(f.SessionScheduled)}
    for moved in pen.history.of(f.SessionMoved):
        found[moved.fact.session].moved.append(moved)
    for cancelled in pen.history.of(f.SessionCancelled):
        found[cancelled.fact.session].cancelled = cancelled
    for opened in pen.history.of(f.WindowOpened):
        found[opened.fact.session].opened = opened
    for closed in pen.history.of(f.WindowClosed):
        found[closed.fact.session].closed = closed
    for recorded in pen.history.of(f.SessionRecorded):
        found[recorded.fact.session].recorded = recorded
        found[recorded.fact.session].waived.clear()  # recorded again, it counts again
    for waived in pen.history.of(f.WorkflowWaived):
        found[waived.fact.session].waived.append(waived)
    return found


def sessions(pen: Pen) -> tuple[Block, ...]:
    """One line a session: the meeting, when the toggles were on, and how it went."""
    found = meetings(pen)
    if not found:
        return (Paragraph("No session has been scheduled."),)
    columns = ("Session", "Tester", "Meeting", "Toggles on for the tester", "How it went", "Records")
    rows = tuple(_row(pen, name, meeting) for name, meeting in found.items())
    return (Grid("Meetings and windows", columns, rows),)


def _row(pen: Pen, name: str, meeting: Meeting) -> tuple[Cell, ...]:
    planned = meeting.moved[-1].fact if meeting.moved else meeting.scheduled.fact
    lasts = pen.times(planned.starts, planned.ends) if planned.ends else f"{pen.time(planned.starts)}, the whole phase"
    parts = (meeting.scheduled, *meeting.moved, meeting.opened, meeting.closed, meeting.recorded, meeting.cancelled)
    revisions = tuple(sorted({each.at.revision for each in parts if each is not None}))
    return (
        Cell(name),
        Cell(meeting.tester),
        Cell(lasts),
        Cell(_window(pen, meeting, planned)),
        Cell(*_outcome(pen, meeting)),
        Cell("", revisions=revisions),
    )


def _window(pen: Pen, meeting: Meeting, planned: f.SessionScheduled | f.SessionMoved) -> str:
    """When the toggles were on: from the opening on, and never after the planned end, however late it was recorded."""
    opened = meeting.opened.at.when if meeting.opened else None
    if opened is None and meeting.cancelled:
        return "never"
    if opened is None or opened < planned.opens:  # before the session was moved
        opened = planned.opens
    ended = [each.at.when for each in (meeting.closed, meeting.cancelled) if each]
    ends = min((*ended, planned.closes) if planned.closes else ended, default=None)
    return pen.times(opened, ends) if ends else f"{pen.time(opened)} until testing ends"


def _outcome(pen: Pen, meeting: Meeting) -> tuple[str, State]:
    """Words, and whether they are known."""
    if meeting.recorded is not None:
        if not meeting.recorded.fact.held:
            return "the tester did not come", "known"
        done = sum(each.done for each in meeting.recorded.fact.workflows)
        return f"held, {done} of {len(meeting.recorded.fact.workflows)} workflows done", "known"
    if meeting.cancelled is not None:
        why = pen.text(meeting.cancelled.fact.because, meeting.tester)
        return f"cancelled{f': {why}' if why else ''}", "known"
    closes = (meeting.moved[-1].fact if meeting.moved else meeting.scheduled.fact).closes
    if closes is None or closes > pen.as_of:
        return "still to come" if meeting.opened is None else "under way", "due"
    return "not recorded yet", "open"


def session_results(pen: Pen) -> tuple[Block, ...]:
    """For each session held: every workflow with its load times, comments and errors."""
    columns = ("Workflow", "Done", "Load times", "Comments on appointment details", "Errors", "Record")
    blocks: list[Block] = []
    for name, meeting in meetings(pen).items():
        if meeting.recorded is None or not meeting.recorded.fact.held:
            continue
        fact, line = meeting.recorded
        rows = tuple(_workflow(pen, meeting, each, line.revision) for each in fact.workflows)
        if rows:
            blocks.append(Grid(f"Session {name}, {pen.time(line.when)}", columns, rows))
        if fact.comments:
            blocks.append(Paragraph(f"Comments in session {name}: {pen.text(fact.comments, meeting.tester)}"))
    return tuple(blocks)


def _workflow(pen: Pen, meeting: Meeting, result: WorkflowResult, revision: int) -> tuple[Cell, ...]:
    waiver = next((each for each in meeting.waived if each.fact.workflow == result.workflow), None)
    done = "yes" if result.done else "no, waived" if waiver or result.waived else "no"
    why = pen.text(waiver.fact.because if waiver else result.waived, meeting.tester)
    revisions = (revision, waiver.at.revision) if waiver else (revision,)
    return (
        Cell(result.workflow),
        Cell(f"{done}: {why}" if why else done),
        Cell(", ".join(f"{number(seconds)} s" for seconds in result.load_times) or "none recorded"),
        Cell(pen.text(result.comments, meeting.tester) or "none recorded"),
        Cell(pen.text(result.errors, meeting.tester) or "none recorded"),
        Cell("", revisions=revisions),
    )
