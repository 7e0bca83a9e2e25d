"""What was found out: results, verdicts, and the small things that only the log needs to know.

One rule: a value is held against the plan's limit here and nowhere else; whoever records it does not judge it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from events import facts as f
from events.facts import Fact
from events.plan.measuring import measured
from events.plan.schema import Criterion
from services.rollout import commands as c
from services.rollout import criteria, measuring, steps
from services.rollout.asked import Asked
from services.rollout.attesting import answer_value, find_question, only
from services.rollout.criteria import Judged
from services.rollout.moving import rollback_facts
from services.rollout.refusals import refuse
from services.rollout.snapshots import revised
from services.rollout.state import Rollout


def record_verdict(asked: Asked, command: c.RecordVerdict) -> tuple[Fact, ...]:
    """The verdict, and what the plan calls for on a breach (halt or roll back), in one record."""
    rollout = asked.rollout
    step = _criteria_step(rollout, command.step)
    criterion = next((k for k in steps.criteria(rollout.plan, step) if k.name == command.criterion), None)
    if criterion is None:
        known = ", ".join(k.name for k in steps.criteria(rollout.plan, step)) or "none"
        raise refuse(f"{command.criterion!r} is no criterion of {steps.title_of(rollout.plan, step)}; it has: {known}")
    if command.measurement is not None:
        fact = measuring.of_monitor(asked, criterion, step, command.measurement)
        return (fact, *_consequence(rollout, criterion, Judged(fact.verdict, fact.band, fact.why, fact.value)))
    _by_whom_the_plan_names(asked, criterion.judged_by, f"{criterion.name!r} is judged by")
    judged = _judged(criterion, command)
    since = rollout.step_since if step == steps.current_step(rollout) and rollout.step_since else rollout.entered_at
    consequence = _consequence(rollout, criterion, judged)
    if not consequence and _no_news(asked, step, criterion.name, judged):
        return ()
    fact = f.VerdictRecorded(
        criterion.name,
        step,
        judged.verdict,
        judged.band,
        judged.why,
        since,
        asked.now,
        judged.value,
        asked.by.role == "monitor" and bool(measured(criterion)),
    )
    return (fact, *consequence)


def _by_whom_the_plan_names(asked: Asked, title: str, what: str) -> None:
    """Where the plan names who judges or records something, nobody else does, but the monitor that measures it."""
    if asked.by.role != "monitor":
        only(asked, title, what)


def _no_news(asked: Asked, step: str, name: str, judged: Judged) -> bool:
    """The same verdict again, which serves no guard any better and takes no go: the log keeps changes."""
    rollout = asked.rollout
    known = rollout.verdicts.get(f"{step}/{name}")
    if known is None or known.ordinal < rollout.step_ordinal:
        return False
    if (known.verdict, known.band, known.why, known.value) != judged:
        return False
    over = steps.length_over_at(rollout)
    full_time = over is not None and known.until < over <= asked.now
    return not full_time and not (judged.verdict == "fail" and rollout.any_go)


def _criteria_step(rollout: Rollout, written: str) -> str:
    step = steps.find_step(rollout.plan, written) if written else steps.current_step(rollout)
    if not step:
        raise refuse(f"no criterion is judged in phase {rollout.phase}" if not written else f"no step {written!r}")
    if step != steps.current_step(rollout):
        here = steps.current_step(rollout) or rollout.phase
        raise refuse(f"criteria are judged for the current step, {here}; found {step}")
    return step


def _judged(criterion: Criterion, command: c.RecordVerdict) -> Judged:
    """By the value where there is a limit; by the person's word where there is none."""
    if command.value:
        try:
            judged = criteria.judge_words(criterion, command.value)
        except ValueError as error:
            raise refuse(str(error), code="invalid") from None
        if command.verdict is not None and command.verdict != judged.verdict:
            raise refuse(
                f"{criterion.name!r}: {command.value} means {judged.verdict} ({judged.why}), not {command.verdict}"
            )
        return judged
    if command.verdict is None:
        needed = "a value" if criteria.has_limit(criterion) or criterion.expect else "a verdict (pass or fail)"
        raise refuse(f"{criterion.name!r} needs {needed}", code="invalid")
    if criteria.has_limit(criterion) and command.verdict in ("pass", "fail"):
        raise refuse(f"{criterion.name!r} has a limit ({criteria.target(criterion)}): record its value", code="invalid")
    return Judged(command.verdict, "", command.reason or "a person's judgement")


def _consequence(rollout: Rollout, criterion: Criterion, judged: Judged) -> tuple[Fact, ...]:
    """Only `fail` from good data, only what the plan chose, never for a dry-run criterion."""
    if judged.verdict != "fail" or criterion.dry_run or not criterion.then:
        return ()
    if criterion.then == "roll back" and rollout.exposed:
        return rollback_facts(rollout)
    return () if rollout.halted else (f.Halted(f"{criterion.name!r} failed: {judged.why}"),)


def record_result(asked: Asked, command: c.RecordResult) -> tuple[Fact, ...]:
    """A result of the current step, or of a set of results after the release."""
    rollout, plan = asked.rollout, asked.rollout.plan
    step = _result_step(asked, command)
    kpi = next(
        (k for k in plan.go_live.kpis if step in steps.result_sets(plan) and k.name == command.item.strip()), None
    )
    if kpi is not None:
        _by_whom_the_plan_names(asked, kpi.judged_by, f"{kpi.name!r} is recorded by")
        return _new_result(asked, f.ResultRecorded(step, kpi.name, *_kpi_value(kpi, command.value)), kpi.name)
    question = find_question(steps.questions(plan, step), command.item)
    if question is None:
        raise refuse(
            f"{command.item!r} is no result of {steps.title_of(plan, step)}; it has: {_results(rollout, step)}"
        )
    _by_whom_the_plan_names(asked, question.answered_by, f"{question.text!r} is recorded by")
    value, note = answer_value(question, command.value)
    return _new_result(asked, f.ResultRecorded(step, question.id, value, note), question.text)


def _kpi_value(kpi: Criterion, value: str) -> tuple[str, str, f.Verdict | None]:
    """A KPI's value, no note, and its verdict where it has a limit (it never blocks)."""
    if not value.strip():
        raise refuse(f"{kpi.name!r}: expected a value, found nothing", code="invalid")
    try:
        verdict = criteria.judge_words(kpi, value).verdict if criteria.has_limit(kpi) else None
    except ValueError as error:
        raise refuse(str(error), code="invalid") from None
    return value.strip(), "", verdict


def _new_result(asked: Asked, fact: f.ResultRecorded, text: str) -> tuple[Fact, ...]:
    """The result, unless it is known already; and where it comes after its snapshot, a marked revision of that."""
    rollout = asked.rollout
    known = rollout.results.get(f"{fact.step}/{fact.item}")
    current = known is not None and known.ordinal >= steps.began(rollout, fact.step)
    if current and known and (known.value, known.note) == (fact.value, fact.note):
        return ()
    return (fact, *revised(rollout, fact, text))


def _results(rollout: Rollout, step: str) -> str:
    names = [q.id for q in steps.questions(rollout.plan, step)]
    if step in steps.result_sets(rollout.plan):
        names += [k.name for k in rollout.plan.go_live.kpis]
    return ", ".join(names) or "none"


def _result_step(asked: Asked, command: c.RecordResult) -> str:
    """The step asked for; else the current one; after the release the first set that is due and lacks this item."""
    rollout, plan = asked.rollout, asked.rollout.plan
    sets = steps.result_sets(plan)
    if command.step in sets:
        if rollout.released_at is None:
            raise refuse(f"nothing is released to everyone yet: there are no {command.step} results")
        return command.step
    if command.step:
        step = steps.find_step(plan, command.step)
        if not step:
            known = ", ".join((*steps.steps(plan), *sets))
            raise refuse(f"{command.step!r} is no step of the plan; it has: {known}", code="invalid")
        return step
    here = steps.current_step(rollout)
    if here and here != "go_live":
        return here
    due = _sets_due(rollout, asked.now)
    if not due:
        raise refuse(f"no results are due in phase {rollout.phase}: name the step they are of")
    return next((text for text in due if not _has(rollout, text, command.item)), due[-1])


def _sets_due(rollout: Rollout, now: datetime) -> list[str]:
    if rollout.released_at is None:
        return []
    passed = now - rollout.released_at
    return [text for text, s in steps.result_sets(rollout.plan).items() if passed >= timedelta(seconds=s)]


def _has(rollout: Rollout, step: str, item: str) -> bool:
    question = find_question(steps.questions(rollout.plan, step), item)
    found = rollout.results.get(f"{step}/{question.id if question else item.strip()}")
    return found is not None and found.ordinal >= rollout.released_ordinal


def retire_toggle(asked: Asked, command: c.RetireToggle) -> tuple[Fact, ...]:
    """After close: the toggle's code is gone, and so is its answer."""
    rollout = asked.rollout
    if command.toggle in rollout.retired:
        return ()
    known = [t.key for t in rollout.plan.toggles]
    if command.toggle not in known:
        raise refuse(f"{command.toggle!r} is no toggle of the plan; it has: {', '.join(known) or 'none'}")
    if rollout.phase != "closed":
        raise refuse(f"a toggle is retired once the rollout is closed; it is in {rollout.phase}")
    return (f.ToggleRetired(command.toggle),)


def record_evidence(asked: Asked, command: c.RecordEvidence) -> tuple[Fact, ...]:
    """What somebody may rest a decision on; the same again is nothing new."""
    if not command.kind.strip() or not command.about.strip():
        raise refuse("evidence needs a kind and what it is about", code="invalid")
    fact = f.EvidenceRecorded(
        command.kind, command.about, command.source, command.outcome, command.text, command.link, command.chain
    )
    return () if fact in asked.rollout.evidence else (fact,)


def note(asked: Asked, command: c.AddNote) -> tuple[Fact, ...]:
    if not command.text.strip():
        raise refuse("a note needs a text", code="invalid")
    return (f.Noted(command.text),)


def remind(asked: Asked, command: c.Remind) -> tuple[Fact, ...]:
    """What the clock has to say, once."""
    return () if command.about in asked.rollout.reminded else (f.Reminded(command.about, command.text),)
