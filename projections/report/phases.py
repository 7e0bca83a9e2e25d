"""The phases of the plan, in the order of the template: code deployment, testing in production, the rollout's stages.

One rule: what was planned stands first, what came of it after it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from msgspec.structs import replace

from events import facts as f
from events.plan.schema import Length, Plan, Stage, Watch
from projections.report import before
from projections.report.charts import of_step
from projections.report.document import Answer, Answers, Block, Cell, Paragraph, Section
from projections.report.history import Line
from projections.report.sessions import session_results, sessions
from projections.report.writing import Pen, span

NOT_AGAIN = "before the release was rolled back; not deployed again since"

HOW_LIMITED = (
    "How will you make the product available in production while limiting the number of users who can find/access it"
)


def code_deploy(pen: Pen) -> Section:
    """Phase I."""
    plan = pen.plan
    names = tuple(dict.fromkeys((*plan.deploy.criteria, *(n for w in plan.deploy.watch for n in w.criteria))))
    planning = Section(
        "Planning",
        (
            Answers(
                (
                    pen.planned_dates("Desired date", lambda p: p.deploy.date),
                    *_deployed(pen),
                    pen.planned(HOW_LIMITED, plan.deploy.how_limited, lambda p: p.deploy.how_limited),
                )
            ),
            *before.criteria(pen, names, lambda p: (p.deploy.criteria, p.criteria), "deploy / criteria"),
            *before.dashboards(
                pen, plan.deploy.dashboards, names, lambda p: p.deploy.dashboards, "deploy / dashboards"
            ),
        ),
    )
    watches = [_watch(pen, watch, names, last=watch is plan.deploy.watch[-1]) for watch in plan.deploy.watch]
    title = plan.deploy.title or "Phase I: Code deployment"
    return Section(title, (), (planning, *before.checklist(pen, plan.deploy.before), *watches))


def _deployed(pen: Pen) -> list[Answer]:
    """Actual dates: the first deploy of each service in this try, and what came after it.

    A rollback takes no code away: without a deploy after it, what was deployed before it still is.
    """
    found, back = pen.history.of(f.DeployReported), pen.history.rolled_back
    services = dict.fromkeys((*pen.plan.deploy.services, *(each.fact.service for each in found)))
    answers = []
    for service in services:
        ever = [each for each in found if each.fact.service == service]
        of_it = [each for each in ever if each.at.revision > back] or ever[-1:]
        label = f"Actual date of {service}"
        if not of_it:
            answers.append(pen.open(label, text="not deployed yet"))
            continue
        first, later = of_it[0], of_it[1:]
        notes = [
            Cell(f"again {pen.day(each.at.when)}: version {each.fact.version}", revisions=(each.at.revision,))
            for each in later
        ]
        if first.at.revision < back:
            notes.append(Cell(NOT_AGAIN))
        else:
            notes += [
                Cell(
                    f"an earlier try: {pen.day(each.at.when)}, version {each.fact.version}",
                    revisions=(each.at.revision,),
                )
                for each in ever[: -len(of_it)]
            ]
        words = f"{pen.day(first.at.when)}, version {first.fact.version}"
        answers.append(pen.said(label, words, first.at, *pen.why(first.at), *notes))
    return answers


def _watch(pen: Pen, watch: Watch, names: tuple[str, ...], *, last: bool) -> Section:
    """One interval after the deploy. The criteria are judged over all of them together: they stand in the last."""
    lasts = f"from {span(watch.start) if watch.start else 'the deploy'} to {span(watch.until)} after it"
    planning = Section(
        "Planning",
        (
            Answers(
                (
                    pen.planned("Monitored by", ", ".join(watch.monitored_by), lambda p: p.deploy.watch),
                    Answer("Percentage of users", Cell("0% (every toggle is off)")),
                    pen.planned("Length of time", lasts, lambda p: p.deploy.watch),
                )
            ),
            before.issues(pen),
        ),
    )
    results = [pen.judged(name, "code_deploy") for name in names] if last else []
    results += [pen.recorded(question.text, "code_deploy", question.id) for question in watch.results]
    blocks: list[Block] = [Answers((_watched(pen), *results))]
    if last:
        blocks += of_step(pen, "code_deploy", names)
    title = watch.title or "Deployed to production, flags disabled"
    return Section(title, (), (planning, Section("Results", tuple(blocks))))


def _watched(pen: Pen) -> Answer:
    """How long it was watched: from everything deployed to the next step."""
    began = [each.at for each in pen.history.of(f.WatchStarted)]
    if not began:
        return pen.open("Watched for", text="not everything is deployed yet")
    watched = lasted(pen, "Watched for", began[-1], _left(pen, began[-1]))
    if began[-1].revision > pen.history.rolled_back:
        return replace(watched, notes=pen.earlier_tries(began))
    return replace(watched, notes=(Cell("before the release was rolled back"),))


def _left(pen: Pen, began: Line) -> Line | None:
    """The record that ended a step: the next phase or stage after it."""
    after = [line for lines in pen.history.entered.values() for line in lines if line.revision > began.revision]
    return min(after, default=None, key=lambda line: line.revision)


def lasted(pen: Pen, label: str, began: Line, ended: Line | None) -> Answer:
    """A span of time, with both its ends."""
    since = pen.time(began.when)
    if ended is None:
        so_far = span((pen.as_of - began.when).total_seconds())
        return Answer(label, Cell(f"{so_far} so far, since {since}", revisions=(began.revision,)))
    words = f"{span((ended.when - began.when).total_seconds())}, {pen.times(began.when, ended.when)}"
    return Answer(label, Cell(words, revisions=(began.revision, ended.revision)))


# -- testing


def testing(pen: Pen) -> Section:
    """Phase II."""
    plan = pen.plan.testing
    title = plan.title or "Phase II: Test in production with select users"
    if plan.waived:
        return Section(title, (Answers((pen.planned("Waived", plan.waived, lambda p: p.testing.waived),)),))
    planning = Section("Planning", (Answers(tuple(_testing_planned(pen))),))
    began = pen.history.entered.get("veteran_testing", [])
    current = began[-1] if began and began[-1].revision > pen.history.rolled_back else None
    begun = (
        lasted(pen, "Tested for", current, _left(pen, current))
        if current
        else pen.open("Tested for", text="not begun yet")
    )
    begun = replace(begun, notes=pen.earlier_tries(began))
    answers = [pen.judged(name, "veteran_testing") for name in plan.criteria]
    answers += [pen.recorded(question.text, "veteran_testing", question.id) for question in plan.results]
    results = Section(
        "Results", (Answers((begun, *answers)), *session_results(pen), *of_step(pen, "veteran_testing", plan.criteria))
    )
    inner = (Section("Test workflows", _workflows(pen)), Section("Sessions", sessions(pen)), results)
    tests = Section("Pre Go-Live Testing", (), inner)
    return Section(title, (), (planning, *before.checklist(pen, plan.before), tests))


def _testing_planned(pen: Pen) -> list[Answer]:
    plan = pen.plan.testing
    found = [
        pen.planned("How testers are found", plan.recruiting, lambda p: p.testing.recruiting),
    ]
    if plan.dates:
        found.append(pen.planned_dates("Desired dates", lambda p: p.testing.dates))
    if plan.access == "whole phase":
        found.append(pen.planned("Toggles on", "for each tester during the whole phase", lambda p: p.testing.access))
    else:
        on, off = plan.sessions.toggles_on, plan.sessions.toggles_off
        words = f"{span(on)} before the meeting" if on else "when the meeting begins"
        ends = f"{span(off)} after it" if off else "at its end"
        found += [
            pen.planned("Length of a session", _length(plan.sessions.length), lambda p: p.testing.sessions),
            pen.planned("Toggles on for the tester", f"{words}; off {ends}", lambda p: p.testing.sessions),
        ]
    if plan.users:
        found.append(pen.planned("Roughly how many", plan.users, lambda p: p.testing.users))
    if plan.monitored_by:
        found.append(pen.planned("Monitored by", ", ".join(plan.monitored_by), lambda p: p.testing.monitored_by))
    return found


def _length(length: Length) -> str:
    if length.at_most is None:
        return f"at least {span(length.at_least)}" if length.at_least else "not said"
    if length.at_most == length.at_least:
        return span(length.at_least)
    return (
        f"{span(length.at_least)} to {span(length.at_most)}" if length.at_least else f"at most {span(length.at_most)}"
    )


def _workflows(pen: Pen) -> tuple[Block, ...]:
    """How often each was done, and in which records."""
    if not pen.plan.testing.workflows:
        return (Paragraph("The plan lists none."),)
    since = pen.history.starts("veteran_testing")
    last = {each.fact.session: each for each in pen.history.of(f.SessionRecorded) if each.at.revision >= since}
    held = [each for each in last.values() if each.fact.held]
    done: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    records: dict[str, list[int]] = {}
    for each in held:
        for result in each.fact.workflows:
            tried[result.workflow] += 1
            done[result.workflow] += result.done
            records.setdefault(result.workflow, []).append(each.at.revision)
    answers = []
    for name in pen.plan.testing.workflows:
        if not tried[name]:
            answers.append(pen.open(name, text="not tried yet"))
            continue
        words = f"done in {done[name]} of the {tried[name]} sessions that tried it" if tried[name] > 1 else ""
        words = words or ("done in the session that tried it" if done[name] else "failed in the session that tried it")
        answers.append(Answer(name, Cell(words, revisions=tuple(records[name]))))
    return (Answers(tuple(answers)),)


# -- the rollout


def rollout(pen: Pen) -> Section:
    """Phase III, and each of its stages."""
    plan = pen.plan.rollout
    every = tuple(dict.fromkeys((*plan.criteria, *(name for stage in plan.stages for name in stage.criteria))))
    planning = Section(
        "Planning",
        (
            Answers(
                (
                    pen.planned_dates("Desired date range", lambda p: p.rollout.dates),
                    _cut_over(pen),
                    pen.planned(HOW_LIMITED, plan.how_limited, lambda p: p.rollout.how_limited),
                )
            ),
            *before.criteria(pen, every, lambda p: (p.rollout.criteria, p.criteria), "rollout / criteria"),
            *before.dashboards(pen, plan.dashboards, every, lambda p: p.rollout.dashboards, "rollout / dashboards"),
        ),
    )
    stages = [_stage(pen, n, stage) for n, stage in enumerate(plan.stages, 1)]
    title = plan.title or "Phase III: Go-Live in production"
    return Section(title, (), (planning, *before.checklist(pen, plan.before), *stages))


def _cut_over(pen: Pen) -> Answer:
    """When the first stage was entered, in this try."""
    return _entered(pen, "Actual date", "stage-1", "not cut over yet")


def _entered(pen: Pen, label: str, step: str, otherwise: str) -> Answer:
    ever = pen.history.entered.get(step, [])
    found, notes = [line for line in ever if line.revision > pen.history.rolled_back], pen.earlier_tries(ever)
    if not found:
        return pen.open(label, *notes, text=otherwise)
    return pen.said(label, pen.time(found[0].when), found[0], *notes, *pen.why(found[0]))


def _stage(pen: Pen, number: int, stage: Stage) -> Section:
    step = f"stage-{number}"
    names = tuple(dict.fromkeys((*pen.plan.rollout.criteria, *stage.criteria)))

    def mine(plan: Plan) -> object:
        return plan.rollout.stages[number - 1 : number]

    planned = [pen.planned("Who has the toggles on", stage.to or "everyone", mine)]
    if stage.dates:
        planned.append(pen.planned("Desired date", stage.dates.text, mine))
    length = stage.length if stage.length is not None else pen.plan.rollout.length
    if length.at_least or length.at_most:
        planned.append(pen.planned("Length of time", _length(length), lambda p: (mine(p), p.rollout.length)))
    if stage.users:
        planned.append(pen.planned("Roughly how many users", stage.users, mine))
    if stage.how_limited:
        planned.append(pen.planned(HOW_LIMITED, stage.how_limited, mine))
    questions = (*pen.plan.rollout.results, *stage.results)
    results = [_entered(pen, "Entered", step, "not entered yet"), *_stage_lasted(pen, step)]
    results += [pen.judged(name, step) for name in names]
    results += [pen.recorded(question.text, step, question.id) for question in questions]
    title = f"Stage {number}: {stage.title or stage.to or 'everyone'}"
    inner = (
        Section("Planning", (Answers(tuple(planned)),)),
        *before.checklist(pen, stage.before),
        Section("Results", (Answers(tuple(results)), *of_step(pen, step, names))),
    )
    return Section(title, (), inner)


def _stage_lasted(pen: Pen, step: str) -> list[Answer]:
    found = [line for line in pen.history.entered.get(step, []) if line.revision > pen.history.rolled_back]
    return [lasted(pen, "Lasted", found[-1], _left(pen, found[-1]))] if found else []


def days_between(planned: str, actual: datetime, pen: Pen) -> int:
    """Local days from a planned day ("2022-07-29") to an actual time; negative: it was earlier."""
    return (datetime.fromisoformat(pen.day(actual)) - datetime.fromisoformat(planned)).days
