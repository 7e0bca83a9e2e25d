"""Plausible histories of many rollouts, as stored records with valid chains, made without the decider.

One rule: the same seed gives the same bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from events import codec
from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS, Actor, Fact, Record
from events.plan.schema import Criterion, Item, Plan, Quantity, Question, Toggle

START = datetime(2022, 7, 29, 12, tzinfo=UTC)
MANAGER = Actor("mia", "release_manager", ("VAOS Product Owner",))
STAKEHOLDER = Actor("bob", "approver", ("Business Stakeholders",))
CI = Actor("ci", "ci")
CLOCK = Actor("clock", "clock")
MONITOR = Actor("monitor", "monitor")
FACILITATOR = Actor("fay", "facilitator")


class Stored(NamedTuple):
    """One record to append."""

    rollout: str
    data: bytes
    command_id: str


def plan(rollout: str, toggles: int = 4) -> Plan:
    """A small plan whose toggle keys are the rollout's own."""
    return Plan(
        title=f"Release plan of {rollout}",
        id=rollout,
        toggles=tuple(Toggle(f"{rollout}_toggle_{n}", f"part {n}") for n in range(1, toggles + 1)),
        prerequisites=(Item("HSRM is launched and live in Production", id="hsrm-live"),),
        criteria={"Sum of Errors": Criterion(below=Quantity(10.0), per="any 10 minutes", per_seconds=600)},
        post_launch_questions=(Question("What qualitative feedback have you gathered?", id="feedback"),),
    )


class History:
    """One rollout's records as they come: each call to `add` gives the next, its chain kept."""

    def __init__(self, rollout: str, start: datetime = START) -> None:
        self.rollout = rollout
        self.when = start
        self.ordinal = 0
        self.previous = ""

    def add(self, command: str, *facts: Fact, who: Actor = MANAGER, after: float = 1.0, reason: str = "") -> Stored:
        """A record `after` seconds later than the one before."""
        self.ordinal += 1
        self.when += timedelta(seconds=after)
        command_id = f"{self.rollout}-{self.ordinal}"
        record = Record(
            v=codec.VERSION,
            rollout=self.rollout,
            ordinal=self.ordinal,
            previous=self.previous,
            when=self.when,
            who=who,
            command=command,
            command_id=command_id,
            command_hash=codec.digest(command_id.encode()),
            facts=facts,
            reason=reason,
        )
        data = codec.encode(record)
        self.previous = codec.digest(data)
        return Stored(self.rollout, data, command_id)

    def adopted(self) -> Stored:
        return self.add("adopt", f.PlanAdopted(plan(self.rollout)), f.PhaseEntered("planned"))

    def deployed(self, version: str = "1.0") -> Stored:
        reported = f.DeployReported("vets-api", "production", version)
        return self.add("report_deploy", reported, f.PhaseEntered("code_deploy"), f.WatchStarted(), who=CI)

    def testing(self) -> Stored:
        return self.add("start_testing", f.PhaseEntered("veteran_testing"), f.ExposureSet(TESTERS))

    def cut_over(self) -> Stored:
        return self.add(
            "cut_over", f.PhaseEntered("cutover"), f.StageEntered(1, "everyone"), f.ExposureSet(EVERYONE), after=60
        )

    def rolled_back(self) -> Stored:
        return self.add("roll_back", f.PhaseEntered("rolled_back"), f.ExposureSet(NOBODY), reason="errors", after=60)

    def scheduled(self, session: str, tester: str, opens: datetime, closes: datetime | None) -> Stored:
        starts = opens + timedelta(minutes=30)
        fact = f.SessionScheduled(session, tester, starts, closes, opens, closes)
        return self.add("schedule_session", fact, who=FACILITATOR)

    def attested(self) -> Stored:
        fact = f.Attested("hsrm-live", "Business Stakeholders")
        return self.add("attest", fact, who=STAKEHOLDER, reason="seen it live")

    def judged(self, value: float, step: str = "stage-1") -> Stored:
        verdict: f.Verdict = "pass" if value < 10 else "fail"
        since = self.when
        fact = f.VerdictRecorded(
            "Sum of Errors",
            step,
            verdict,
            "",
            f"{value:g} errors, should be below 10",
            since,
            since + timedelta(minutes=10),
            Quantity(value),
            True,
        )
        return self.add("record_verdict", fact, who=MONITOR, after=600)

    def noted(self, text: str) -> Stored:
        return self.add("note", f.Noted(text))


def life(rollout: str, rng: random.Random) -> Iterator[Stored]:
    """A rollout from adoption on, round after round of testing, cutover and rollback, without end."""
    history = History(rollout)
    yield history.adopted()
    yield history.attested()
    release = 0
    while True:
        release += 1
        yield history.deployed(f"{release}.0")
        yield history.judged(rng.randrange(0, 9), "code_deploy")
        yield history.testing()
        for number in range(rng.randrange(1, 3)):
            yield from _session(history, f"s{release}-{number}", f"t-{rng.randrange(1000)}")
        yield history.noted(f"note {rng.randrange(10**6)}")
        yield history.cut_over()
        for _ in range(rng.randrange(1, 6)):
            yield history.judged(rng.randrange(0, 9))
        yield history.add(
            "take_snapshot", f.SnapshotTaken("stage-1", (f.SnapshotEntry("Sum of Errors", "7"),)), who=CLOCK
        )
        if rng.random() < 0.5:
            yield history.judged(rng.randrange(10, 50))
            yield history.add("halt", f.Halted("criterion failed"), who=MONITOR)
            yield history.add("resume", f.Resumed())
        yield history.rolled_back()


def _session(history: History, session: str, tester: str) -> Iterator[Stored]:
    opens = history.when + timedelta(minutes=10)
    closes = opens + timedelta(hours=1)
    yield history.scheduled(session, tester, opens, closes)
    yield history.add("open_window", f.WindowOpened(session), who=CLOCK, after=600)
    workflow = f.WorkflowResult("View upcoming appointments", True, (1.5,))
    yield history.add("record_session", f.SessionRecorded(session, True, (workflow,)), who=FACILITATOR, after=1800)
    yield history.add("close_window", f.WindowClosed(session), who=CLOCK, after=1800)


def records(count: int, rollouts: int, seed: int = 1) -> Iterator[Stored]:
    """`count` records of so many rollouts, mixed."""
    rng = random.Random(seed)
    lives = [life(f"rollout-{n}", rng) for n in range(1, rollouts + 1)]
    for _ in range(count):
        yield next(rng.choice(lives))
