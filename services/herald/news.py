"""What people are told: the messages that one record gives rise to, by the plan's routes.

One rule: a pure function of the log, so that a cause has the same name whoever works it out and how often. Nothing
of a tester is in a message: what they said is ciphertext in the log already, and their reference is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from msgspec import Struct

from events import facts as f
from events.exposed import exposure_words
from events.facts import Channel, Fact, Record
from events.plan.numbers import shown
from events.plan.schema import Criterion, IssueRoute
from projections.sentences import SEALED, sentence, texts
from services.rollout import criteria, reporting, steps
from services.rollout.state import Rollout

Line = tuple[str, str]
"""A label and what stands behind it; without a label it is a paragraph."""

_ANNOUNCED: dict[str, tuple[type, ...]] = {
    "phases": (f.PhaseEntered, f.StageEntered, f.ExposureSet, f.Halted, f.Resumed),
    "go/no-go": (f.Decided,),
    "windows": (f.WindowOpened, f.WindowClosed),
    "reminders": (f.Reminded,),
}
QUERY = "Query"
"""The label of what is no text of people, and stands as it is."""

_FIRST_LINE = 120  # characters of a title


class Message(Struct, frozen=True):
    """One thing to tell by one route. `cause` names it: "rollout/revision/fact/route", both counted from 0.

    An issue is opened on GitHub and posted with a mention; news is only posted. `link` is where the log shows it.
    """

    cause: str
    kind: Literal["issue", "news"]
    route: IssueRoute
    title: str
    lines: tuple[Line, ...]
    when: datetime
    link: str = ""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Where it goes; GitHub first, for the post in the channel carries the issue's link."""
        github: tuple[Channel, ...] = ("github",) if self.kind == "issue" and self.route.github_labels else ()
        return (*github, *(("slack",) if self.route.channel else ()))


def messages(before: Rollout | None, after: Rollout, record: Record, revision: int, link: str = "") -> list[Message]:
    """What this record is to be told as. `before` and `after` are the rollout without and with it."""
    found: list[Message] = []
    for number, route in enumerate(after.plan.report_issues):
        for n, title, lines in _issues(before, after, record, number):
            cause = f"{record.rollout}/{revision}/{n}/{number}"
            said = (*lines, *_where(after, record, revision))
            found.append(Message(cause, "issue", route, _titled(route, title), said, record.when, link))
        news = [(n, fact) for n, fact in enumerate(record.facts) if _wanted(route, fact)]
        if news:
            cause = f"{record.rollout}/{revision}/{news[0][0]}/{number}"
            title, *more = [sentence(fact, texts(after.plan)) for _, fact in news]
            lines = (*(("", text) for text in more), *_why(record), *_where(after, record, revision))
            found.append(Message(cause, "news", route, _titled(route, title), lines, record.when, link))
    return found


def _titled(route: IssueRoute, title: str) -> str:
    return f"{route.title}: {title}" if route.title else title


def _wanted(route: IssueRoute, fact: Fact) -> bool:
    return any(isinstance(fact, _ANNOUNCED[what]) for what in route.announce)


# -- issues


def _issues(
    before: Rollout | None, after: Rollout, record: Record, route: int
) -> Iterator[tuple[int, str, tuple[Line, ...]]]:
    """The place, title and lines of every fact that is a problem for this route."""
    for n, fact in enumerate(record.facts):
        match fact:
            case f.IssueReported(text=text, purpose=purpose) if route in reporting.routes(after.plan, purpose):
                yield n, _first_line(text), (("", text), ("Reported by", _who(record)), *_evidence(record))
            case f.VerdictRecorded(verdict="fail") if _new_breach(before, after, fact):
                where = steps.title_of(after.plan, fact.step)
                yield n, f"'{fact.criterion}' failed in {where}", tuple(_breach(after, record, fact))
            case f.SessionRecorded(held=True):
                for result in _newly_failed(before, fact):
                    title = f"'{result.workflow}' failed in test session {fact.session}"
                    yield n, title, tuple(_failure(after, fact, result))
                    break  # one issue a session: the others are named in it


def _new_breach(before: Rollout | None, after: Rollout, fact: f.VerdictRecorded) -> bool:
    """A breach that goes on is told once; criteria on trial never block, and are nobody's alarm."""
    criterion = after.plan.criteria.get(fact.criterion)
    if criterion is not None and criterion.dry_run:
        return False
    known = before.verdicts.get(f"{fact.step}/{fact.criterion}") if before is not None else None
    this_time = known is not None and before is not None and known.ordinal >= before.step_ordinal
    return not (this_time and known is not None and known.verdict == "fail")


def _breach(after: Rollout, record: Record, fact: f.VerdictRecorded) -> Iterator[Line]:
    criterion = after.plan.criteria.get(fact.criterion) or Criterion(name=fact.criterion)
    if fact.value is not None:
        yield "Value", shown(fact.value)
    yield "Limit", criteria.target(criterion)
    yield "Judged", fact.why
    yield "Measured", f"{fact.since:%Y-%m-%d %H:%M} to {fact.until:%Y-%m-%d %H:%M} UTC"
    query = next((e.query for e in record.evidence if e.query), criterion.query or criterion.count)
    if query:
        yield QUERY, query
    if criterion.dashboard:
        yield "Dashboard", criterion.dashboard
    yield from (("", sentence(fact, {})) for fact in record.facts if isinstance(fact, (f.Halted, f.ExposureSet)))
    yield from _evidence(record)


def _newly_failed(before: Rollout | None, fact: f.SessionRecorded) -> list[f.WorkflowResult]:
    """The workflows that failed, unless they had failed when the session was recorded before."""
    session = before.sessions.get(fact.session) if before is not None else None
    known = {w.workflow for w in session.workflows if not w.done} if session is not None else set()
    failed = [w for w in fact.workflows if not w.done and not w.waived]
    return failed if any(w.workflow not in known for w in failed) else []


def _failure(after: Rollout, fact: f.SessionRecorded, first: f.WorkflowResult) -> Iterator[Line]:
    yield "Workflow", first.workflow
    others = [w.workflow for w in fact.workflows if not w.done and not w.waived and w is not first]
    if others:
        yield "Failed too", "; ".join(others)
    if first.load_times:
        yield "Load times", ", ".join(f"{seconds:g} s" for seconds in first.load_times)
    yield "What was said", f"is kept encrypted; `cutover sessions {after.id}` shows it to the facilitator"


# -- what stands in every message


def _where(after: Rollout, record: Record, revision: int) -> Iterator[Line]:
    yield "Release", f"{after.plan.title} ({after.id})"
    yield "Toggles on for", exposure_words(after.exposure)
    yield "Revision", f"{revision}, {record.when:%Y-%m-%d %H:%M:%S} UTC"


def _why(record: Record) -> Iterator[Line]:
    if record.reason and not record.reason.startswith(SEALED):
        yield "Why", record.reason
    yield "By", _who(record)


def _who(record: Record) -> str:
    return f"{record.who.subject} ({', '.join(record.who.titles) or record.who.role.replace('_', ' ')})"


def _evidence(record: Record) -> Iterator[Line]:
    for evidence in record.evidence:
        if (said := evidence.source or evidence.text) and not said.startswith(SEALED):
            yield "Evidence", said


def _first_line(text: str) -> str:
    line = text.strip().splitlines()[0]
    return line if len(line) <= _FIRST_LINE else f"{line[: _FIRST_LINE - 3]}..."
