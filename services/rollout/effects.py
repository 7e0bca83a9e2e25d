"""What facts would mean for whom, in words: the answer to a dry run.

One rule: derived from the state before and after; no fact is described that is not in them.
"""

from __future__ import annotations

from events.exposed import exposure_words
from services.rollout import steps
from services.rollout.state import Rollout


def effects(before: Rollout | None, after: Rollout) -> tuple[str, ...]:
    """Sentences for a release manager: phase, who gets or loses the group, sessions, halts."""
    said: list[str] = []
    was = before.phase if before is not None else None
    if was is None:
        said.append(f"the rollout begins in {after.phase}")
    elif was != after.phase:
        said.append(f"the rollout goes from {was} to {after.phase}")
    elif before is not None and before.stage != after.stage:
        said.append(f"the rollout enters {steps.title_of(after.plan, steps.current_step(after))}")
    if before is not None and before.exposure != after.exposure:
        said.append(_exposure(after))
    if before is not None and not before.halted and after.halted:
        said.append("the rollout halts: no promotion and no new window, exposure as it is")
    if before is not None and before.halted and not after.halted:
        said.append("the rollout is no longer halted")
    said += _sessions(before, after) + _unnamed(before, after)
    return tuple(said) or ("nobody's toggles change",)


def _exposure(after: Rollout) -> str:
    count = len(after.plan.toggles)
    group = f"all {count} toggles" if count > 1 else "the toggle"
    match after.exposure.to:
        case "nobody":
            return f"{group} {'go' if count > 1 else 'goes'} off for everyone, together"
        case "testers":
            return f"testers have {group} on inside their windows; nobody else"
        case "everyone":
            return f"everyone has {group} on, together"
    return f"{exposure_words(after.exposure)}: {group} on, together"


def _sessions(before: Rollout | None, after: Rollout) -> list[str]:
    if before is None:
        return []
    said = []
    for name, session in after.sessions.items():
        old = before.sessions.get(name)
        if old == session:
            continue
        if session.outcome == "cancelled":
            said.append(f"session {name} is cancelled")
        elif session.window != "closed" and (old is None or (old.opens, old.closes) != (session.opens, session.closes)):
            closes = steps.local(after, session.closes) if session.closes else "testing ends"
            said.append(
                f"the tester of {name} has the group on from {steps.local(after, session.opens)} until {closes}"
            )
    return said


def _unnamed(before: Rollout | None, after: Rollout) -> list[str]:
    """Ids are kept for Flipper only while a plan names it, so those of earlier sessions are not there to give."""
    if before is None or "flipper" in before.plan.readers or "flipper" not in after.plan.readers:
        return []
    ahead = [name for name, session in after.sessions.items() if session.window != "closed" and not session.outcome]
    if not ahead:
        return []
    return [
        f"flipper does not know the testers of {', '.join(ahead)}: cancel these and schedule them anew, by their ids"
    ]
