"""The release plan, filled in: the plan's own structure with every blank as the log says it.

One rule: it is a fold of the rollout's records and of nothing else; what they do not say is marked as not known, and
never invented. The same records, asked at the same time by a reader who may see the same, give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from events.exposed import exposure_words
from events.facts import Record
from projections.report import afterwards, before, course, phases
from projections.report.document import Answer, Cell, Document, answers_of
from projections.report.history import History, Line
from projections.report.html import CONTENT_SECURITY_POLICY, html
from projections.report.markdown import markdown
from projections.report.writing import ENCRYPTED, Pen, Reveal, closed
from projections.sentences import PHASES

__all__ = ["CONTENT_SECURITY_POLICY", "ENCRYPTED", "Document", "Reveal", "html", "markdown", "report"]


def report(
    records: Iterable[tuple[int, Record]],
    as_of: datetime,
    *,
    audit: str = "",
    last_hash: str = "",
    reveal: Reveal = closed,
) -> Document:
    """The report of a rollout's records, (revision, record), oldest first. Raises ValueError if none adopts a plan.

    `as_of` is the instant it speaks of, in UTC: what is due by then. `audit` is the address of the rollout's trail;
    `last_hash` the SHA-256 of the last record's stored bytes, which stands for all of them. `reveal`: see writing.py.
    """
    history = History(Line(revision, record) for revision, record in records)
    pen = Pen(history, as_of, reveal)
    plan = (
        before.prerequisites(pen),
        phases.code_deploy(pen),
        phases.testing(pen),
        phases.rollout(pen),
        afterwards.go_live(pen),
        afterwards.questions(pen),
    )
    rest = (course.rollbacks(pen), course.differences(pen), course.told(pen), *course.notes(pen))
    blanks = [answer for section in plan for _, answer in answers_of(section)]
    last = history.lines[-1]
    return Document(
        title=history.plan.title,
        subtitle=f"Release plan of {last.record.rollout}, filled in from its log as of {pen.time(as_of)}",
        rollout=last.record.rollout,
        summary=_summary(pen, blanks, last_hash),
        sections=(before.toggles(pen), *plan, *rest, course.still_open(plan)),
        audit=audit,
        revision=last.revision,
    )


def _summary(pen: Pen, blanks: list[Answer], last_hash: str) -> tuple[Answer, ...]:
    history = pen.history
    entered = history.entered.get(history.phase, [history.lines[0]])[-1]
    phase = PHASES[history.phase] + (", halted" if history.halted else "")
    words = exposure_words(history.exposure)
    asked = [answer for answer in blanks if not answer.left_out]
    filled = f"{sum(answer.value.state == 'known' for answer in asked)} of {len(asked)}"
    if absent := len(blanks) - len(asked):
        filled += f"; {absent} more {'is' if absent == 1 else 'are'} not in the plan"
    last = history.lines[-1]
    log = Cell(f"up to {pen.time(last.when)}", revisions=(last.revision,))
    hashed = (Cell(f"SHA-256 of that record, which holds those of all before it: {last_hash}"),) if last_hash else ()
    return (
        Answer("Phase", Cell(phase, revisions=(entered.revision,)), when=f"since {pen.time(entered.when)}"),
        Answer("Toggles on for", Cell(words)),
        Answer("Blanks filled", Cell(filled)),
        Answer("Log", log, notes=hashed),
    )
