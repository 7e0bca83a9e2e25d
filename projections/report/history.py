"""The records of one rollout, by what they say, and since when which of them count.

One rule: after a rollback the release begins anew. What was recorded before a step's latest beginning was about another
try: it is kept, and shown as earlier, never as the answer.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

from events import facts as f
from events.facts import Phase, Record
from events.plan.schema import Plan

F = TypeVar("F")


class Line(NamedTuple):
    """A record and its revision."""

    revision: int
    record: Record

    @property
    def when(self) -> datetime:
        return self.record.when


class Found(NamedTuple, Generic[F]):
    """A fact and the record that holds it."""

    fact: F
    at: Line


class History:
    """All records of a rollout up to some point, oldest first; the first adopts the plan. Raises ValueError."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = tuple(lines)
        self.by_revision = {line.revision: line for line in self.lines}
        self._by: defaultdict[type, list[Found[Any]]] = defaultdict(list)
        self.began: dict[str, int] = {}  # step -> the revision since which what is recorded of it counts
        self.entered: dict[str, list[Line]] = defaultdict(list)
        self.phase: Phase = "planned"
        self.halted = False
        self.exposure = f.NOBODY
        self.released: Line | None = None  # the first 100%, since the last rollback
        self.rolled_back = 0
        self.stage = 0
        self.went_back: set[int] = set()  # the revisions that entered an earlier stage than the one before
        for line in self.lines:
            for fact in line.record.facts:
                self._by[type(fact)].append(Found(fact, line))
                self._follow(fact, line)
        if not self.plans:
            raise ValueError("a history begins with an adopted plan")

    def of(self, kind: type[F]) -> list[Found[F]]:
        """Every fact of this kind, oldest first."""
        return cast("list[Found[F]]", self._by[kind])

    @property
    def plans(self) -> list[tuple[Plan, Line]]:
        """The plan as adopted, and after each revision."""
        found = [(each.fact.plan, each.at) for each in self.of(f.PlanAdopted)]
        found += [(each.fact.plan, each.at) for each in self.of(f.PlanRevised)]
        return sorted(found, key=lambda each: each[1].revision)

    @property
    def plan(self) -> Plan:
        """As it stands at the end."""
        return self.plans[-1][0]

    def planned_in(self, part: Callable[[Plan], object]) -> Line:
        """The record since which this part of the plan is what it is now."""
        wanted, since = part(self.plan), self.plans[-1][1]
        for plan, line in reversed(self.plans):
            if part(plan) != wanted:
                break
            since = line
        return since

    def firsts(self, lines: Iterable[Line]) -> list[Line]:
        """The first of these lines in each try, oldest first: a rollback ends a try."""
        ends = [line.revision for line in self.entered.get("rolled_back", [])]
        found = {
            bisect(ends, line.revision): line for line in sorted(lines, reverse=True, key=lambda line: line.revision)
        }
        return sorted(found.values(), key=lambda line: line.revision)

    def tester(self, line: Line) -> str:
        """The tester whose session this record is about, by reference; "": it is about none."""
        sessions = {getattr(fact, "session", "") for fact in line.record.facts}
        return next((each.fact.tester for each in self.of(f.SessionScheduled) if each.fact.session in sessions), "")

    def starts(self, step: str) -> int:
        """The revision since which results of a step, or of a set of results, count; 0: since ever."""
        if step in {after.text for after in self.plan.go_live.results_after}:
            return self.released.revision if self.released else self.rolled_back
        return self.began.get(step, 0)

    def _follow(self, fact: f.Fact, line: Line) -> None:
        match fact:
            case f.PhaseEntered(phase=phase):
                self.phase, self.stage = phase, 0
                self.began[phase] = line.revision
                self.entered[phase].append(line)
                if phase in ("rolled_back", "closed", "cancelled"):
                    self.halted = False
                if phase == "rolled_back":
                    self.rolled_back, self.released = line.revision, None
            case f.WatchStarted():
                self.began["code_deploy"] = line.revision
            case f.StageEntered(stage=stage):
                if stage < self.stage:
                    self.went_back.add(line.revision)
                self.stage = stage
                self.began[f"stage-{stage}"] = line.revision
                self.entered[f"stage-{stage}"].append(line)
            case f.Halted():
                self.halted = True
            case f.Resumed():
                self.halted = False
            case f.ExposureSet(exposure=exposure):
                self.exposure = exposure
                if exposure.to == "everyone" and self.released is None:
                    self.released = line
