"""One rollout's toggle group, made ready to answer: the same answer for all of its toggles.

One rule: a group is made for one span of time, in which no tester's window opens or closes, and never changes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from math import inf
from struct import Struct
from typing import NamedTuple

from openfeature.flag_evaluation import Reason

from cutover_openfeature.snapshot import Audience, Snapshot, Window

BUCKETS = 100_000
OFF_IN = ("planned", "rolled_back", "cancelled")

_first_eight_bytes = Struct(">Q").unpack_from


class Answer(NamedTuple):
    """Whether the group is on, why (OpenFeature's word), and the variant."""

    value: bool
    reason: Reason
    variant: str


DISABLED = Answer(False, Reason.DISABLED, "off")
STATIC = Answer(True, Reason.STATIC, "on")
MATCH = Answer(True, Reason.TARGETING_MATCH, "on")
NO_MATCH = Answer(False, Reason.TARGETING_MATCH, "off")
IN_SPLIT = Answer(True, Reason.SPLIT, "on")
NOT_IN_SPLIT = Answer(False, Reason.SPLIT, "off")


def bucket(rollout: str, user: str) -> int:
    """Where a user stands among 100,000 in this rollout, by the published function (docs/reference/flag-snapshot.md):
    the first 8 bytes, big-endian, of SHA-256(rollout + ":" + user) in UTF-8, modulo 100,000."""
    digest = hashlib.sha256(f"{rollout}:{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


class Rule(NamedTuple):
    """One audience: who is named (None: everybody), and below which bucket (None: all of them)."""

    named: frozenset[str] | None
    attribute: str
    values: frozenset[object]
    below: int | None


class Group:
    """Answers for one rollout from `since` until before `until` (seconds since 1970)."""

    __slots__ = (
        *("_by_email", "_held", "_hmac_key", "_rules", "_same", "_seed", "_share", "_without"),
        *("metadata", "snapshot", "stuck", "until"),
    )

    def __init__(self, snapshot: Snapshot, now: float, tester_key: bytes | None, stuck: str | None = None) -> None:
        """`stuck`: since when (ISO 8601) newer values of this rollout could not be read; None: they can."""
        exposure = snapshot.exposure
        self.snapshot = snapshot
        self.stuck = stuck
        self.metadata: dict[str, bool | int | float | str] = {
            "revision": snapshot.revision,
            "rollout": snapshot.rollout,
        }
        self._same = _for_all(snapshot)
        self._without = NOT_IN_SPLIT if exposure.to == "percentage" else NO_MATCH
        self._rules = tuple(_rule(audience) for audience in exposure.audiences)
        self._by_email = snapshot.actor == "email"
        self._seed = hashlib.sha256(f"{snapshot.rollout}:".encode())  # copied for each user, never changed
        self._hmac_key = tester_key
        self._held = _held(snapshot, now) if self._same is None and tester_key else frozenset()
        self._share = None if self._held or self._by_email else _share(self._rules)
        self.until = _next_edge(snapshot.windows, now) if self._same is None else inf

    def answer(self, user: str | None, attributes: Mapping[str, object]) -> Answer:
        """For one user; without one it is on only when everyone has it on."""
        if self._same is not None:
            return self._same
        if not user:
            return self._without
        if self._share is not None:  # `_bucket`, written out for speed
            hashed = self._seed.copy()
            hashed.update(user.encode())
            return IN_SPLIT if _first_eight_bytes(hashed.digest())[0] % BUCKETS < self._share else self._without
        if self._by_email:
            user = user.lower()
        if self._held and self._is_tester(user):
            return MATCH
        for named, attribute, values, below in self._rules:
            if named is not None and user not in named and not _has(attributes, attribute, values):
                continue
            if below is None:
                return MATCH
            if self._bucket(user) < below:
                return IN_SPLIT
        return self._without

    def _bucket(self, user: str) -> int:
        """`bucket`, of this rollout, with what all its users have in common hashed once."""
        hashed = self._seed.copy()
        hashed.update(user.encode())
        bucket: int = _first_eight_bytes(hashed.digest())[0] % BUCKETS
        return bucket

    def _is_tester(self, user: str) -> bool:
        assert self._hmac_key is not None
        return hmac.digest(self._hmac_key, user.encode(), "sha256").hex() in self._held

    def answers_like(self, other: Group) -> bool:
        """Whether nobody's answer differs; the revision may."""
        return (
            self._same == other._same
            and self._without == other._without
            and self._rules == other._rules
            and self._held == other._held
            and self._by_email == other._by_email
        )


def _for_all(snapshot: Snapshot) -> Answer | None:
    if snapshot.exposure.to == "nobody" or snapshot.phase in OFF_IN:
        return DISABLED
    return STATIC if snapshot.exposure.to == "everyone" else None


def _rule(audience: Audience) -> Rule:
    named = frozenset(audience.users) if audience.attribute or audience.users or audience.group else None
    below = None if audience.percentage >= 100 else round(audience.percentage * 1000)
    return Rule(named, audience.attribute, frozenset(audience.any_of), below)


def _share(rules: tuple[Rule, ...]) -> int | None:
    """Below which bucket everybody is in, where that is the only rule; None: there are others."""
    return rules[0].below if len(rules) == 1 and rules[0].named is None else None


def _has(attributes: Mapping[str, object], attribute: str, values: frozenset[object]) -> bool:
    """Only text is compared: 983 is not "983"."""
    if not attribute:
        return False
    value = attributes.get(attribute)
    return isinstance(value, str) and value in values


def _held(snapshot: Snapshot, now: float) -> frozenset[str]:
    """The HMACs of the testers whose window holds. A halt keeps windows shut that had not opened."""
    testers = (w.tester for w in snapshot.windows if _holds(w, now) and (w.opened or not snapshot.halted))
    return frozenset(snapshot.testers[tester] for tester in testers if tester in snapshot.testers)


def _holds(window: Window, now: float) -> bool:
    return window.opens.timestamp() <= now and (window.closes is None or now < window.closes.timestamp())


def _next_edge(windows: tuple[Window, ...], now: float) -> float:
    edges = [edge.timestamp() for window in windows for edge in (window.opens, window.closes) if edge is not None]
    return min((edge for edge in edges if edge > now), default=inf)
