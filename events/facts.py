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
Channel = Literal["github", "slack"]
ExposureLevel = Literal["nobody", "testers", "cohort", "percentage", "everyone"]
Role = Literal[
    "admin", "release_manager", "approver", "facilitator", "ci", "monitor", "clock", "auditor", "reader", "herald"
]
Bucketing = Literal[1, 2]
"""The function that places users in a percentage, by its version (docs/reference/flag-snapshot.md)."""
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
BUCKETING: Bucketing = 2  # of a rollout that begins now


# -- the plan


class PlanAdopted(_Fact, frozen=True, tag="plan_adopted"):
    """The rollout begins: its plan, who decides where the plan names nobody, and how users are placed in a percentage,
    for as long as it lasts: a change midway would take the group from some who have it."""

    plan: Plan
    default_approvers: tuple[str, ...] = ()
    bucketing: Bucketing = 1  # what records from before there was a choice mean


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


class EvidenceRecorded(_Fact, frozen=True, tag="evidence_recorded"):
    """Something from outside that people may rest a decision on: it moves nothing by itself.

    `about` is what it says something of (a test run, an incident); `chain` ties together what one change led to.
    """

    kind: str  # "tests", "change", "artifact", "reachable", "pipeline", "incident", "alert", "deploy"
    about: str
    source: str = ""
    outcome: str = ""  # "success", "failure", "resolved", ...; "": it says none
    text: str = ""
    link: str = ""
    chain: str = ""


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
    measured: bool = False  # by a query or from readings, not by a person


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
    """One line of a snapshot: a criterion, KPI or result as it stood. `value` "" means: not known by then (`why`).

    What was measured has its query and the span [since, until) it was measured over.
    """

    item: str
    value: str = ""
    target: str = ""
    verdict: Verdict | None = None
    revision: int = 0
    query: str = ""
    since: UtcTime | None = None
    until: UtcTime | None = None
    why: str = ""


class SnapshotTaken(_Fact, frozen=True, tag="snapshot_taken"):
    """What was known of `of` (a stage's step, or "1 week") when its time was over.

    `revises` n: the n-th marked revision of it, made because something came late (`because`); 0: the snapshot itself.
    """

    of: str
    entries: tuple[SnapshotEntry, ...] = ()
    since: UtcTime | None = None
    until: UtcTime | None = None
    revises: int = 0
    because: str = ""


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


class WorkflowWaived(_Fact, frozen=True, tag="workflow_waived"):
    """A workflow that failed in a session does not count against the release; `because` is ciphertext."""

    session: str
    workflow: str
    because: str


# -- telling people


class IssueReported(_Fact, frozen=True, tag="issue_reported"):
    """Somebody says what is wrong. `purpose` names the plan's routes it goes by ("": all of them)."""

    text: str
    purpose: str = ""


class Announced(_Fact, frozen=True, tag="announced"):
    """What became of telling people: `cause` is "rollout/revision/fact/route" of what they were to be told.

    Sent: `url` is where it stands, if the receiver says so. Not sent: `why`, and the `text` ready to paste.
    """

    cause: str
    channel: Channel
    outcome: Literal["sent", "not sent"]
    url: str = ""
    why: str = ""
    text: str = ""


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
    | EvidenceRecorded
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
    | WorkflowWaived
    | IssueReported
    | Announced
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
    time: str = ""  # when it happened, as its source says (ISO 8601); "": it does not say
    chain: str = ""  # what one change led to carries one chain


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
    """A refused command, kept in the stream ATTEMPTS: outside the chain and without a revision.

    So it says itself how the rollout stood: its phase, its plan's environment and its toggles ("": there was none).
    """

    v: int
    rollout: str
    when: UtcTime
    who: Actor
    command: str
    command_id: str
    reasons: tuple[str, ...]
    code: str = "refused"
    reason: str = ""
    phase: str = ""
    environment: str = ""
    toggles: tuple[str, ...] = ()
