"""A standing go: each approver role's latest decision, not by who asks, with nothing against it since.

One rule: it stands on the answers to the plan's go/no-go questions, so these are asked for with it.
Who sends a move never approves it; what the clock moves is sent by whoever wrote the plan that makes it automatic.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.rollout import steps
from services.rollout.guards.blocker import Asking, Blocker
from services.rollout.state import Rollout


def no_standing_go(move: Asking) -> Iterator[Blocker]:
    rollout, step = move.rollout, move.step
    yield from unanswered(rollout)
    titles = steps.approvers(rollout)
    if not titles:
        where = steps.title_of(rollout.plan, step)
        text = f"nobody is named to decide go for {where}: name `go_no_go: decided_by` in the plan"
        yield Blocker(text, "decide", step)
    for title in titles:
        why = why_no_go(move, step, title)
        if why:
            yield Blocker(why, "decide", step, title)


def unanswered(rollout: Rollout) -> Iterator[Blocker]:
    """The go/no-go questions without an answer, or with another than the plan asks for."""
    for q in rollout.plan.go_no_go.questions:
        answer = steps.answer(rollout, q)
        if answer is None:
            by = f" by {q.answered_by}" if q.answered_by else ""
            yield Blocker(f"the go/no-go question {q.text!r} is not answered{by}", "answer", q.id, q.answered_by)
        elif q.must_be and answer.value.casefold() != q.must_be.casefold():
            text = f"the answer to {q.text!r} must be {q.must_be!r} for a go, it is {answer.value!r}"
            yield Blocker(text, "answer", q.id, q.answered_by)


def why_no_go(move: Asking, step: str, title: str) -> str:
    """Why the role's latest decision is no standing go for the step, for whoever asks; "" if it is one."""
    where = steps.title_of(move.rollout.plan, step)
    choice = move.rollout.choices.get(f"{step}/{title}")
    if choice is None:
        return f"{title} has not decided go for {where}"
    if choice.decision != "go":
        return f"{title} decided {choice.decision} for {where}"
    if choice.voided:
        return f"the go of {title} for {where} is void: {choice.voided}"
    if choice.expires is not None and choice.expires <= move.now:
        return f"the go of {title} for {where} expired at {steps.local(move.rollout, choice.expires)}"
    if move.by is not None and move.by.role == "clock" and choice.subject in move.rollout.authors:
        return (
            f"the go of {title} for {where} is by {choice.subject}, whose plan it is: somebody else must send the move"
        )
    if move.by is not None and choice.subject == move.by.subject:
        return f"the go of {title} for {where} is your own: somebody else must send the move"
    return ""
