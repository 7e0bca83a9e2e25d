"""Go-live and what became of it: dates, KPIs, the results after a week and a month, the post-launch questions.

One rule: a KPI's actual value stands beside the target that the plan set before the launch.
"""

from __future__ import annotations

from events import facts as f
from events.plan.defaults import RESULTS
from events.plan.gaps import placeholder
from events.plan.schema import After, Criterion, Plan
from projections.kpis import target
from projections.report import before
from projections.report.charts import of_kpis
from projections.report.document import NONE, Answer, Answers, Block, Cell, Section
from projections.report.writing import UNFILLED, Pen


def go_live(pen: Pen) -> Section:
    """Planning, go or no-go, and every set of results."""
    plan = pen.plan.go_live
    dates = [pen.planned_dates("Desired date", lambda p: p.go_live.date), _live(pen), _released(pen)]
    if plan.monitored_by:
        dates.append(pen.planned("Monitored by", ", ".join(plan.monitored_by), lambda p: p.go_live.monitored_by))
    blocks: list[Block] = [Answers((*dates, *_kpis(pen)))]
    if plan.criteria:
        blocks.extend(before.criteria(pen, plan.criteria, lambda p: (p.go_live.criteria, p.criteria), ""))
        blocks.append(Answers(tuple(pen.judged(name, "go_live") for name in plan.criteria)))
    results = [_results(pen, after) for after in plan.results_after]
    charts = of_kpis(pen)
    over_time = (Section("KPIs over time", charts),) if charts else ()
    planning = Section("Planning", tuple(blocks), (before.go_no_go(pen),))
    return Section(
        plan.title or "Go Live!", (), (planning, *before.checklist(pen, plan.before), *results, *over_time, *_end(pen))
    )


def _live(pen: Pen) -> Answer:
    ever = pen.history.entered.get("go_live", [])
    found, before_it = [line for line in ever if line.revision > pen.history.rolled_back], pen.earlier_tries(ever)
    if not found:
        return pen.open("Actual date", *before_it, text="not live yet")
    return pen.said("Actual date", pen.time(found[-1].when), found[-1], *before_it, *pen.why(found[-1]))


def _released(pen: Pen) -> Answer:
    """From here the results' time counts."""
    label = "On for everyone since"
    before_it = pen.earlier_tries(
        each.at for each in pen.history.of(f.ExposureSet) if each.fact.exposure.to == "everyone"
    )
    if pen.history.released is None:
        return pen.open(label, *before_it, text="not on for everyone yet")
    return pen.said(label, pen.time(pen.history.released.when), pen.history.released, *before_it)


def _kpis(pen: Pen) -> list[Answer]:
    found = [_kpi(pen, n, kpi) for n, kpi in enumerate(pen.plan.go_live.kpis, 1)]
    return found or [Answer("Post-launch KPIs", Cell(NONE))]


def _kpi(pen: Pen, number: int, kpi: Criterion) -> Answer:
    label = f"Post-launch KPI {number}"
    name = kpi.name or kpi.text
    if gap := _gap(kpi):
        return Answer(label, Cell(f"{UNFILLED} (the plan says: {gap})", "open"))
    limit = target(kpi)
    notes = [Cell(f"should be {limit}")] if limit and limit != name else []
    notes += [Cell(f"before the launch: {kpi.before}")] if kpi.before else []

    def mine(plan: Plan) -> object:
        return plan.go_live.kpis[number - 1 : number]

    return pen.planned(label, name, mine, *notes)


def _gap(kpi: Criterion) -> str:
    """The blank that stands in the place of a KPI, "" if it is one."""
    return next((text for text in (kpi.text, kpi.name) if placeholder(text) == "whole"), "")


def _results(pen: Pen, after: After) -> Section:
    """One set: the template's first question, the KPIs' actual values, and the other questions."""
    questions = [pen.recorded(q.text, after.text, q.id) for q in pen.plan.go_live.results]
    first = 1 if questions and pen.plan.go_live.results[0].text == RESULTS[0] else 0
    kpis = [_actual(pen, after, n, kpi) for n, kpi in enumerate(pen.plan.go_live.kpis, 1)]
    items = (_due(pen, after), *questions[:first], *kpis, *questions[first:])
    return Section(f"{after.text} results", (Answers(items),))


def _actual(pen: Pen, after: After, number: int, kpi: Criterion) -> Answer:
    label = f"Post-launch KPI {number} actual"
    if _gap(kpi):
        return pen.open(label, Cell("the plan does not say what is measured"))
    limit = target(kpi)
    notes = [Cell(kpi.name or kpi.text)] + ([Cell(f"should be {limit}")] if limit and limit != kpi.name else [])
    notes += [Cell(f"before the launch: {kpi.before}")] if kpi.before else []
    return pen.recorded(label, after.text, kpi.name, *notes)


def _due(pen: Pen, after: After) -> Answer:
    """When this set is due, and that its snapshot was taken."""
    due = pen.due(after.text)
    if due is None:
        return Answer("Due", Cell(f"{after.text} after the toggles are on for everyone"))
    since = pen.history.starts(after.text)
    taken = [
        each
        for each in pen.history.of(f.SnapshotTaken)
        if each.fact.of == after.text and each.at.revision >= since and not each.fact.revises
    ]
    if not taken:
        return Answer("Due", Cell(pen.time(due)))
    line = taken[-1].at
    note = Cell(f"what was known by then was kept {pen.time(line.when)}", revisions=(line.revision,))
    return Answer("Due", Cell(pen.time(due)), notes=(note,))


def _end(pen: Pen) -> list[Section]:
    """How the rollout was closed."""
    found = pen.history.entered.get("closed", []) + pen.history.entered.get("cancelled", [])
    if not found or pen.history.phase not in ("closed", "cancelled"):
        return []
    line = found[-1]
    kept = "kept on" if pen.history.exposure.to == "everyone" else "removed"
    words = "cancelled" if pen.history.phase == "cancelled" else f"closed, the toggles are {kept}"
    return [Section("The end", (Answers((pen.said("The rollout is", words, line, *pen.why(line)),)),))]


def questions(pen: Pen) -> Section:
    """Numbered, as in the template."""
    asked = pen.plan.post_launch_questions
    if not asked:
        return Section("Post-launch Questions", (Answers((Answer("Questions", Cell(NONE)),)),))
    items = tuple(pen.answered(question.text, question.id) for question in asked)
    return Section("Post-launch Questions", (Answers(items, numbered=True),))
