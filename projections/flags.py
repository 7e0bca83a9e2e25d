"""Who has the toggle group on: the snapshot of one rollout, and the answer for one user.

One rule: there is one answer for the whole group. Nothing here knows a toggle's key beyond listing it, so no user
can ever have a part of the group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

import mmh3
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from events.facts import (
    NOBODY,
    Audience,
    Bucketing,
    Exposure,
    ExposureSet,
    Fact,
    Halted,
    Phase,
    PhaseEntered,
    PlanAdopted,
    PlanRevised,
    Record,
    Resumed,
    SessionCancelled,
    SessionMoved,
    SessionScheduled,
    ToggleRetired,
    UtcTime,
    WindowClosed,
    WindowOpened,
)
from events.plan.actors import known_as
from events.plan.schema import ActorKind, Plan

BUCKETS = 100_000

Reason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED"]


class Window(Struct, frozen=True, omit_defaults=True):
    """When a tester has the group on: [opens, closes). `opened`: a halt after it opened leaves it open."""

    session: str
    tester: str
    opens: UtcTime
    closes: UtcTime | None  # None: until testing ends
    opened: bool = False


class FlagSnapshot(Struct, frozen=True, omit_defaults=True):
    """All that is needed to answer for the group. It is stored in the bucket: fields are only ever added.

    `testers` maps the references in `windows` to the HMACs of the testers' ids; the fold leaves it empty, it is
    filled in from the vault when the snapshot is written for readers.
    """

    v: Bucketing  # who does not know it cannot read this, and so does not answer from it
    rollout: str
    revision: int
    when: UtcTime
    phase: Phase
    toggles: tuple[str, ...]
    exposure: Exposure = NOBODY
    halted: bool = False
    windows: tuple[Window, ...] = ()
    testers: dict[str, str] = {}
    retired: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()  # who reads the group, as the plan says; "va.gov" among them: anybody may
    actor: ActorKind = "account"  # by what a user is known: all of the group's readers ask by this one kind of id


class Answer(Struct, frozen=True):
    """Whether the group is on, why (OpenFeature's word), and the variant `on` or `off`."""

    value: bool
    reason: Reason

    @property
    def variant(self) -> str:
        return "on" if self.value else "off"


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FlagSnapshot)


def encode(snapshot: FlagSnapshot) -> bytes:
    """The snapshot as it is stored in the bucket: JSON, defaults left out."""
    return _encoder.encode(snapshot)


def decode(data: bytes) -> FlagSnapshot:
    """A snapshot from the bucket's bytes; raises msgspec.DecodeError, UnicodeDecodeError or RecursionError where they
    are none."""
    return _decoder.decode(data)


# -- the fold

BEARING: frozenset[type[Fact]] = frozenset(
    (
        *(PlanAdopted, PlanRevised, PhaseEntered, ExposureSet, Halted, Resumed, ToggleRetired),
        *(SessionScheduled, SessionMoved, SessionCancelled, WindowOpened, WindowClosed),
    )
)
"""The facts that can change who has the toggles on. Most of a log are others: one look here spares them a dozen."""


def bears(record: Record) -> bool:
    """Whether it can change who has the toggles on."""
    return not BEARING.isdisjoint(map(type, record.facts))


def fold(snapshot: FlagSnapshot | None, record: Record, revision: int) -> FlagSnapshot:
    """The snapshot after one more record of its rollout; None stands before the first."""
    if snapshot is None:
        snapshot = FlagSnapshot(1, record.rollout, 0, record.when, "planned", ())
    for fact in record.facts:
        if type(fact) in BEARING:
            snapshot = _evolve(snapshot, fact, record.when)
    return replace(snapshot, revision=revision, when=record.when)


def _evolve(snapshot: FlagSnapshot, fact: Fact, when: datetime) -> FlagSnapshot:
    """Facts that say nothing about who has the group on leave it as it is."""
    match fact:
        case PlanAdopted(plan=plan, bucketing=bucketing):
            return replace(_evolve(snapshot, PlanRevised(plan), when), v=bucketing)
        case PlanRevised(plan=plan):
            return replace(snapshot, toggles=_keys(plan, snapshot.retired), readers=plan.readers, actor=plan.actor)
        case PhaseEntered(phase="cancelled"):  # the keys are free for another rollout
            return replace(snapshot, phase="cancelled", toggles=(), exposure=NOBODY, windows=())
        case PhaseEntered(phase=phase):
            return replace(snapshot, phase=phase)
        case ExposureSet(exposure=exposure):
            return replace(snapshot, exposure=exposure)
        case Halted():
            return replace(snapshot, halted=True, windows=_opened_by(snapshot.windows, when))
        case Resumed():
            return replace(snapshot, halted=False)
        case ToggleRetired(toggle=toggle):
            left = tuple(key for key in snapshot.toggles if key != toggle)
            return replace(snapshot, toggles=left, retired=(*snapshot.retired, toggle))
        case SessionScheduled(session=session, tester=tester, opens=opens, closes=closes):
            others = _without(snapshot.windows, session)
            return replace(snapshot, windows=(*others, Window(session, tester, opens, closes)))
        case SessionMoved(session=session, opens=opens, closes=closes):
            moved = (_moved(w, opens, closes, when) if w.session == session else w for w in snapshot.windows)
            return replace(snapshot, windows=tuple(moved))
        case WindowOpened(session=session):
            opened = (replace(w, opened=True) if w.session == session else w for w in snapshot.windows)
            return replace(snapshot, windows=tuple(opened))
        case SessionCancelled(session=session) | WindowClosed(session=session):
            return replace(snapshot, windows=_without(snapshot.windows, session))
    return snapshot


def _keys(plan: Plan, retired: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(toggle.key for toggle in plan.toggles if toggle.key not in retired)


def _without(windows: tuple[Window, ...], session: str) -> tuple[Window, ...]:
    return tuple(window for window in windows if window.session != session)


def holds(window: Window, now: datetime) -> bool:
    """Whether `now` is inside [opens, closes)."""
    return window.opens <= now and (window.closes is None or now < window.closes)


def _opened_by(windows: tuple[Window, ...], when: datetime) -> tuple[Window, ...]:
    """A window opens by the time alone; its record follows. A halt in between must not shut it again."""
    return tuple(replace(w, opened=True) if holds(w, when) else w for w in windows)


def _moved(window: Window, opens: datetime, closes: datetime | None, when: datetime) -> Window:
    """A window moved into the future has not opened yet, whatever it had before."""
    return replace(window, opens=opens, closes=closes, opened=window.opened and opens <= when)


# -- the answer


def bucket(snapshot: FlagSnapshot, user: str) -> int:
    """Where a user stands among 100,000 in this rollout: a hash of rollout + ":" + user in UTF-8, modulo 100,000.

    `v` says which hash, for as long as the rollout lasts. 2: MurmurHash3 (x86, 32 bits, seed 0). 1: the first 8 bytes,
    big-endian, of SHA-256. Published, with vectors: clients compute it themselves. It does not know a toggle's key,
    so that all toggles of the group agree.
    """
    text = f"{snapshot.rollout}:{user}".encode()
    if snapshot.v == 1:
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") % BUCKETS
    return mmh3.mmh3_32_uintdigest(text) % BUCKETS


def answers(snapshot: FlagSnapshot) -> bool:
    """Whether reads of its keys are answered from this rollout: not once it was cancelled."""
    return snapshot.phase != "cancelled"


def evaluate(
    snapshot: FlagSnapshot,
    user: str | None,
    now: datetime,
    hmac: Callable[[str], str],
    attributes: Mapping[str, str] = {},
) -> Answer:
    """Whether this user has the whole group on at `now`. Without a user: only when everyone has.

    `now` is the reader's time, which never goes back; `hmac` gives the vault's HMAC of a user's id and is asked only
    while some tester's window holds. `user` as the application has it: see `known_as`.
    """
    exposure = snapshot.exposure
    if exposure.to == "nobody" or snapshot.phase in ("planned", "rolled_back", "cancelled"):
        return Answer(False, "DISABLED")
    if exposure.to == "everyone":
        return Answer(True, "STATIC")
    if user is not None:
        user = known_as(user, snapshot.actor)
        if _in_window(snapshot, user, now, hmac):
            return Answer(True, "TARGETING_MATCH")
        for audience in exposure.audiences:
            if _holds_user(audience, snapshot, user, attributes):
                return Answer(True, "TARGETING_MATCH" if audience.percentage >= 100 else "SPLIT")
    return Answer(False, "SPLIT" if exposure.to == "percentage" else "TARGETING_MATCH")


def testing_now(snapshot: FlagSnapshot, now: datetime) -> tuple[str, ...]:
    """The references of the testers in whose window `now` lies, in the order of their sessions."""
    return tuple(w.tester for w in snapshot.windows if holds(w, now) and (w.opened or not snapshot.halted))


def _in_window(snapshot: FlagSnapshot, user: str, now: datetime, hmac: Callable[[str], str]) -> bool:
    held = testing_now(snapshot, now)
    if not held:
        return False
    mine = hmac(user)
    return any(snapshot.testers.get(tester) == mine for tester in held)


def _holds_user(audience: Audience, snapshot: FlagSnapshot, user: str, attributes: Mapping[str, str]) -> bool:
    """In the group, and below the percentage of it."""
    if not in_group(audience, user, attributes):
        return False
    return audience.percentage >= 100 or bucket(snapshot, user) < limit(audience)


def in_group(audience: Audience, user: str, attributes: Mapping[str, str]) -> bool:
    """By attribute, or by id; an audience that names neither is of every user."""
    if not (audience.attribute or audience.users or audience.group):
        return True
    return user in audience.users or bool(audience.attribute and attributes.get(audience.attribute) in audience.any_of)


def limit(audience: Audience) -> int:
    """The first bucket that is not in its percentage."""
    return round(audience.percentage * 1000)
