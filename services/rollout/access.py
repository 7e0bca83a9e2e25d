"""Who may ask what, by role. Titles (who attests and decides) are the plan's matter, not this one's.

One rule: whoever acts at all may also stop and say what is wrong: halt, roll back and report are open to every role
that may send anything.
"""

from __future__ import annotations

from events.facts import Role
from services.rollout import commands as c

_STOP = (c.Halt, c.RollBack, c.AddNote, c.ReportIssue)
_PEOPLE = (c.Attest, c.Withdraw, c.AnswerQuestion, c.RecordResult, c.RecordVerdict, c.RecordEvidence)
_SESSIONS = (
    c.ScheduleSession,
    c.MoveSession,
    c.CancelSession,
    c.OpenWindow,
    c.CloseWindow,
    c.RecordSession,
    c.WaiveWorkflow,
)
_MANAGE = (
    c.Adopt,
    c.RevisePlan,
    c.ReportDeploy,
    c.StartTesting,
    c.CutOver,
    c.Advance,
    c.GoBack,
    c.GoLive,
    c.Close,
    c.Resume,
    c.Cancel,
    c.TakeSnapshot,
    c.RetireToggle,
    c.Decide,
)
_ALLOWED: dict[Role, tuple[type, ...]] = {
    "admin": (*_STOP, *_PEOPLE, *_SESSIONS, *_MANAGE),
    "release_manager": (*_STOP, *_PEOPLE, *_SESSIONS, *_MANAGE),
    "approver": (*_STOP, *_PEOPLE, c.Decide),
    "facilitator": (*_STOP, *_PEOPLE, *_SESSIONS),
    "ci": (*_STOP, c.ReportDeploy, c.RecordResult, c.RecordVerdict, c.RecordEvidence),
    "monitor": (*_STOP, c.RecordResult, c.RecordVerdict, c.TakeSnapshot),
    "clock": (c.OpenWindow, c.CloseWindow, c.TakeSnapshot, c.Remind, c.Advance),
    "herald": (c.RecordDelivery,),
    "auditor": (),
    "reader": (),
}


def may(role: Role, command: c.Command) -> bool:
    """Whether this role may send this command at all."""
    return isinstance(command, _ALLOWED[role])


def roles_for(command: c.Command) -> tuple[str, ...]:
    """The roles that may send this command, for the words of a refusal."""
    return tuple(role for role, allowed in _ALLOWED.items() if isinstance(command, allowed))
