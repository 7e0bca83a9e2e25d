"""One sentence a fact, as an auditor reads it.

One rule: a sentence says what the fact says and nothing more; who, when and why stand beside it in the trail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import assert_never

from events.exposed import exposure_words
from events.facts import (
    Announced,
    AttestationWithdrawn,
    Attested,
    Decided,
    DeployReported,
    EvidenceRecorded,
    Exposure,
    ExposureSet,
    Fact,
    Halted,
    IssueReported,
    Noted,
    PhaseEntered,
    PlanAdopted,
    PlanRevised,
    QuestionAnswered,
    Reminded,
    ResultRecorded,
    Resumed,
    SessionCancelled,
    SessionMoved,
    SessionRecorded,
    SessionScheduled,
    SnapshotTaken,
    StageEntered,
    ToggleRetired,
    VerdictRecorded,
    WatchStarted,
    WindowClosed,
    WindowOpened,
    WorkflowWaived,
)
from events.plan.numbers import shown
from events.plan.schema import GoLive, Item, Plan, Question, RolloutPlan, Stage, Testing

PHASES = {
    "planned": "planned",
    "code_deploy": "code deploy",
    "veteran_testing": "testing in production",
    "cutover": "cutover",
    "go_live": "go-live",
    "closed": "closed",
    "rolled_back": "rolled back",
    "cancelled": "cancelled",
}
SEALED = "enc:"  # text about a tester, as the vault seals it
DECISIONS = {"go": "Go", "no_go": "No-go", "pause": "Pause", "pivot": "Pivot"}


def texts(plan: Plan) -> dict[str, str]:
    """What the plan's items and questions say, by their ids."""
    return {part.id: part.text for part in _parts(plan) if part.id}


def _parts(plan: Plan) -> Iterator[Item | Question]:
    yield from plan.prerequisites
    yield from plan.before_release_again
    yield from plan.post_launch_questions
    yield from plan.go_no_go.questions
    yield from plan.deploy.before
    for watch in plan.deploy.watch:
        yield from watch.results
    steps: tuple[Testing | RolloutPlan | GoLive | Stage, ...] = (plan.testing, plan.rollout, plan.go_live)
    for step in (*steps, *plan.rollout.stages):
        yield from step.before
        yield from step.results


def sentence(fact: Fact, names: Mapping[str, str]) -> str:
    """What happened, in one sentence. `names` gives the text of an item or question by its id (see `texts`)."""
    match fact:
        case Noted(text=text):  # the most frequent go first: a case costs as much as the rest of the work
            return f"Note: {text}"
        case VerdictRecorded(criterion=criterion, step=step, verdict=verdict, value=value, why=why):
            found = f" at {shown(value)}" if value else ""
            return f"{criterion} for {step}: {verdict}{found}{_because(why)}"
        case EvidenceRecorded():
            return _evidence(fact)
        case PlanAdopted(plan=plan):
            return f"The plan '{plan.title}' is adopted, with {_count(len(plan.toggles), 'toggle')}"
        case PlanRevised(changed=changed):
            return f"The plan is revised: {', '.join(changed) or 'nothing that is named'}"
        case PhaseEntered(phase=phase):
            return f"Phase entered: {PHASES[phase]}"
        case StageEntered(stage=stage, title=title):
            return f"Stage {stage} entered{_of(title)}"
        case ExposureSet(exposure=exposure):
            return _exposed(exposure)
        case Halted(because=because):
            return f"Halted: no promotion and no new window{_because(because)}"
        case Resumed():
            return "Resumed"
        case DeployReported(service=service, environment=environment, version=version):
            return f"{service} {version} is deployed in {environment}"
        case WatchStarted():
            return "Everything is deployed; the watch begins"
        case Attested(item=item, title=title):
            return f"Attested{_as(title)}: {names.get(item, item)}"
        case AttestationWithdrawn(item=item):
            return f"Attestation withdrawn: {names.get(item, item)}"
        case Decided(decision=decision, step=step, title=title, delegate=delegate):
            return f"{DECISIONS[decision]} for {step}{_as(title)}{', by a delegate' if delegate else ''}"
        case QuestionAnswered(question=question, answer=answer):
            return f"{names.get(question, question)} Answer: {answer}"
        case ResultRecorded(step=step, item=item, value=value, verdict=verdict):
            return f"Result of {step}: {names.get(item, item)} = {value}{_judged(verdict)}"
        case IssueReported(text=text):
            return f"Issue reported: {text}"
        case Announced():
            return _announced(fact)
        case SnapshotTaken(of=of, entries=entries, revises=0):
            known = sum(entry.value != "" for entry in entries)
            return f"Snapshot of {of} with {known} of {_count(len(entries), 'value')}"
        case SnapshotTaken(of=of, revises=revises, because=because):
            return f"Revision {revises} of the snapshot of {of}{_because(because)}"
        case Reminded(text=text):
            return f"Due: {text}"
        case ToggleRetired(toggle=toggle):
            return f"Toggle {toggle} is retired: its code is gone"
    return _of_session(fact)


def _of_session(
    fact: SessionScheduled
    | SessionMoved
    | SessionCancelled
    | WindowOpened
    | WindowClosed
    | SessionRecorded
    | WorkflowWaived,
) -> str:
    match fact:
        case SessionScheduled(session=session, tester=tester, opens=opens, closes=closes):
            return f"Session {session} scheduled with tester {tester}: the group is on {_span(opens, closes)}"
        case SessionMoved(session=session, opens=opens, closes=closes):
            return f"Session {session} moved: the group is on for its tester {_span(opens, closes)}"
        case SessionCancelled(session=session, because=because):
            return f"Session {session} cancelled{_because(because if not because.startswith(SEALED) else '')}"
        case WindowOpened(session=session):
            return f"The window of session {session} is open"
        case WindowClosed(session=session):
            return f"The window of session {session} is closed"
        case SessionRecorded(session=session, held=held, workflows=workflows):
            if not held:
                return f"Session {session}: the tester did not come"
            done = sum(workflow.done for workflow in workflows)
            return f"Session {session} held: {done} of {_count(len(workflows), 'workflow')} done"
        case WorkflowWaived(session=session, workflow=workflow):
            return f"The failure of '{workflow}' in session {session} is waived"
    assert_never(fact)


def _announced(fact: Announced) -> str:
    """Where it stands, or why it stands nowhere, with the text that somebody may paste there."""
    revision = fact.cause.split("/")[1] if fact.cause.count("/") == 3 else fact.cause
    where = {"github": "GitHub", "slack": "Slack"}[fact.channel]
    if fact.outcome == "sent":
        return f"Revision {revision} was told to {where}{f': {fact.url}' if fact.url else ''}"
    text = f". To paste there:\n{fact.text}" if fact.text else ""
    return f"Revision {revision} was not told to {where}{_because(fact.why)}{text}"


def _evidence(fact: EvidenceRecorded) -> str:
    """ "Evidence (tests): login-suite: success, 42 passed"."""
    rest = ", ".join(part for part in (fact.outcome, fact.text) if part)
    return f"Evidence ({fact.kind}): {fact.about}{f': {rest}' if rest else ''}"


def _exposed(exposure: Exposure) -> str:
    match exposure.to:
        case "nobody":
            return "The whole toggle group is off for everyone"
        case "everyone":
            return "The whole toggle group is on for everyone"
        case "testers":
            return "The whole toggle group is on for testers, inside their windows"
    return f"The whole toggle group is on for {exposure_words(exposure)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _of(title: str) -> str:
    return f": {title}" if title else ""


def _as(title: str) -> str:
    return f" as {title}" if title else ""


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def _judged(verdict: str | None) -> str:
    return f" ({verdict})" if verdict else ""


def _span(opens: datetime, closes: datetime | None) -> str:
    end = closes.strftime("%Y-%m-%d %H:%M UTC") if closes else "testing ends"
    return f"from {opens.strftime('%Y-%m-%d %H:%M')} UTC until {end}"
