"""How a group's users are answered: the same for all, a share of everybody, or by rules.

One rule: the way is chosen once, by terms that never change. Of all users only the last one is remembered.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple, TypeVar

from mmh3 import mmh3_32_uintdigest as murmur3
from openfeature.flag_evaluation import Reason

BUCKETS = 100_000

V = TypeVar("V")


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


def bucketing(version: int, rollout: str) -> Callable[[str], int]:
    """Where a user stands among 100,000 in this rollout, by the published functions (docs/reference/flag-snapshot.md):
    a hash of rollout + ":" + user in UTF-8, modulo 100,000."""
    before = f"{rollout}:"
    if version == 1:
        return lambda user: int.from_bytes(sha256((before + user).encode()).digest()[:8], "big") % BUCKETS
    return lambda user: murmur3((before + user).encode()) % BUCKETS


Answers = Callable[[str | None, Mapping[str, object]], Answer]
"""An answer for a user and the attributes; without a user it is on only when everyone has it on."""


class Rule(NamedTuple):
    """One audience: who is named (None: everybody), and below which bucket (None: all of them)."""

    named: frozenset[str] | None
    attribute: str
    values: frozenset[object]
    below: int | None


class Terms(NamedTuple):
    """All that a group's answers follow from: groups with the same terms answer everybody alike."""

    version: int  # of the snapshot, and so of its bucketing
    rollout: str
    same: Answer | None  # for all
    without: Answer  # for whom no rule fits
    rules: tuple[Rule, ...]
    held: frozenset[str]  # HMACs of the testers whose window holds
    hmac_key: bytes
    by_email: bool


def answers(terms: Terms) -> Answers:
    """The way to answer by these terms."""
    if (same := terms.same) is not None:
        return lambda user, attributes: same
    if (below := _share(terms)) is not None:
        return _split(bucketing(terms.version, terms.rollout), below, terms.without)
    return _ruled(terms)


def _split(bucket: Callable[[str], int], below: int, without: Answer) -> Answers:
    """A share of everybody."""
    last = ("", without)  # set and read as one: a user never meets another one's answer

    def answer(user: str | None, attributes: Mapping[str, object]) -> Answer:
        nonlocal last
        if not user:
            return without
        known, given = last
        if user == known:
            return given
        given = IN_SPLIT if bucket(user) < below else without
        last = (user, given)
        return given

    return answer


def _ruled(terms: Terms) -> Answers:
    """Testers while their window holds, then whoever the first fitting rule lets in."""
    version, rollout, _, without, rules, held, key, by_email = terms
    bucket = _of_the_last(bucketing(version, rollout))
    is_tester = _of_the_last(lambda user: hmac.digest(key, user.encode(), "sha256").hex() in held)

    def answer(user: str | None, attributes: Mapping[str, object]) -> Answer:
        if not user:
            return without
        if by_email:
            user = user.lower()
        if held and is_tester(user):
            return MATCH
        for named, attribute, values, below in rules:
            if named is not None and user not in named and not _has(attributes, attribute, values):
                continue
            if below is None:
                return MATCH
            if bucket(user) < below:
                return IN_SPLIT
        return without

    return answer


def _of_the_last(find: Callable[[str], V]) -> Callable[[str], V]:
    """What is found about a user, remembered until another one is asked about: a page asks for several toggles."""
    last: tuple[str, V] | None = None

    def found(user: str) -> V:
        nonlocal last
        known = last
        if known is not None and known[0] == user:
            return known[1]
        value = find(user)
        last = (user, value)
        return value

    return found


def _share(terms: Terms) -> int | None:
    """Below which bucket everybody is in, where that is all there is to ask; None: there is more."""
    plain = len(terms.rules) == 1 and terms.rules[0].named is None and not terms.held and not terms.by_email
    return terms.rules[0].below if plain else None


def _has(attributes: Mapping[str, object], attribute: str, values: frozenset[object]) -> bool:
    """Only text is compared: 983 is not "983"."""
    if not attribute:
        return False
    value = attributes.get(attribute)
    return isinstance(value, str) and value in values
