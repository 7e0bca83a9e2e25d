"""How it went: halts and rollbacks, what differs from the plan, what was told to whom, and the records behind it all.

One rule: nothing that went otherwise than planned is left out because it turned out well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from events import facts as f
from events.facts import Fact
from events.plan.schema import Planned
from projections.report.before import step_words
from projections.report.document import Block, Cell, Grid, Paragraph, Section, answers_of, latest
from projections.report.history import Found, Line
from projections.report.phases import days_between
from projections.report.writing import Pen
from projections.sentences import sentence, texts

WHERE = {"github": "GitHub", "slack": "Slack"}


def rollbacks(pen: Pen) -> Section:
    """Every halt, its end, every step back and every rollback."""
    caption, rows = latest("In the order they happened", [r for line in pen.history.lines for r in _stops(pen, line)])
    title = "Rollbacks and halts"
    if not rows:
        return Section(title, (Paragraph("There was none."),))
    return Section(title, (Grid(caption, ("What", "When", "By", "Why", "Record"), tuple(rows)),))


def _stops(pen: Pen, line: Line) -> Iterator[tuple[Cell, ...]]:
    for fact in line.record.facts:
        what = _stop(pen, fact, line)
        if what is None:
            continue
        word, because = what
        failed = [each for each in line.record.facts if isinstance(each, f.VerdictRecorded) and each.verdict == "fail"]
        why = [because, pen.reason(line), *(f"{each.criterion}: {each.why}" for each in failed)]
        said = "; ".join(_once(why)) or "no reason given"
        yield (
            Cell(word),
            Cell(pen.time(line.when)),
            Cell(pen.who(line)),
            Cell(said, url=pen.grounds(line).url),
            Cell("", revisions=(line.revision,)),
        )


def _once(texts: list[str]) -> list[str]:
    """The texts without those that another one says too."""
    different = [text for text in dict.fromkeys(texts) if text]
    return [text for text in different if not any(text in other for other in different if other != text)]


def _went_back(pen: Pen, fact: f.StageEntered, line: Line) -> str:
    """The stage that this leads back to; "": it leads forward."""
    return step_words(pen, f"stage-{fact.stage}") if line.revision in pen.history.went_back else ""


def _stop(pen: Pen, fact: Fact, line: Line) -> tuple[str, str] | None:
    match fact:
        case f.StageEntered() if to := _went_back(pen, fact, line):
            return f"Went back to {to}", ""
        case f.Halted(because=because):
            return "Halted", because
        case f.Resumed():
            return "Resumed", ""
        case f.PhaseEntered(phase="rolled_back"):
            return "Rolled back: off for everyone", ""
        case f.PhaseEntered(phase="cancelled"):
            return "Cancelled", ""
    return None


# -- against the plan


def differences(pen: Pen) -> Section:
    """Planned and actual dates, and every change of the plan or of what it expected."""
    blocks: list[Block] = []
    dates = tuple(_dates(pen))
    if dates:
        blocks.append(Grid("Dates", ("What", "Planned", "Actual", "Difference"), dates))
    caption, changes = latest("What went otherwise than planned, or was planned anew", list(_changes(pen)))
    if changes:
        columns = ("What", "When", "By", "Why", "Record")
        rows = tuple(_changed(pen, words, line) for words, line in changes)
        blocks.append(Grid(caption, columns, rows))
    if not blocks:
        blocks.append(Paragraph("Nothing so far."))
    return Section("What differs from the plan", tuple(blocks))


def _dates(pen: Pen) -> Iterator[tuple[Cell, ...]]:
    plan, entered = pen.plan, pen.history.entered
    deployed = [each.at for each in pen.history.of(f.WatchStarted)]
    yield from _date(pen, "Code deployment", plan.deploy.date, deployed, stays=True)
    yield from _date(pen, "Testing", plan.testing.dates, entered.get("veteran_testing", []))
    yield from _date(pen, "Cutover", plan.rollout.dates, entered.get("stage-1", []))
    for number, stage in enumerate(plan.rollout.stages, 1):
        reached = entered.get(f"stage-{number}", [])
        yield from _date(pen, f"Stage {number}: {stage.title or stage.to or 'everyone'}", stage.dates, reached)
    yield from _date(pen, "Go-live", plan.go_live.date, entered.get("go_live", []))


def _date(
    pen: Pen, what: str, planned: Planned | None, lines: Iterable[Line], *, stays: bool = False
) -> Iterator[tuple[Cell, ...]]:
    """A row for each try. `stays`: what was reached before a rollback is so still."""
    if planned is None:
        return
    tries = pen.history.firsts(lines)
    current = bool(tries) and (stays or tries[-1].revision > pen.history.rolled_back)
    for line in tries[:-1] if current else tries:
        yield _reached(pen, f"{what}, an earlier try", planned, line)
    yield _reached(pen, what, planned, tries[-1] if current else None)


def _reached(pen: Pen, what: str, planned: Planned, line: Line | None) -> tuple[Cell, ...]:
    if line is None:
        return (Cell(what), Cell(planned.text), Cell("not yet", "open"), Cell(""))
    actual = Cell(pen.day(line.when), revisions=(line.revision,))
    return (Cell(what), Cell(planned.text), actual, Cell(_compared(pen, planned, line.when)))


def _compared(pen: Pen, planned: Planned, actual: datetime) -> str:
    if not planned.first:
        return "no day was planned"
    late = days_between(planned.last or planned.first, actual, pen)
    early = -days_between(planned.first, actual, pen)
    days = max(late, early)
    if days <= 0:
        return "as planned"
    return f"{days} day{'' if days == 1 else 's'} {'late' if late > 0 else 'early'}"


def _changes(pen: Pen) -> Iterator[tuple[str, Line]]:
    exposed = False
    for line in pen.history.lines:
        for fact in line.record.facts:
            exposed = fact.exposure.to != "nobody" if isinstance(fact, f.ExposureSet) else exposed
            words = "" if isinstance(fact, f.DeployReported) and not exposed else _change(pen, fact, line)
            if words:
                yield words, line


def _changed(pen: Pen, words: str, line: Line) -> tuple[Cell, ...]:
    why = pen.reason(line) or next((note.text for note in pen.why(line)), "")
    return (
        Cell(words),
        Cell(pen.time(line.when)),
        Cell(pen.who(line)),
        Cell(why or "no reason given"),
        Cell("", revisions=(line.revision,)),
    )


def _change(pen: Pen, fact: Fact, line: Line) -> str:
    match fact:
        case f.StageEntered() if to := _went_back(pen, fact, line):
            return f"The release went back to {to}"
        case f.PlanRevised(changed=changed):
            return f"The plan was revised: {', '.join(changed) or 'in small'}"
        case f.SessionMoved(session=session):
            return f"Session {session} was moved"
        case f.SessionCancelled(session=session):
            return f"Session {session} was cancelled"
        case f.SessionRecorded(session=session, held=False):
            return f"In session {session} the tester did not come"
        case f.WorkflowWaived(session=session, workflow=workflow):
            return f"The failure of '{workflow}' in session {session} was waived"
        case f.AttestationWithdrawn(item=item):
            return f"Withdrawn: {texts(pen.plan).get(item, item)}"
        case f.DeployReported(service=service, version=version):
            return f"{service} {version} was deployed while people had the toggles on"
        case f.VerdictRecorded(criterion=criterion, step=step, verdict="fail", why=why):
            return f"{criterion} failed in {step_words(pen, step)}: {why}"
        case f.Decided(decision=("no_go" | "pause" | "pivot") as decision, title=title, step=step):
            return f"{title} decided {decision.replace('_', ' ')} for {step_words(pen, step)}"
        case f.PhaseEntered(phase="rolled_back"):
            return "The release was rolled back"
    return ""


# -- telling people


def told(pen: Pen) -> Section:
    """Issues and messages: what was reported where, and what could not be."""
    issues, reported = latest("Issues that people reported", pen.history.of(f.IssueReported))
    caption, announced = latest("What was told", pen.history.of(f.Announced))
    blocks: list[Block] = []
    if reported:
        rows = tuple(
            (
                Cell(each.fact.text),
                Cell(each.fact.purpose or "every route of the plan"),
                Cell(pen.time(each.at.when)),
                Cell(pen.who(each.at)),
                Cell("", revisions=(each.at.revision,)),
            )
            for each in reported
        )
        blocks.append(Grid(issues, ("Issue", "For", "When", "By", "Record"), rows))
    if announced:
        columns = ("What", "Where", "Outcome", "When", "Record")
        blocks.append(Grid(caption, columns, tuple(_announced(pen, each) for each in announced)))
    if not blocks:
        blocks.append(Paragraph("Nothing was reported."))
    return Section("What was reported where", tuple(blocks))


def _announced(pen: Pen, found: Found[f.Announced]) -> tuple[Cell, ...]:
    fact, line = found
    parts = fact.cause.split("/")
    cause = int(parts[1]) if len(parts) == 4 and parts[1].isdigit() else 0
    happened = pen.history.by_revision.get(cause)
    what = _first_sentence(pen, happened) if happened else fact.cause
    outcome = "told" if fact.outcome == "sent" else f"not told{f' ({fact.why})' if fact.why else ''}"
    return (
        Cell(what, revisions=(cause,) if happened else ()),
        Cell(WHERE[fact.channel], url=fact.url),
        Cell(outcome, "known" if fact.outcome == "sent" else "open"),
        Cell(pen.time(line.when)),
        Cell("", revisions=(line.revision,)),
    )


def _first_sentence(pen: Pen, line: Line) -> str:
    names = texts(pen.plan)
    return "; ".join(sentence(fact, names) for fact in line.record.facts if not isinstance(fact, f.Announced))


# -- the records


def notes(pen: Pen) -> list[Section]:
    """What people noted, and evidence from outside, where there is any."""
    rows = []
    for each in pen.history.of(f.Noted):
        rows.append((each.at, "Note", each.fact.text, ""))
    for found in pen.history.of(f.EvidenceRecorded):
        fact = found.fact
        words = ", ".join(part for part in (f"{fact.kind}: {fact.about}", fact.outcome, fact.text) if part)
        rows.append((found.at, "Evidence", words, fact.link))
    if not rows:
        return []
    caption, shown = latest("As they came", sorted(rows, key=lambda row: row[0].revision))
    cells = tuple(
        (
            Cell(text, url=link),
            Cell(kind),
            Cell(pen.time(at.when)),
            Cell(pen.who(at)),
            pen.grounds(at),
            Cell("", revisions=(at.revision,)),
        )
        for at, kind, text, link in shown
    )
    columns = ("What", "Kind", "When", "By", "Evidence and reason", "Record")
    return [Section("Notes and evidence", (Grid(caption, columns, cells),))]


def still_open(sections: tuple[Section, ...]) -> Section:
    """Every blank that is not filled yet, with where it stands."""
    rows = tuple(
        (Cell(answer.label), Cell(" / ".join(path)), Cell(answer.value.text, answer.value.state))
        for section in sections
        for path, answer in answers_of(section)
        if answer.value.state != "known"
    )
    if not rows:
        return Section("Still open", (Paragraph("Nothing: every blank of the plan is filled."),))
    return Section("Still open", (Grid("Blanks of the plan", ("Blank", "Where", "State"), rows),))
