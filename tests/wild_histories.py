"""Histories of two rollouts in which everything happens that can change who has the toggles on, in any order.

One rule: the same seed and length give the same bytes. Plausible is not wanted here: folds and readers take whatever
the log holds; only what a fold could not take (a session nobody scheduled) is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import get_args

from msgspec.structs import replace

from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure, Fact, Phase
from events.plan.schema import Plan, Toggle
from services.log.protocol import Entry
from tests.histories import START, History, plan

KEYS = ("t1", "t2", "t3")
GROUPS = (
    Audience(),
    Audience(group="staff", users=("p1", "p2")),
    Audience(group="west", attribute="facility", any_of=("983", "984")),
    Audience(group="named", attribute="facility", any_of=("983",), users=("p3",)),
)
PHASES: tuple[Phase, ...] = tuple(phase for phase in get_args(Phase) if phase != "cancelled")


@dataclass
class _One:
    """One rollout as far as the next fact needs it."""

    history: History
    keys: tuple[str, ...]
    retired: tuple[str, ...] = ()
    sessions: list[str] = field(default_factory=list)
    cancelled: bool = False


class Wild:
    """`entries` grows with each step. `testers` are the references that windows may name."""

    def __init__(self, seed: int, testers: Sequence[str]) -> None:
        self.entries: list[Entry] = []
        self.now = START
        self.edges: list[datetime] = []  # when windows open and close
        self._rng = random.Random(seed)
        self._testers = testers
        self._rollouts: dict[str, _One] = {}

    def step(self) -> None:
        """One more record, of one of the rollouts; often at the same time as the one before."""
        self.now += timedelta(seconds=self._rng.choice((0, 0, 1, 30, 600, 3600)))
        name = self._rng.choice(("a", "b"))
        one = self._rollouts.get(name)
        if one is None:
            self._adopt(name)
            return
        turn: Callable[[_One], tuple[Fact, ...]] = self._rng.choices(
            (self._phase, self._exposed, self._session, self._halted, self._revised, self._retired, self._cancelled),
            (3, 6, 9, 3, 0.7, 0.5, 0.2),
        )[0]
        self._add(one, turn(one) or (f.Noted("nothing that matters"),))

    def _add(self, one: _One, facts: tuple[Fact, ...]) -> None:
        one.history.when = self.now
        stored = one.history.add("note", *facts, after=0)
        self.entries.append(Entry(len(self.entries) + 1, stored.rollout, stored.data))

    def _free(self) -> list[str]:
        """Keys that no rollout lists or has retired, but for those of cancelled ones."""
        held = {key for one in self._rollouts.values() if not one.cancelled for key in (*one.keys, *one.retired)}
        return [key for key in KEYS if key not in held]

    def _adopt(self, name: str) -> None:
        keys = self._some(self._free())
        one = self._rollouts[name] = _One(History(name), keys)
        self._add(one, (f.PlanAdopted(self._plan(name, keys), (), self._rng.choice((1, 2))), f.PhaseEntered("planned")))

    def _plan(self, name: str, keys: tuple[str, ...]) -> Plan:
        return replace(plan(name), toggles=tuple(Toggle(key, key) for key in keys))

    def _some(self, of: Sequence[str]) -> tuple[str, ...]:
        return tuple(self._rng.sample(of, self._rng.randint(min(1, len(of)), len(of))))

    def _phase(self, _one: _One) -> tuple[Fact, ...]:
        phase = self._rng.choice((*PHASES, "veteran_testing", "cutover", "cutover", "go_live"))
        off = (f.ExposureSet(NOBODY),) if phase == "rolled_back" and self._rng.random() < 0.7 else ()
        return (f.PhaseEntered(phase), *off)

    def _exposed(self, one: _One) -> tuple[Fact, ...]:
        set_ = f.ExposureSet(self._exposure())
        began = (f.PhaseEntered("cutover"),) if not one.cancelled and self._rng.random() < 0.5 else ()
        return (*began, set_)

    def _exposure(self) -> Exposure:
        kind = self._rng.choice(("one of", "audiences", "audiences", "audiences"))
        if kind == "one of":
            return self._rng.choice((NOBODY, TESTERS, TESTERS, TESTERS, EVERYONE))
        groups = self._rng.sample(GROUPS, self._rng.randint(1, 2))
        audiences = tuple(replace(g, percentage=self._rng.choice((0.5, 25.0, 50.0, 99.0, 100.0))) for g in groups)
        return Exposure("cohort" if any(a.group for a in audiences) else "percentage", audiences)

    def _session(self, one: _One) -> tuple[Fact, ...]:
        what = self._rng.choice(("schedule", "schedule", "move", "cancel", "open", "close", "record"))
        if what == "schedule" or not one.sessions:
            name = f"s{len(one.sessions) + 1}"
            one.sessions.append(name)
            starts, opens, closes = self._window()
            return (f.SessionScheduled(name, self._rng.choice(self._testers), starts, closes, opens, closes),)
        name = self._rng.choice(one.sessions)
        if what == "move":
            starts, opens, closes = self._window()
            return (f.SessionMoved(name, starts, closes, opens, closes),)
        made: dict[str, Fact] = {
            "cancel": f.SessionCancelled(name),
            "open": f.WindowOpened(name),
            "close": f.WindowClosed(name),
            "record": f.SessionRecorded(name, True),
        }
        return (made[what],)

    def _window(self) -> tuple[datetime, datetime, datetime | None]:
        opens = self.now + timedelta(seconds=self._rng.choice((-600, 0, 60, 1800)))
        closes = opens + timedelta(seconds=self._rng.choice((30, 1800, 7200)))
        self.edges += (opens, closes)
        return opens + timedelta(seconds=10), opens, self._rng.choice((closes, closes, None))

    def _halted(self, _one: _One) -> tuple[Fact, ...]:
        return self._rng.choice(((f.Halted("look"),), (f.Resumed(),), (f.Halted("a"), f.Resumed())))

    def _revised(self, one: _One) -> tuple[Fact, ...]:
        if one.cancelled:
            return ()
        one.keys = self._some((*(key for key in one.keys if key not in one.retired), *self._free()))
        return (f.PlanRevised(self._plan(one.history.rollout, (*one.keys, *one.retired)), ("toggles",)),)

    def _retired(self, one: _One) -> tuple[Fact, ...]:
        left = [key for key in one.keys if key not in one.retired]
        if one.cancelled or not left:
            return ()
        one.retired = (*one.retired, self._rng.choice(left))
        return (f.ToggleRetired(one.retired[-1]),)

    def _cancelled(self, one: _One) -> tuple[Fact, ...]:
        one.cancelled = True
        return (f.PhaseEntered("cancelled"),)
