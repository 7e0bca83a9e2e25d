"""Every fact, and the record that carries them.

One rule: the names and tags here *are the stored format*. They are past tense, in the plan's own words, and are
only ever added, never renamed; what an old version looked like is upcast in `codec.py`. Who, when and why stand on
the record; a fact holds only what happened.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from events.plan.schema import Plan, Quantity

Phase = Literal["planned", "code_deploy", "veteran_testing", "cutover", "go_live", "closed", "rolled_back", "cancelled"]
Decision = Literal["go", "no_go", "pause", "pivot"]
Verdict = Literal["pass", "fail", "inconclusive", "error"]
Band = Literal["", "green", "yellow", "red", "waiting"]
ExposureLevel = Literal["nobody", "testers", "cohort", "percentage", "everyone"]
Role = Literal["admin", "release_manager", "approver", "facilitator", "ci", "monitor", "clock", "auditor", "reader"]
UtcTime = Annotated[datetime, Meta(tz=True, description="An instant, stored in UTC.")]


class _Fact(Struct, frozen=True, omit_defaults=True, tag_field="fact"):
    """What all facts have in common: frozen, tagged by `fact`, defaults left out when stored."""


class Audience(Struct, frozen=True, omit_defaults=True):
    """One part of an exposure: a group (by attribute or by ids; neither: every user), or a percentage of it."""

    percentage: float = 100.0
    group: str = ""
    attribute: str = ""
    any_of: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class Exposure(Struct, frozen=True, omit_defaults=True):
    """Who has the whole group on. A user is in when any audience holds them (`cohort`, `percentage`)."""

    to: ExposureLevel
    audiences: tuple[Audience, ...] = ()


NOBODY = Exposure("nobody")
TESTERS = Exposure("testers")
EVERYONE = Exposure("everyone")


# -- the plan


class PlanAdopted(_Fact, frozen=True, tag="plan_adopted"):
    """The rollout begins: its plan, and who decides where the plan names nobody."""

    plan: Plan
    default_approvers: tuple[str, ...] = ()


class PlanRevised(_Fact, frozen=True, tag="plan_revised"):
    """The plan as it now stands; `changed` are the parts that differ; `touches` the steps they belong to."""

    plan: Plan
    changed: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()


# -- moves


class PhaseEntered(_Fact, frozen=True, tag="phase_entered"):
    phase: Phase


class StageEntered(_Fact, frozen=True, tag="stage_entered"):
    """A stage of the plan's rollout, counted from 1. Its length starts now."""

    stage: int
    title: str = ""


class ExposureSet(_Fact, frozen=True, tag="exposure_set"):
    """The whole toggle group in one fact: no reader can see half of it."""

    exposure: Exposure


class Halted(_Fact, frozen=True, tag="halted"):
    """No promotion and no new window from here; exposure stays as it is."""

    because: str = ""


class Resumed(_Fact, frozen=True, tag="resumed"):
    pass


# -- deploys


class DeployReported(_Fact, frozen=True, tag="deploy_reported"):
    service: str
    environment: str
    version: str


class WatchStarted(_Fact, frozen=True, tag="watch_started"):
    """All of the plan's services have reported: the clock of code_deploy starts (again)."""


# -- people's word


class Attested(_Fact, frozen=True, tag="attested"):
    """`item` is the id of an Item of the plan; `title` the title it was attested under."""

    item: str
    title: str = ""


class AttestationWithdrawn(_Fact, frozen=True, tag="attestation_withdrawn"):
    item: str


class Decided(_Fact, frozen=True, tag="decided"):
    """A role's decision about entering `step`. It rests on what was so at `rests_on` (a revision)."""

    decision: Decision
    step: str
    title: str
    plan_revision: int
    rests_on: int
    delegate: bool = False
    expires: UtcTime | None = None


class QuestionAnswered(_Fact, frozen=True, tag="question_answered"):
    question: str
    answer: str
    note: str = ""


class ResultRecorded(_Fact, frozen=True, tag="result_recorded"):
    """A result of `step` ("code_deploy", "veteran_testing", "stage-1", "1 week", ...); `item` is a question or KPI."""

    step: str
    item: str
    value: str
    note: str = ""
    verdict: Verdict | None = None


class Noted(_Fact, frozen=True, tag="noted"):
    text: str


# -- criteria and KPIs


class VerdictRecorded(_Fact, frozen=True, tag="verdict_recorded"):
    """A criterion judged for `step` over [since, until). `value` None: none was to be had."""

    criterion: str
    step: str
    verdict: Verdict
    band: Band
    why: str
    since: UtcTime
    until: UtcTime
    value: Quantity | None = None
    measured: bool = False  # by a query, not by a person


class SnapshotEntry(Struct, frozen=True, omit_defaults=True):
    """One line of a snapshot: a criterion, KPI or result as it stood. `value` "" means: not known by then."""

    item: str
    value: str = ""
    target: str = ""
    verdict: Verdict | None = None
    revision: int = 0


class SnapshotTaken(_Fact, frozen=True, tag="snapshot_taken"):
    """What was known of `of` (a stage's step, or "1 week") when its time was over."""

    of: str
    entries: tuple[SnapshotEntry, ...] = ()
    since: UtcTime | None = None
    until: UtcTime | None = None


# -- testers


class SessionScheduled(_Fact, frozen=True, tag="session_scheduled"):
    """`tester` is the vault's random reference. The window is [opens, closes); closes None: until testing ends."""

    session: str
    tester: str
    starts: UtcTime
    ends: UtcTime | None
    opens: UtcTime
    closes: UtcTime | None


class SessionMoved(_Fact, frozen=True, tag="session_moved"):
    session: str
    starts: UtcTime
    ends: UtcTime | None
    opens: UtcTime
    closes: UtcTime | None


class SessionCancelled(_Fact, frozen=True, tag="session_cancelled"):
    session: str
    because: str = ""


class WindowOpened(_Fact, frozen=True, tag="window_opened"):
    session: str


class WindowClosed(_Fact, frozen=True, tag="window_closed"):
    session: str


class WorkflowResult(Struct, frozen=True, omit_defaults=True):
    """One workflow tried in a session. Load times in seconds; comments and errors are ciphertext (see the vault)."""

    workflow: str
    done: bool
    load_times: tuple[float, ...] = ()
    comments: str = ""
    errors: str = ""
    waived: str = ""  # why a failure of it does not count


class SessionRecorded(_Fact, frozen=True, tag="session_recorded"):
    session: str
    held: bool  # False: the tester did not come
    workflows: tuple[WorkflowResult, ...] = ()
    comments: str = ""


# -- time and the rest


class Reminded(_Fact, frozen=True, tag="reminded"):
    """The clock says that something is due. It changes nothing; `about` is what keeps it from being said twice."""

    about: str
    text: str


class ToggleRetired(_Fact, frozen=True, tag="toggle_retired"):
    """The toggle's code is gone; reads of it are no longer answered from this rollout."""

    toggle: str


Fact = (
    PlanAdopted
    | PlanRevised
    | PhaseEntered
    | StageEntered
    | ExposureSet
    | Halted
    | Resumed
    | DeployReported
    | WatchStarted
    | Attested
    | AttestationWithdrawn
    | Decided
    | QuestionAnswered
    | ResultRecorded
    | Noted
    | VerdictRecorded
    | SnapshotTaken
    | SessionScheduled
    | SessionMoved
    | SessionCancelled
    | WindowOpened
    | WindowClosed
    | SessionRecorded
    | Reminded
    | ToggleRetired
)


class Actor(Struct, frozen=True, omit_defaults=True):
    """Who: a stable subject id, what they may do (`role`), and the titles a plan may name them by."""

    subject: str
    role: Role
    titles: tuple[str, ...] = ()


class Evidence(Struct, frozen=True, omit_defaults=True):
    """What a decision was based on. `raw` is at most the first 2 KiB of the result, `sha256` is of all of it."""

    kind: str  # "ci", "query", "link", "answer"
    source: str = ""
    text: str = ""
    query: str = ""
    value: str = ""
    verdict: Verdict | None = None
    sha256: str = ""
    raw: str = ""


class Record(Struct, frozen=True, omit_defaults=True):
    """What one decision wrote: one message on the log, all or nothing.

    `ordinal` counts the rollout's records from 1; `previous` is the SHA-256 (hex) of the stored bytes of the record
    before it ("" for the first). `command_hash` is the SHA-256 (hex) of the command as it was decided. The record's
    revision is the stream sequence of its message and stands nowhere in it.
    """

    v: int
    rollout: str
    ordinal: int
    previous: str
    when: UtcTime
    who: Actor
    command: str
    command_id: str
    command_hash: str
    facts: tuple[Fact, ...]
    reason: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()


class Attempt(Struct, frozen=True, omit_defaults=True):
    """A refused command, kept in the stream ATTEMPTS: outside the chain and without a revision."""

    v: int
    rollout: str
    when: UtcTime
    who: Actor
    command: str
    command_id: str
    reasons: tuple[str, ...]
    code: str = "refused"
    reason: str = ""
