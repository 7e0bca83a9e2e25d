"""What may be asked of a rollout: a tagged union, in the imperative.

One rule: a command carries no time and no identity of its sender; the engine stamps both. Required fields come
first and are the positional arguments of the CLI's verb, in this order; the docstring is the verb's help.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from events.facts import Channel, Decision, Evidence, Verdict, WorkflowResult
from events.plan.schema import Plan
from services.rollout.measured import Measurement


class _Command(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", forbid_unknown_fields=True):
    """What every command may carry.

    `seen`: the revision the sender looked at; refused if what the command rests on has changed since.
    `dry_run`: say what would happen, or what blocks it; write nothing.
    """

    reason: str = ""
    note: str = ""
    evidence: tuple[Evidence, ...] = ()
    seen: int | None = None
    dry_run: bool = False


class Adopt(_Command, frozen=True, tag="adopt"):
    """Begin a rollout with this plan."""

    plan: Plan


class RevisePlan(_Command, frozen=True, tag="revise_plan"):
    """Replace the plan: steps not entered yet freely, the current one in part, passed ones never."""

    plan: Plan


class ReportDeploy(_Command, frozen=True, tag="report_deploy"):
    """Say that a version of one of the plan's services is deployed."""

    service: str
    version: str
    environment: str = "production"


class StartTesting(_Command, frozen=True, tag="start_testing"):
    """Begin testing in production with selected users."""


class Decide(_Command, frozen=True, tag="decide"):
    """Decide go, no_go, pause or pivot for the next step."""

    decision: Decision
    step: str = ""  # default: the next step that asks for a go
    title: str = ""  # the role decided for; default: the sender's own
    valid_for: str = ""  # "48 hours"; default: the plan's


class CutOver(_Command, frozen=True, tag="cut_over"):
    """Switch the whole toggle group on for the first stage."""


class Advance(_Command, frozen=True, tag="advance"):
    """Go on to a later stage, or to a percentage within the stage's range."""

    to: str = ""  # "stage-2", a stage's title, "everyone" or "25%"; default: the next stage


class GoBack(_Command, frozen=True, tag="go_back"):
    """Return to an earlier stage; halts."""

    to: str


class GoLive(_Command, frozen=True, tag="go_live"):
    """Declare the release live for everyone."""


class Close(_Command, frozen=True, tag="close"):
    """End the rollout: keep the toggles on, or remove what was released."""

    outcome: Literal["keep", "remove"]


class Halt(_Command, frozen=True, tag="halt"):
    """Stop promotions and new windows; exposure stays as it is."""


class Resume(_Command, frozen=True, tag="resume"):
    """Take up a halted rollout again."""


class RollBack(_Command, frozen=True, tag="roll_back"):
    """Switch the whole toggle group off, now, for everyone."""


class Cancel(_Command, frozen=True, tag="cancel"):
    """Give the release up; its toggle keys become free again."""


class Attest(_Command, frozen=True, tag="attest"):
    """Confirm that a prerequisite, or an item of a checklist, is so."""

    item: str  # its id, or its text


class Withdraw(_Command, frozen=True, tag="withdraw"):
    """Take an attestation back; while anybody is exposed this also halts."""

    item: str


class ScheduleSession(_Command, frozen=True, tag="schedule_session"):
    """Plan a tester's session; the group goes on for them by itself, and off again."""

    session: str
    tester: str  # on the way in the user's id; from the engine on the vault's reference
    at: str = ""  # ISO 8601; without an offset: local to the plan's time zone
    length: str = ""  # "30 minutes"; default: the longest the plan allows


class MoveSession(_Command, frozen=True, tag="move_session"):
    """Give a session another time, or, while its window is open, another end."""

    session: str
    at: str = ""
    length: str = ""


class CancelSession(_Command, frozen=True, tag="cancel_session"):
    """Cancel a session; an open window closes."""

    session: str


class OpenWindow(_Command, frozen=True, tag="open_window"):
    """Record that a session's window has opened."""

    session: str


class CloseWindow(_Command, frozen=True, tag="close_window"):
    """Close a session's window; never lowers a wider exposure."""

    session: str


class RecordSession(_Command, frozen=True, tag="record_session"):
    """Record what a session showed: workflows done, load times, comments, errors."""

    session: str
    outcome: Literal["held", "no_show"] = "held"
    workflows: tuple[WorkflowResult, ...] = ()
    comments: str = ""


class WaiveWorkflow(_Command, frozen=True, tag="waive_workflow"):
    """Say that a workflow's failure in a session does not count, and why."""

    session: str
    workflow: str


class RecordResult(_Command, frozen=True, tag="record_result"):
    """Record a result or a KPI's actual value."""

    item: str  # a question's id or text, or a KPI's name
    value: str
    step: str = ""  # default: the current step, or the results that are due


class RecordVerdict(_Command, frozen=True, tag="record_verdict"):
    """Judge a criterion: by its value where the plan has a limit, by a verdict where it has none."""

    criterion: str
    value: str = ""  # "7", "3.2s", "none"
    verdict: Verdict | None = None
    step: str = ""  # default: the current step
    measurement: Measurement | None = None  # sent by the monitor alone, instead of value and verdict


class TakeSnapshot(_Command, frozen=True, tag="take_snapshot"):
    """Freeze what is known of a stage or of a set of results."""

    of: str


class AnswerQuestion(_Command, frozen=True, tag="answer_question"):
    """Answer a go/no-go or post-launch question."""

    question: str
    answer: str


class RetireToggle(_Command, frozen=True, tag="retire_toggle"):
    """Record that a toggle's code is gone."""

    toggle: str


class RecordEvidence(_Command, frozen=True, tag="record_evidence"):
    """Record what tests, a pipeline or an incident showed; it moves nothing by itself."""

    kind: str
    about: str
    source: str = ""
    outcome: str = ""
    text: str = ""
    link: str = ""
    chain: str = ""


class AddNote(_Command, frozen=True, tag="note"):
    """Write something into the record."""

    text: str


class ReportIssue(_Command, frozen=True, tag="report_issue"):
    """Report what is wrong, by the routes that the plan names: a GitHub issue, and a message in its channel."""

    text: str
    purpose: str = ""  # whose route: the beginning of its `for`; default: every route of the plan


class RecordDelivery(_Command, frozen=True, tag="record_delivery"):
    """Sent by the herald alone: say what became of telling people."""

    cause: str
    channel: Channel
    outcome: Literal["sent", "not sent"]
    url: str = ""
    why: str = ""
    text: str = ""


class Remind(_Command, frozen=True, tag="remind"):
    """Sent by the clock alone: say that something is due."""

    about: str
    text: str


Command = (
    Adopt
    | RevisePlan
    | ReportDeploy
    | StartTesting
    | Decide
    | CutOver
    | Advance
    | GoBack
    | GoLive
    | Close
    | Halt
    | Resume
    | RollBack
    | Cancel
    | Attest
    | Withdraw
    | ScheduleSession
    | MoveSession
    | CancelSession
    | OpenWindow
    | CloseWindow
    | RecordSession
    | WaiveWorkflow
    | RecordResult
    | RecordVerdict
    | TakeSnapshot
    | AnswerQuestion
    | RetireToggle
    | RecordEvidence
    | AddNote
    | ReportIssue
    | RecordDelivery
    | Remind
)

INSIDE: dict[type, str] = {RecordDelivery: "the herald", Remind: "the clock"}
"""Commands that no person and no program outside may send, and who sends them."""


def name_of(command: Command) -> str:
    """The command's type as it is written: "cut_over"."""
    return str(command.__struct_config__.tag)
