"""Rollout: everything the log says of one rollout, and `evolve`, which adds one fact.

One rule: `evolve` never refuses and has no side effect; what may happen is decided in `decider.py`. The state can be
rebuilt from the log at any time, so its fields may change freely (a rebuild follows); the facts' may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple, assert_never

from msgspec import Struct
from msgspec.structs import replace

from events import facts as f
from events.facts import NOBODY, Actor, Band, Decision, Exposure, Fact, Phase, Record, UtcTime, Verdict, WorkflowResult
from events.plan.schema import Plan, Quantity
from services.rollout.exposure import raises

MOST_EVIDENCE = 100
ACTIVE: tuple[Phase, ...] = ("code_deploy", "veteran_testing", "cutover", "go_live")


class Deployed(Struct, frozen=True, omit_defaults=True):
    """The version of a service that was reported last."""

    version: str
    ordinal: int
    when: UtcTime


class Attestation(Struct, frozen=True, omit_defaults=True):
    """Who attested an item, under which title, in which record."""

    title: str
    subject: str
    ordinal: int


class Choice(Struct, frozen=True, omit_defaults=True):
    """A role's latest decision about a step. `voided`: what has happened since that took its force ("" : nothing)."""

    decision: Decision
    step: str
    title: str
    subject: str
    ordinal: int
    when: UtcTime
    expires: UtcTime | None = None
    voided: str = ""
    rests_on: int = 0


class Session(Struct, frozen=True, omit_defaults=True):
    """A tester's meeting and its window [opens, closes). `tester` is the vault's reference."""

    id: str
    tester: str
    starts: UtcTime
    ends: UtcTime | None
    opens: UtcTime
    closes: UtcTime | None
    ordinal: int
    window: Literal["ahead", "open", "closed"] = "ahead"
    outcome: Literal["", "held", "no_show", "cancelled"] = ""
    workflows: tuple[WorkflowResult, ...] = ()
    comments: str = ""


class Judgement(Struct, frozen=True, omit_defaults=True):
    """The latest verdict on a criterion in a step."""

    verdict: Verdict
    band: Band
    why: str
    since: UtcTime
    until: UtcTime
    ordinal: int
    value: Quantity | None = None
    began: int = 0  # the record since which measuring has given this verdict and band
    measured: bool = False


class Halt(Struct, frozen=True, omit_defaults=True):
    """A span [since, until) in which the rollout was halted; until None: it still is."""

    since: UtcTime
    until: UtcTime | None = None


class Frozen(Struct, frozen=True, omit_defaults=True):
    """A snapshot as it stands: its lines, its span, and how often it was revised."""

    entries: tuple[f.SnapshotEntry, ...]
    since: UtcTime | None = None
    until: UtcTime | None = None
    revises: int = 0


class Result(Struct, frozen=True, omit_defaults=True):
    """A recorded result or answer."""

    value: str
    ordinal: int
    revision: int
    note: str = ""
    verdict: Verdict | None = None
    subject: str = ""
    measured: bool = False


class Told(Struct, frozen=True, omit_defaults=True):
    """What became of telling people of one cause by one channel."""

    outcome: Literal["sent", "not sent"]
    url: str = ""


class Rollout(Struct, frozen=True, omit_defaults=True):
    """One plan being carried out. Times are UTC; `halted_for` is seconds; dictionaries keep the order of the log.

    `step_since` is when the current step's length began to count (None in code_deploy until every service has
    reported); `step_ordinal` is the record that began it. Results and verdicts are keyed "step/item".
    """

    id: str
    plan: Plan
    when: UtcTime
    entered_at: UtcTime
    phase: Phase = "planned"
    default_approvers: tuple[str, ...] = ()
    plan_revision: int = 0
    authors: tuple[str, ...] = ()  # the subjects who adopted and revised the plan: what is automatic is their move
    revision: int = 0
    ordinal: int = 0
    basis: int = 0  # the last revision that changed what promotions and decisions rest on
    stage: int = 0
    step_since: UtcTime | None = None
    step_ordinal: int = 0
    phase_ordinal: int = 0
    exposure: Exposure = NOBODY
    halted: bool = False
    halted_because: str = ""
    halted_since: UtcTime | None = None
    halted_for: float = 0.0
    halts: tuple[Halt, ...] = ()  # all there were, the current one last
    rolled_back_ordinal: int = 0
    deployed_since_rollback: bool = False
    failed: Exposure = NOBODY  # what was last taken from users: without a new deploy no more than this again
    went_back: int = 0  # the stage that was left for an earlier one, and who had the group on in it:
    left: Exposure = NOBODY  # until both are reached again, each step needs a new go
    released_at: UtcTime | None = None  # the first 100%
    released_ordinal: int = 0
    deploys: dict[str, Deployed] = {}
    attested: dict[str, Attestation] = {}
    withdrawn: dict[str, int] = {}
    choices: dict[str, Choice] = {}
    sessions: dict[str, Session] = {}
    verdicts: dict[str, Judgement] = {}
    results: dict[str, Result] = {}
    answers: dict[str, Result] = {}
    snapshots: dict[str, int] = {}  # of -> ordinal
    frozen: dict[str, Frozen] = {}  # of -> the snapshot taken last
    evidence: tuple[f.EvidenceRecorded, ...] = ()  # the latest of each kind and subject, at most 100
    reminded: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    announced: dict[str, Told] = {}  # by "cause channel"

    @property
    def active(self) -> bool:
        """Whether the rollout is under way: code_deploy to go_live."""
        return self.phase in ACTIVE

    @property
    def any_go(self) -> bool:
        """Whether any role's go has force still."""
        return any(choice.decision == "go" and not choice.voided for choice in self.choices.values())

    @property
    def failed_in_stage(self) -> bool:
        """Whether users had the group on when it was taken from them, not testers alone."""
        return self.failed.to not in ("nobody", "testers")

    @property
    def exposed(self) -> bool:
        """Whether anybody has, or at a window may have, the group on."""
        return self.exposure.to != "nobody"


class Stamp(NamedTuple):
    """What stands on the record rather than in the fact."""

    revision: int
    ordinal: int
    when: datetime
    who: Actor


# Facts after which what people looked at is no longer what their next promotion or decision would rest on.
_INERT = frozenset(
    (
        *(f.EvidenceRecorded, f.Noted, f.Reminded, f.Decided, f.WindowOpened, f.WindowClosed, f.ToggleRetired),
        *(f.Attested, f.IssueReported, f.Announced),
    )
)


def apply(rollout: Rollout | None, record: Record, revision: int) -> Rollout:
    """Fold one record; None stands for a rollout that does not exist yet."""
    stamp = Stamp(revision, record.ordinal, record.when, record.who)
    state = rollout
    basis = 0 if state is None else state.basis
    for fact in record.facts:
        state = _adopted(record.rollout, fact, stamp) if state is None else evolve(state, fact, stamp)
        if type(fact) not in _INERT:
            basis = revision
    if state is None:
        raise ValueError(f"record {revision} of {record.rollout!r} has no facts")
    return replace(state, revision=revision, ordinal=record.ordinal, when=record.when, basis=basis)


def fold(history: Iterable[tuple[int, Record]]) -> Rollout | None:
    """The state after a history of (revision, record), oldest first."""
    state: Rollout | None = None
    for revision, record in history:
        state = apply(state, record, revision)
    return state


def _adopted(rollout: str, fact: Fact, stamp: Stamp) -> Rollout:
    if not isinstance(fact, f.PlanAdopted):
        raise ValueError(f"the first fact of {rollout!r} must be plan_adopted, found {type(fact).__name__}")
    return Rollout(
        id=rollout,
        plan=fact.plan,
        when=stamp.when,
        entered_at=stamp.when,
        default_approvers=fact.default_approvers,
        plan_revision=stamp.revision,
        authors=(stamp.who.subject,),
        phase_ordinal=stamp.ordinal,
    )


def evolve(rollout: Rollout, fact: Fact, at: Stamp) -> Rollout:
    """The rollout after one more fact of the record stamped `at`."""
    match fact:
        case f.Noted() | f.IssueReported():
            return rollout
        case f.EvidenceRecorded():
            others = (
                e for e in rollout.evidence if (e.kind, e.source, e.about) != (fact.kind, fact.source, fact.about)
            )
            return replace(rollout, evidence=(*others, fact)[-MOST_EVIDENCE:])
        case f.VerdictRecorded():
            return _judged(rollout, fact, at)
        case f.WindowOpened(session=name):
            return _window(rollout, name, "open")
        case f.WindowClosed(session=name):
            return _window(rollout, name, "closed")
        case f.Attested(item=item, title=title):
            attested = {**rollout.attested, item: Attestation(title, at.who.subject, at.ordinal)}
            withdrawn = {k: v for k, v in rollout.withdrawn.items() if k != item}
            return replace(rollout, attested=attested, withdrawn=withdrawn)
        case f.AttestationWithdrawn(item=item):
            attested = {k: v for k, v in rollout.attested.items() if k != item}
            state = replace(rollout, attested=attested, withdrawn={**rollout.withdrawn, item: at.ordinal})
            return _void_go(state, "an attestation was withdrawn after it")
        case f.Reminded(about=about):
            return replace(rollout, reminded=(*rollout.reminded, about))
        case f.ResultRecorded(step=step, item=item, value=value, note=note, verdict=verdict):
            result = Result(value, at.ordinal, at.revision, note, verdict, at.who.subject, fact.measured)
            return replace(rollout, results={**rollout.results, f"{step}/{item}": result})
        case f.QuestionAnswered(question=question, answer=answer, note=note):
            result = Result(answer, at.ordinal, at.revision, note, None, at.who.subject)
            return _answered(replace(rollout, answers={**rollout.answers, question: result}), question)
        case f.ExposureSet(exposure=exposure):
            return _exposed(rollout, exposure, at)
        case f.PhaseEntered(phase=phase):
            return _entered(rollout, phase, at)
        case f.StageEntered(stage=stage):
            return _staged(rollout, stage, at)
        case f.Halted(because=because):
            state = replace(
                _opened_by_now(rollout, at),
                halted=True,
                halted_because=because,
                halted_since=at.when,
                halts=(*_ended(rollout.halts, at), Halt(at.when)),
            )
            return _void_go(state, "the rollout was halted after it")
        case f.Resumed():
            return _resumed(rollout, at)
        case f.DeployReported(service=service, version=version):
            return _deployed(rollout, service, version, at)
        case f.WatchStarted():
            return _restart_step(rollout, at)
        case f.Decided():
            return _decided(rollout, fact, at)
        case f.SnapshotTaken(of=of):
            frozen = Frozen(fact.entries, fact.since, fact.until, fact.revises)
            snapshots = {**rollout.snapshots, of: at.ordinal}
            return replace(rollout, snapshots=snapshots, frozen={**rollout.frozen, of: frozen})
        case f.SessionScheduled(session=name):
            session = Session(name, fact.tester, fact.starts, fact.ends, fact.opens, fact.closes, at.ordinal)
            return _with_session(rollout, session)
        case f.SessionMoved(session=name, starts=starts, ends=ends, opens=opens, closes=closes):
            moved = replace(rollout.sessions[name], starts=starts, ends=ends, opens=opens, closes=closes)
            return _with_session(rollout, moved)
        case f.SessionCancelled(session=name):
            return _with_session(rollout, replace(rollout.sessions[name], outcome="cancelled", window="closed"))
        case f.SessionRecorded(session=name, held=held, workflows=workflows, comments=comments):
            outcome: Literal["held", "no_show"] = "held" if held else "no_show"
            recorded = replace(rollout.sessions[name], outcome=outcome, workflows=workflows, comments=comments)
            return _with_session(rollout, recorded)
        case f.WorkflowWaived(session=name, workflow=workflow, because=because):
            return _with_session(rollout, _waived(rollout.sessions[name], workflow, because))
        case f.Announced(cause=cause, channel=channel):
            told = Told(fact.outcome, fact.url)
            return replace(rollout, announced={**rollout.announced, f"{cause} {channel}": told})
        case f.PlanRevised(plan=plan, touches=touches):
            authors = tuple(dict.fromkeys((*rollout.authors, at.who.subject)))
            state = replace(rollout, plan=plan, plan_revision=at.revision, authors=authors)
            return _void_go(state, "the plan was revised after it") if touches else state
        case f.PlanAdopted(plan=plan):
            return replace(rollout, plan=plan, plan_revision=at.revision)
        case f.ToggleRetired(toggle=toggle):
            return replace(rollout, retired=(*rollout.retired, toggle))
    assert_never(fact)


def _with_session(rollout: Rollout, session: Session) -> Rollout:
    return replace(rollout, sessions={**rollout.sessions, session.id: session})


def _waived(session: Session, workflow: str, because: str) -> Session:
    waived = (replace(w, waived=because) if w.workflow == workflow else w for w in session.workflows)
    return replace(session, workflows=tuple(waived))


def _window(rollout: Rollout, name: str, window: Literal["open", "closed"]) -> Rollout:
    return _with_session(rollout, replace(rollout.sessions[name], window=window))


def _opened_by_now(rollout: Rollout, at: Stamp) -> Rollout:
    """A window opens by the time alone, its record follows: a halt in between does not shut it for its tester."""
    if not rollout.exposed:
        return rollout
    held = (s for s in rollout.sessions.values() if s.opens <= at.when and (s.closes is None or at.when < s.closes))
    opened = {s.id: replace(s, window="open") for s in held if s.window == "ahead"}
    return replace(rollout, sessions={**rollout.sessions, **opened}) if opened else rollout


def _answered(rollout: Rollout, question: str) -> Rollout:
    """What a go rests on reads otherwise than when it was decided."""
    text = next((q.text for q in rollout.plan.go_no_go.questions if q.id == question), "")
    return _void_go(rollout, f"{text!r} was answered after it") if text else rollout


def _void_go(rollout: Rollout, why: str) -> Rollout:
    """Take the force of every standing go; the decisions themselves stay, with the reason."""
    if not rollout.any_go:
        return rollout
    choices = {
        key: replace(c, voided=why) if c.decision == "go" and not c.voided else c for key, c in rollout.choices.items()
    }
    return replace(rollout, choices=choices)


def _restart_step(rollout: Rollout, at: Stamp) -> Rollout:
    """The current step's length counts from now; time halted before does not matter any more."""
    since = at.when if rollout.halted else None
    return replace(rollout, step_since=at.when, step_ordinal=at.ordinal, halted_for=0.0, halted_since=since)


def _judged(rollout: Rollout, fact: f.VerdictRecorded, at: Stamp) -> Rollout:
    key = f"{fact.step}/{fact.criterion}"
    before = rollout.verdicts.get(key)
    began = at.ordinal
    if fact.measured and before is not None and before.measured and before.ordinal >= rollout.step_ordinal:
        began = before.began if (before.verdict, before.band) == (fact.verdict, fact.band) else at.ordinal
    judgement = Judgement(
        fact.verdict, fact.band, fact.why, fact.since, fact.until, at.ordinal, fact.value, began, fact.measured
    )
    state = replace(rollout, verdicts={**rollout.verdicts, key: judgement})
    criterion = rollout.plan.criteria.get(fact.criterion)
    if fact.verdict == "fail" and not (criterion and criterion.dry_run):
        return _void_go(state, f"{fact.criterion!r} failed after it")
    return state


def _exposed(rollout: Rollout, exposure: Exposure, at: Stamp) -> Rollout:
    back = rollout.stage >= rollout.went_back and not raises(exposure, rollout.left)
    state = replace(rollout, exposure=exposure, went_back=0 if back else rollout.went_back)
    if exposure.to == "nobody" and rollout.exposed:
        return replace(state, failed=rollout.exposure)
    if exposure.to == "everyone" and rollout.released_at is None:
        return replace(state, released_at=at.when, released_ordinal=at.ordinal)
    return state


def _entered(rollout: Rollout, phase: Phase, at: Stamp) -> Rollout:
    state = replace(
        rollout,
        phase=phase,
        entered_at=at.when,
        phase_ordinal=at.ordinal,
        step_since=None if phase == "code_deploy" else at.when,
        step_ordinal=at.ordinal,
        halted_for=0.0,
        halted_since=at.when if rollout.halted else None,
    )
    if phase == "rolled_back":
        state = _void_go(state, "the release was rolled back after it")
        return replace(
            state,
            stage=0,
            rolled_back_ordinal=at.ordinal,
            deployed_since_rollback=False,
            halted=False,
            halted_because="",
            halted_since=None,
            halts=_ended(rollout.halts, at),
            went_back=0,
            released_at=None,
        )
    if phase == "code_deploy":
        return replace(state, stage=0, failed=NOBODY)
    if phase in ("closed", "cancelled"):
        halts = _ended(rollout.halts, at)
        return replace(state, halted=False, halted_because="", halted_since=None, halts=halts)
    return state


def _staged(rollout: Rollout, stage: int, at: Stamp) -> Rollout:
    state = replace(_restart_step(rollout, at), stage=stage)
    if stage >= rollout.stage:
        return state
    left = rollout.left if rollout.went_back else rollout.exposure
    return replace(state, went_back=max(rollout.stage, rollout.went_back), left=left)


def _ended(halts: tuple[Halt, ...], at: Stamp) -> tuple[Halt, ...]:
    if not halts or halts[-1].until is not None:
        return halts
    return (*halts[:-1], Halt(halts[-1].since, at.when))


def _resumed(rollout: Rollout, at: Stamp) -> Rollout:
    halted_for = rollout.halted_for
    if rollout.halted_since is not None:
        halted_for += (at.when - rollout.halted_since).total_seconds()
    state = replace(rollout, halted=False, halted_because="", halted_since=None, halted_for=halted_for)
    return replace(state, halts=_ended(rollout.halts, at))


def _deployed(rollout: Rollout, service: str, version: str, at: Stamp) -> Rollout:
    state = replace(
        rollout,
        deploys={**rollout.deploys, service: Deployed(version, at.ordinal, at.when)},
        deployed_since_rollback=True,
    )
    state = _void_go(state, f"{service} {version} was deployed after it")
    if rollout.phase in ("veteran_testing", "cutover", "go_live"):
        return _restart_step(state, at)
    return state


def _decided(rollout: Rollout, fact: f.Decided, at: Stamp) -> Rollout:
    state = rollout
    if fact.decision != "go":
        state = _void_go(state, f"{fact.title} decided {fact.decision} after it")
    choice = Choice(
        fact.decision,
        fact.step,
        fact.title,
        at.who.subject,
        at.ordinal,
        at.when,
        fact.expires,
        rests_on=fact.rests_on,
    )
    return replace(state, choices={**state.choices, f"{fact.step}/{fact.title}": choice})
