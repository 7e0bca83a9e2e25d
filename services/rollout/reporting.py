"""Telling people what is wrong, by the plan's own routes, and what became of it.

One rule: a cause is told once by each channel; that it was sent is never taken back.
"""

from __future__ import annotations

from events import facts as f
from events.facts import Fact
from events.plan.schema import Plan
from services.rollout import commands as c
from services.rollout.asked import Asked
from services.rollout.refusals import refuse


def report_issue(asked: Asked, command: c.ReportIssue) -> tuple[Fact, ...]:
    """Said once more it is another report: only the command id keeps one from being told twice."""
    plan, text = asked.rollout.plan, command.text.strip()
    if not text:
        raise refuse("say what is wrong: the text is empty", code="invalid")
    if not plan.report_issues:
        raise refuse("the plan names no way to report issues: fill in `report_issues` and revise the plan")
    if not routes(plan, command.purpose):
        known = "; ".join(repr(route.purpose) for route in plan.report_issues)
        raise refuse(f"no way to report is for {command.purpose!r}; the plan has: {known}", code="invalid")
    return (f.IssueReported(text, command.purpose.strip()),)


def routes(plan: Plan, purpose: str = "") -> tuple[int, ...]:
    """The plan's routes (their places, from 0) whose `for` begins with these words; without words all of them."""
    wanted = purpose.strip().casefold()
    return tuple(n for n, route in enumerate(plan.report_issues) if route.purpose.strip().casefold().startswith(wanted))


def record_delivery(asked: Asked, command: c.RecordDelivery) -> tuple[Fact, ...]:
    """What was sent stays sent; what was not may still be sent later."""
    if not command.cause.startswith(f"{asked.rollout.id}/"):
        raise refuse(f"{command.cause!r} is no cause of rollout {asked.rollout.id!r}", code="invalid")
    known = asked.rollout.announced.get(f"{command.cause} {command.channel}")
    if known is not None and (known.outcome == "sent" or command.outcome == "not sent"):
        return ()
    return (f.Announced(command.cause, command.channel, command.outcome, command.url, command.why, command.text),)
