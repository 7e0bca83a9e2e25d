"""One rollout's toggle group, made ready to answer: the same answer for all of its toggles.

One rule: a group is made for one span of time, in which no tester's window opens or closes, and never changes.
"""

from __future__ import annotations

from cutover_openfeature.answers import DISABLED, NO_MATCH, NOT_IN_SPLIT, STATIC, Answer, Answers, Rule, Terms, answers
from cutover_openfeature.snapshot import Audience, Snapshot, Window

OFF_IN = ("planned", "rolled_back", "cancelled")


class Group:
    """Answers for one rollout from its making until before `until` (seconds since 1970; None: for ever)."""

    __slots__ = ("_terms", "answer", "metadata", "snapshot", "stuck", "until")

    answer: Answers

    def __init__(self, snapshot: Snapshot, now: float, tester_key: bytes | None, stuck: str | None = None) -> None:
        """`stuck`: since when (ISO 8601) newer values of this rollout could not be read; None: they can."""
        exposure = snapshot.exposure
        same = _for_all(snapshot)
        self.snapshot = snapshot
        self.stuck = stuck
        self.metadata: dict[str, bool | int | float | str] = {
            "revision": snapshot.revision,
            "rollout": snapshot.rollout,
        }
        self.until = _next_edge(snapshot.windows, now) if same is None else None
        self._terms = Terms(
            snapshot.v,
            snapshot.rollout,
            same,
            NOT_IN_SPLIT if exposure.to == "percentage" else NO_MATCH,
            tuple(_rule(audience) for audience in exposure.audiences),
            _held(snapshot, now) if same is None and tester_key else frozenset(),
            tester_key or b"",
            snapshot.actor == "email",
        )
        self.answer = answers(self._terms)

    def answers_like(self, other: Group) -> bool:
        """Whether nobody's answer differs; the revision may."""
        return self._terms == other._terms


def _for_all(snapshot: Snapshot) -> Answer | None:
    if snapshot.exposure.to == "nobody" or snapshot.phase in OFF_IN:
        return DISABLED
    return STATIC if snapshot.exposure.to == "everyone" else None


def _rule(audience: Audience) -> Rule:
    named = frozenset(audience.users) if audience.attribute or audience.users or audience.group else None
    below = None if audience.percentage >= 100 else round(audience.percentage * 1000)
    return Rule(named, audience.attribute, frozenset(audience.any_of), below)


def _held(snapshot: Snapshot, now: float) -> frozenset[str]:
    """The HMACs of the testers whose window holds. A halt keeps windows shut that had not opened."""
    testers = (w.tester for w in snapshot.windows if _holds(w, now) and (w.opened or not snapshot.halted))
    return frozenset(snapshot.testers[tester] for tester in testers if tester in snapshot.testers)


def _holds(window: Window, now: float) -> bool:
    return window.opens.timestamp() <= now and (window.closes is None or now < window.closes.timestamp())


def _next_edge(windows: tuple[Window, ...], now: float) -> float | None:
    edges = [edge.timestamp() for window in windows for edge in (window.opens, window.closes) if edge is not None]
    return min((edge for edge in edges if edge > now), default=None)
