"""What comes before anybody has the toggles: the group, the prerequisites, who decides, and where issues go.

One rule: a prerequisite holds by the word of whoever the plan names, at the revision of that word, and not after it was
taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from events import facts as f
from events.facts import Decision
from events.plan.numbers import shown
from events.plan.schema import Criterion, Item, Plan
from projections.kpis import target
from projections.report.document import (
    ABSENT,
    NONE,
    Answer,
    Answers,
    Block,
    Bullets,
    Cell,
    Grid,
    Paragraph,
    Section,
    web_address,
)
from projections.report.history import Found
from projections.report.writing import Pen
from projections.sentences import DECISIONS

CRITERIA = (
    'What metrics-based criteria will you look at before advancing rollout to the next stage ("success criteria")?'
)
DASHBOARDS = 'Links to dashboard(s) showing "success criteria" metrics:'
VOIDING = (f.AttestationWithdrawn, f.Halted, f.DeployReported)
STEPS = {"code_deploy": "code deployment", "veteran_testing": "testing", "go_live": "go-live"}


def toggles(pen: Pen) -> Section:
    """The group that is switched together."""
    retired = {each.fact.toggle: each.at for each in pen.history.of(f.ToggleRetired)}
    items = []
    for toggle in pen.plan.toggles:
        words = f"{toggle.about} ({toggle.key})" if toggle.about else toggle.key
        gone = retired.get(toggle.key)
        items.append(Cell(f"{words}: retired", revisions=(gone.revision,)) if gone else Cell(words))
    blocks: list[Block] = [Bullets(tuple(items))] if items else [Paragraph("The plan names no toggle.")]
    if pen.plan.why_together:
        blocks.append(Paragraph(pen.plan.why_together))
    return Section("Toggles", tuple(blocks))


def prerequisites(pen: Pen) -> Section:
    """Each with who attested it, when, and in which record."""
    if not pen.plan.prerequisites:
        return Section("Prerequisites", (Paragraph("The plan names none."),))
    lead = Paragraph("All of the following are required before the toggles are on for anyone:")
    items = [attested(pen, item) for item in pen.plan.prerequisites]
    again = [attested(pen, item, anew=True) for item in pen.plan.before_release_again]
    sections = (Section("Before it is released again", (Answers(tuple(again)),)),) if again else ()
    return Section("Prerequisites", (lead, Answers(tuple(items))), sections)


def attested(pen: Pen, item: Item, *, anew: bool = False) -> Answer:
    """An item of a checklist. `anew`: said of one release, and not of the next."""
    since = pen.history.rolled_back if anew else 0
    given = [each for each in pen.history.of(f.Attested) if each.fact.item == item.id and each.at.revision > since]
    taken = [each for each in pen.history.of(f.AttestationWithdrawn) if each.fact.item == item.id]
    asked = Cell(f"by {item.attested_by or 'the release manager'}")
    if anew and not pen.history.rolled_back:
        return Answer(item.text, Cell("nothing was rolled back"), notes=(asked,))
    if not given:
        return pen.open(item.text, asked, text="not attested")
    if taken and taken[-1].at.revision > given[-1].at.revision:
        gone = taken[-1].at
        note = Cell(f"withdrawn by {pen.who(gone)}, {pen.time(gone.when)}", revisions=(gone.revision,))
        return pen.open(item.text, asked, note, *pen.why(gone), text="withdrawn")
    last = given[-1]
    words = f"Yes, attested as {last.fact.title}" if last.fact.title else "Yes, attested"
    return pen.said(item.text, words, last.at, *pen.why(last.at))


def checklist(pen: Pen, items: Iterable[Item]) -> list[Section]:
    """A step's own entry checklist, where it has one."""
    found = [attested(pen, item) for item in items]
    return [Section("Before this step", (Answers(tuple(found)),))] if found else []


def criteria(pen: Pen, names: tuple[str, ...], part: Callable[[Plan], object], gap: str) -> tuple[Block, ...]:
    """The success criteria of a step, with their limits."""
    lead = Paragraph(CRITERIA)
    blank = gap_at(pen, gap)
    if blank:
        return (lead, Answers((pen.planned("Success criteria", blank, part),)))
    if not names:
        return (lead, Answers((Answer("Success criteria", Cell(NONE)),)))
    found = [(name, pen.plan.criteria.get(name) or Criterion(name=name)) for name in dict.fromkeys(names)]
    return (lead, Answers(tuple(_criterion(pen, name, one) for name, one in found)))


def _criterion(pen: Pen, name: str, one: Criterion) -> Answer:
    words = target(one)
    text = f"should be {words}" if words and words != one.text else words or "judged by a person"
    notes = [Cell(f"{one.then} when it {word} {limit}") for word, limit in _stops(one)] if one.then else []
    if one.query or one.count:
        notes.append(Cell(f"measured by: {one.query or one.count}"))
    return pen.planned(f"Success criterion: {name}", text, lambda plan: plan.criteria.get(name), *notes)


def _stops(one: Criterion) -> Iterable[tuple[str, str]]:
    if one.stop_above is not None:
        yield "is above", shown(one.stop_above)
    if one.stop_below is not None:
        yield "is below", shown(one.stop_below)


def dashboards(
    pen: Pen, named: dict[str, str], names: tuple[str, ...], part: Callable[[Plan], object], gap: str
) -> tuple[Block, ...]:
    """Links to where the criteria are seen: those of the step, then each criterion's own."""
    lead = Paragraph(DASHBOARDS)
    blank = gap_at(pen, gap)
    if blank:
        return (lead, Answers((pen.planned("Links to dashboards", blank, part),)))
    own = {name: pen.plan.criteria[name].dashboard for name in names if name in pen.plan.criteria}
    links = {**named, **{name: link for name, link in own.items() if link}}
    if not links:
        return (lead, Answers((Answer("Links to dashboards", Cell(NONE)),)))
    items = [pen.planned(f"Dashboard: {name}", link, part, url=web_address(link)) for name, link in links.items()]
    return (lead, Answers(tuple(items)))


def gap_at(pen: Pen, path: str) -> str:
    """What the plan's author left at a path ("rollout / criteria"); "" where it is filled."""
    return next((gap.text for gap in pen.plan.gaps if gap.path == path), "")


def step_words(pen: Pen, step: str) -> str:
    """What people call a step."""
    number = int(step[6:]) if step.startswith("stage-") and step[6:].isdigit() else 0
    if 0 < number <= len(pen.plan.rollout.stages):
        stage = pen.plan.rollout.stages[number - 1]
        return f"stage {number} ({stage.title or stage.to or 'everyone'})"
    return STEPS.get(step, step)


def issues(pen: Pen) -> Block:
    """Where problems are reported."""
    routes = pen.plan.report_issues
    if not routes:
        return Answers((Answer("Issues to be reported to", Cell(ABSENT)),))
    items = []
    for n, route in enumerate(routes):
        parts = (
            ("GitHub labels", ", ".join(route.github_labels)),
            ("channel", route.channel),
            ("title", route.title),
            ("notify", route.notify),
        )
        words = "; ".join(f"{name}: {said}" for name, said in parts if said)
        label = f"Issues to be reported to, for {route.purpose}" if route.purpose else "Issues to be reported to"
        items.append(pen.planned(label, words, lambda plan, n=n: plan.report_issues[n : n + 1]))  # type: ignore[misc]
    return Answers(tuple(items))


# -- go or no-go


def go_no_go(pen: Pen) -> Section:
    """Ready or not, who said so, and on which evidence."""
    plan = pen.plan
    blocks: list[Block] = [Answers((_ready(pen), *_template(pen)))]
    if plan.go_no_go.questions:
        blocks.append(Answers(tuple(pen.answered(q.text, q.id) for q in plan.go_no_go.questions)))
    decided = pen.history.of(f.Decided)
    if decided:
        columns = ("Decision", "For", "As", "By", "When", "Evidence and reason", "Record")
        rows = tuple(_decision(pen, each) for each in decided)
        blocks.append(Grid("Every decision, oldest first", columns, rows))
    return Section("Go / No Go", tuple(blocks))


def _template(pen: Pen) -> list[Answer]:
    link = pen.plan.go_no_go.template
    return [pen.planned("Meeting template", link, lambda plan: plan.go_no_go, url=web_address(link))] if link else []


def _ready(pen: Pen) -> Answer:
    """ "Ready" once the release was let in, or while every role's latest word is go and nothing took its force."""
    label = "Go / No Go (ready / not ready)"
    now = pen.history.rolled_back
    first = next((line.revision for line in pen.history.entered.get("stage-1", []) if line.revision > now), 0)
    counted = [each for each in pen.history.of(f.Decided) if each.at.revision > now]
    if first:
        counted = [each for each in counted if each.at.revision < first]
        standing = [each for each in _latest(counted).values() if each.fact.decision == "go"]
        if standing:
            return _said(pen, label, "Ready", standing)
        if not pen.plan.go_no_go.decided_by and not counted:
            return Answer(label, Cell("Cut over without a decision: the plan asks for none"))
    latest = _latest(counted)
    against = [each for each in latest.values() if each.fact.decision != "go"]
    if against:
        return _said(pen, label, "Not ready", against)
    missing = [title for title in pen.plan.go_no_go.decided_by if title not in latest]
    void = [each.at.revision for kind in VOIDING for each in pen.history.of(kind)]
    void += [each.at.revision for each in pen.history.of(f.PlanRevised) if each.fact.touches]
    asked = {question.id for question in pen.plan.go_no_go.questions}
    void += [each.at.revision for each in pen.history.of(f.QuestionAnswered) if each.fact.question in asked]
    if latest and not missing and min(each.at.revision for each in latest.values()) > max(void, default=0):
        return _said(pen, label, "Ready", list(latest.values()))
    notes = [Cell(f"{title} has not decided") for title in missing]
    return pen.open(
        label, *notes, text="not decided yet" if not latest else "not decided by all, or no longer standing"
    )


def _latest(found: list[Found[f.Decided]]) -> dict[str, Found[f.Decided]]:
    return {each.fact.title: each for each in found}


def _said(pen: Pen, label: str, word: str, decided: list[Found[f.Decided]]) -> Answer:
    titles = " and ".join(f"{DECISIONS[each.fact.decision].lower()} by {each.fact.title}" for each in decided)
    people = ", ".join(dict.fromkeys(pen.who(each.at) for each in decided))
    revisions = tuple(dict.fromkeys(each.at.revision for each in decided))
    notes = tuple(dict.fromkeys(note for each in decided for note in pen.why(each.at)))
    return Answer(label, Cell(f"{word}: {titles}", revisions=revisions), people, pen.time(decided[-1].at.when), notes)


def _decision(pen: Pen, found: Found[f.Decided]) -> tuple[Cell, ...]:
    fact, line = found
    word: dict[Decision, str] = {"go": "Go", "no_go": "No go", "pause": "Pause", "pivot": "Pivot"}
    delegate = " (as a delegate)" if fact.delegate else ""
    return (
        Cell(word[fact.decision]),
        Cell(step_words(pen, fact.step)),
        Cell(f"{fact.title}{delegate}"),
        Cell(line.record.who.subject),
        Cell(pen.time(line.when)),
        pen.grounds(line),
        Cell("", revisions=(line.revision,)),
    )
