"""A standing go: each approver role's latest decision, not by who asks, with nothing against it since."""

from __future__ import annotations

from collections.abc import Iterator

from services.rollout import steps
from services.rollout.guards.blocker import Asking, Blocker


def no_standing_go(move: Asking) -> Iterator[Blocker]:
    rollout, step = move.rollout, move.step
    titles = steps.approvers(rollout)
    if not titles:
        where = steps.title_of(rollout.plan, step)
        text = f"nobody is named to decide go for {where}: name `go_no_go: decided_by` in the plan"
        yield Blocker(text, "decide", step)
    for title in titles:
        why = why_no_go(move, step, title)
        if why:
            yield Blocker(why, "decide", step, title)


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
    if move.by is not None and choice.subject == move.by.subject:
        return f"the go of {title} for {where} is your own: somebody else must send the move"
    return ""
