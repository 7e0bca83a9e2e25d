"""`as_of` and `explain` agree with going through the log by hand, for random users, toggles and times of histories in
which everything happens. The hand is slow and simple: every record up to then, one after the other, no table.

Eighty questions a history: 2,000 in CI, 20,000 in the long run.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import mmh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, StaticPool, create_engine

from events import facts as f
from events.codec import decode
from events.facts import Record
from services.database import connect
from services.log.protocol import Entry
from services.people.vault import Vault
from services.projector.folding import Folding, machine
from services.projector.tables import generation, prepare
from services.views import past
from services.views.explaining import Question
from services.views.views import Views
from tests.histories import START
from tests.hypothesis_profiles import HISTORIES
from tests.unit.test_past import refolded
from tests.wild_histories import KEYS, Wild

USERS = ("u1", "u1", "u2", "u2", "gone", "p1", "p2", "p3", "p4", "p5", "")
ASKED = 80


# -- by hand


@dataclass
class Hand:
    """One rollout, as somebody reading the log would note it on paper."""

    name: str
    bucketing: int = 1
    keys: set[str] = field(default_factory=set)
    retired: set[str] = field(default_factory=set)
    phase: str = "planned"
    exposure: f.Exposure = f.NOBODY
    halted: bool = False
    windows: dict[str, list[Any]] = field(default_factory=dict)  # session: [tester, opens, closes, has opened]

    def read(self, record: Record) -> None:
        for fact in record.facts:
            self._note(fact, record.when)

    def _note(self, fact: f.Fact, when: datetime) -> None:
        if isinstance(fact, (f.PlanAdopted, f.PlanRevised)):
            self.keys = {toggle.key for toggle in fact.plan.toggles} - self.retired
            if isinstance(fact, f.PlanAdopted):
                self.bucketing = fact.bucketing
        elif isinstance(fact, f.ToggleRetired):
            self.retired.add(fact.toggle)
            self.keys.discard(fact.toggle)
        elif isinstance(fact, f.PhaseEntered):
            self.phase = fact.phase
            if fact.phase == "cancelled":
                self.keys, self.windows, self.exposure = set(), {}, f.NOBODY
        elif isinstance(fact, f.ExposureSet):
            self.exposure = fact.exposure
        elif isinstance(fact, f.Halted):
            self.halted = True
            for window in self.windows.values():
                window[3] = window[3] or _within(window, when)
        elif isinstance(fact, f.Resumed):
            self.halted = False
        elif isinstance(fact, f.SessionScheduled):
            self.windows.pop(fact.session, None)
            self.windows[fact.session] = [fact.tester, fact.opens, fact.closes, False]
        elif isinstance(fact, f.SessionMoved) and fact.session in self.windows:
            window = self.windows[fact.session]
            window[1:] = [fact.opens, fact.closes, window[3] and fact.opens <= when]
        elif isinstance(fact, f.WindowOpened) and fact.session in self.windows:
            self.windows[fact.session][3] = True
        elif isinstance(fact, (f.WindowClosed, f.SessionCancelled)):
            self.windows.pop(fact.session, None)


def _within(window: Sequence[Any], when: datetime) -> bool:
    return bool(window[1] <= when and (window[2] is None or when < window[2]))


class Person(NamedTuple):
    """Who is asked about; `reference` as the vault has it, `erased` what nobody can tell any more."""

    user: str
    reference: str
    erased: str
    facility: str


class Told(NamedTuple):
    """What somebody would say: the answer, and what it rests on."""

    value: bool | None
    reason: str
    rests_on: object


def by_hand(hand: Hand, toggle: str, who: Person, at: datetime) -> Told:
    if toggle not in hand.keys:
        return Told(None, "FLAG_NOT_FOUND", "not theirs")
    if hand.phase in ("planned", "rolled_back"):
        return Told(False, "DISABLED", hand.phase)
    if hand.exposure.to == "nobody":
        return Told(False, "DISABLED", "nobody")
    if hand.exposure.to == "everyone":
        return Told(True, "STATIC", "everyone")
    split = hand.exposure.to == "percentage"
    off = Told(False, "SPLIT" if split else "TARGETING_MATCH", [hand.exposure])
    if not who.user:
        return off
    mine = [[name, *window] for name, window in hand.windows.items() if window[0] == who.reference]
    for name, tester, opens, closes, opened in mine:
        if _within([tester, opens, closes], at) and (opened or not hand.halted):
            return Told(True, "TARGETING_MATCH", ["window", name, opens, closes])
    for audience in hand.exposure.audiences:
        member = who.user in audience.users or (audience.attribute and who.facility in audience.any_of)
        if (member or not audience.group) and _place(hand, who.user) < audience.percentage / 100:
            return Told(True, "TARGETING_MATCH" if audience.percentage >= 100 else "SPLIT", ["in", audience])
    theirs = [[n, *w[:3]] for n, w in hand.windows.items() if w[0] == who.erased and _within(w, at)]
    if lost := [w for w in theirs if hand.windows[w[0]][3] or not hand.halted]:
        return Told(None, "UNKNOWN", ["whose?", lost])
    if kept_shut := [w[:4] for w in mine if _within(w[1:4], at)]:
        return off._replace(rests_on=["halted", kept_shut])
    return off._replace(rests_on=[hand.exposure, [w[:4] for w in mine]])


def _place(hand: Hand, user: str) -> float:
    text = f"{hand.name}:{user}".encode()
    first, second = int(hashlib.sha256(text).hexdigest()[:16], 16), mmh3.mmh3_32_uintdigest(text)
    return {1: first, 2: second}[hand.bucketing] % 100_000 / 100_000


def gone_through(history: Sequence[Entry], toggle: str, who: Person, at: datetime) -> tuple[Told, int, bool]:
    """(what is so after these records of one rollout, since which revision, whether it ever had the toggle)."""
    hand, since, before, had = Hand(history[0].rollout), 0, object(), False
    told = Told(None, "FLAG_NOT_FOUND", "nothing")
    for entry in history:
        hand.read(decode(entry.data))
        told = by_hand(hand, toggle, who, at)
        since = since if told.rests_on == before else entry.revision
        before, had = told.rests_on, had or toggle in hand.keys
    return told, since, had


# -- side by side


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """Two testers, and one who has been erased."""
    return Vault(connect(f"sqlite:///{tmp_path_factory.mktemp('vault') / 'vault.db'}"), bytes(32))


@pytest.fixture(scope="module")
def people(vault: Vault) -> dict[str, str]:
    references = {user: vault.reference(user) for user in ("u1", "u2", "gone")}
    vault.erase("gone")
    return references


def tables_of(entries: Sequence[Entry]) -> Engine:
    """The tables after these entries, in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    position = prepare(engine)
    folding = Folding(generation(position.generation), machine())
    with engine.begin() as connection:
        folding.write(connection, folding.take(connection, position, entries))
    return engine


@settings(max_examples=HISTORIES)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 100), every=st.sampled_from((3, 10, 1000)))
def test_the_past_is_what_going_through_the_log_says(
    vault: Vault, people: dict[str, str], seed: int, length: int, every: int
) -> None:
    wild, rng = Wild(seed, tuple(people.values())), random.Random(seed)
    for _ in range(length):
        wild.step()
    kept, past.EVERY = past.EVERY, every
    try:
        database = tables_of(wild.entries)
    finally:
        past.EVERY = kept
    views = Views(database)
    for number in range(ASKED):
        _ask(views, vault, people, wild, rng, whole=number % 8 == 0)
    database.dispose()


def _ask(
    views: Views, vault: Vault, people: dict[str, str], wild: Wild, rng: random.Random, *, whole: bool = True
) -> None:
    """One question; with `whole` everything that is known of a rollout is compared too."""
    user, toggle = rng.choice(USERS), rng.choice((*KEYS, *KEYS, "t4"))
    facility = rng.choice(("983", "984", "500"))
    times = [decode(entry.data).when for entry in wild.entries]
    end = wild.now + timedelta(hours=1)
    edge = rng.choice([at for at in wild.edges if at <= end] or [end])
    at = rng.choice((rng.choice(times), START + rng.random() * (end - START), edge, edge + timedelta(seconds=29)))
    revision = rng.randint(1, len(times))
    point: datetime | int = at
    history = [entry for entry, when in zip(wild.entries, times, strict=True) if when <= at]
    if rng.random() < 0.3:
        point, at, history = revision, times[revision - 1], wild.entries[:revision]
    who = Person(user, people.get(user, "") if user != "gone" else "", people["gone"], facility)
    if whole:
        _as_of(views, point, history, rng.choice(("a", "b")))
    _explain(views, vault, point, at, history, toggle, who)


def _as_of(views: Views, point: datetime | int, history: Sequence[Entry], rollout: str) -> None:
    found = views.past(rollout, point)
    expected = refolded([entry for entry in history if entry.rollout == rollout])
    assert (found and (found.state, found.known)) == expected


def _explain(
    views: Views,
    vault: Vault,
    point: datetime | int,
    at: datetime,
    history: Sequence[Entry],
    toggle: str,
    who: Person,
) -> None:
    found = views.explain(Question(toggle, who.user, point, {"facility": who.facility}), vault)
    parts = [[entry for entry in history if entry.rollout == rollout] for rollout in ("a", "b")]
    ways = [(*gone_through(part, toggle, who, at), part[0].rollout) for part in parts if part]
    had = [way for way in ways if way[2]]
    owners = [way for way in had if way[0].rests_on != "not theirs"]
    if not had:
        assert (found.value, found.rollout, found.record) == (None, "", None)
        return
    told, since, _, rollout = (owners or sorted(had, key=lambda way: way[1]))[-1]
    assert (found.at, found.rollout) == (at, rollout)
    assert (found.value, found.reason) == (told.value, told.reason)
    assert found.record is not None
    assert found.record.revision == since
    assert found.variant == {True: "on", False: "off", None: ""}[found.value]
