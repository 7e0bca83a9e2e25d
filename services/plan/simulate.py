"""A plan carried out on an imagined clock, by imagined people who act at once: the cheap way to find its holes.

One rule: nothing is decided here. Every step is a command judged by the same `decide` that the service uses; what
blocks it says who would have to do what, and that is what the imagined people do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from events.codec import VERSION
from events.exposed import exposure_words
from events.facts import Actor, Phase, Record, UtcTime
from events.plan.checks import check
from events.plan.schema import Plan, Toggle
from services.plan.imagined import CLOCK, MANAGER, answer_to, move_of
from services.rollout.asked import Surroundings
from services.rollout.blockers import Blocker, blockers, next_move
from services.rollout.commands import Adopt, Command
from services.rollout.decider import decide
from services.rollout.due import agenda, due
from services.rollout.refusals import Refused
from services.rollout.state import Rollout, apply

PATIENCE = 2000
"""Commands after which a plan that has not reached its end is given up."""


COMES_AFTER: dict[str, tuple[str, ...]] = {
    "criterion": ("length",),
    "result": ("length", "session", "workflow"),
    "decide": ("length", "session", "workflow", "criterion", "result"),
    "answer": ("length", "result", "snapshot"),
}
"""What sensible people do only when something else is over: nobody judges a step that has just begun."""


class Happening(Struct, frozen=True, omit_defaults=True):
    """One line of the timeline: when, who, and what happened, was waited for, or is a hole in the plan."""

    at: UtcTime
    who: str
    what: str
    kind: Literal["done", "by itself", "wait", "hole"] = "done"
    phase: Phase = "planned"
    exposure: str = "nobody"


class Simulation(Struct, frozen=True):
    """What would happen. `holes` are what the plan itself leaves open; `phase` is where it ends."""

    id: str
    title: str
    time_zone: str
    begins: UtcTime
    ends: UtcTime
    phase: Phase
    holes: tuple[str, ...]
    timeline: tuple[Happening, ...]

    @property
    def sound(self) -> bool:
        """Whether the plan, as it stands, reaches its end."""
        return self.phase == "closed" and not self.holes


class Stuck(Exception):
    """Nobody, and no amount of waiting, brings the plan any further."""


def simulate(plan: Plan, start: datetime) -> Simulation:
    """Carry the plan out from `start` (UTC); holes are filled by imagination, so that those behind them are found."""
    run = _Run(plan, start)
    try:
        run.to_the_end()
    except Stuck as stuck:
        run.hole(str(stuck))
    phase = run.rollout.phase if run.rollout else "planned"
    return Simulation(plan.id, plan.title, plan.time_zone, start, run.now, phase, tuple(run.holes), tuple(run.timeline))


class _Run:
    """The rollout as it moves on, and the timeline so far."""

    def __init__(self, plan: Plan, start: datetime) -> None:
        self.plan = plan
        self.now = start
        self.rollout: Rollout | None = None
        self.timeline: list[Happening] = []
        self.holes: list[str] = []
        self.revision = 0
        self.around = Surroundings(phases=dict.fromkeys(plan.after, "closed"))

    def to_the_end(self) -> None:
        self._adopt()
        while self._here().phase != "closed":
            if self.revision > PATIENCE:
                raise Stuck(f"after {PATIENCE} steps the plan is still in {self._here().phase}")
            if not self._clock_acts():
                self._somebody_acts()

    def _adopt(self) -> None:
        """Begin; blanks in a plan that is no draft are one hole more, and then filled like any others."""
        draft = replace(self.plan, draft=True)
        errors = [found for found in check(draft) if found.level == "error"]
        for found in errors:
            self.hole(found.words())
        if errors:
            raise Stuck("with errors in it, the plan cannot be adopted")
        if self.plan.gaps and not self.plan.draft:
            self.hole("the plan has blanks and does not say draft: true, so it cannot be adopted yet")
        for other in self.plan.after:
            self.say("", f"taken for granted: {other} is released", "wait")
        self.send(MANAGER, Adopt(plan=draft), "adopts the plan")

    def _here(self) -> Rollout:
        assert self.rollout is not None
        return self.rollout

    def send(self, by: Actor, command: Command, words: str) -> None:
        """One command, judged as the service would."""
        self.revision += 1
        try:
            facts = decide(command, self.rollout, by, self.now, self.around)
        except Refused as refused:
            raise Stuck(f"{by.subject} {words}: refused, because {'; '.join(refused.reasons)}") from refused
        if not facts:
            raise Stuck(f"{words}: it changes nothing, and the plan still waits for it")
        record = Record(
            v=VERSION,
            rollout=self.plan.id,
            ordinal=self.revision,
            previous="",
            when=self.now,
            who=by,
            command=str(command.__struct_config__.tag),
            command_id=str(self.revision),
            command_hash="",
            facts=facts,
        )
        self.rollout = apply(self.rollout, record, self.revision)
        self.say(by.subject, words, "by itself" if by is CLOCK else "done")

    def say(self, who: str, what: str, kind: Literal["done", "by itself", "wait", "hole"]) -> None:
        at = self.rollout
        phase: Phase = at.phase if at else "planned"
        exposure = exposure_words(at.exposure) if at else "nobody"
        self.timeline.append(Happening(self.now, who, what, kind, phase, exposure))

    def hole(self, text: str) -> None:
        if text not in self.holes:
            self.holes.append(text)
            self.say("", text, "hole")

    def _clock_acts(self) -> bool:
        for owed in due(self._here(), self.now):
            self.send(CLOCK, owed.command, owed.what)
            return True
        return False

    def _somebody_acts(self) -> None:
        """People do what they can, then time passes, then a hole is named; with nothing missing, the move is made."""
        missing, move = blockers(self._here(), self.now), next_move(self._here())
        holes = [b for b in missing if _is_hole(b)]
        deploys = [b for b in missing if b.kind == "deploy" and move == "report_deploy"]
        others = [b for b in missing if b not in holes and b not in deploys]
        if any(self._answer(blocker, others) for blocker in others):
            return
        if others:
            self._wait(others)
        elif holes:
            self._fill(holes[0])
        elif deploys:
            self._answer(deploys[0], deploys)
        elif move:
            self.send(*move_of(move, self._here()))
        else:
            raise Stuck(f"no move leads on from {self._here().phase}")

    def _fill(self, blocker: Blocker) -> None:
        """A hole in the plan: name it, and go on as if it were filled."""
        here = self._here()
        plan = here.plan
        if blocker.kind == "gap":
            plan = replace(plan, gaps=tuple(gap for gap in plan.gaps if gap.path != blocker.item))
        elif blocker.kind != "toggle":
            here = replace(here, default_approvers=("an approver",))
        if blocker.kind == "toggle" or blocker.item == "toggles":
            plan = replace(plan, toggles=plan.toggles or (Toggle("a-toggle-still-to-be-named"),))
        self.hole(blocker.text)
        self.rollout = replace(here, plan=plan)

    def _answer(self, blocker: Blocker, missing: list[Blocker]) -> bool:
        """What somebody does about it, if anything but waiting helps."""
        if any(_waits_for(blocker, other) for other in missing):
            return False
        found = answer_to(blocker, self._here(), self.now)
        if found is None:
            return False
        by, command, words = found
        self.send(by, command, words)
        return True

    def _wait(self, missing: list[Blocker]) -> None:
        times = [b.until for b in missing if b.until is not None]
        times += [owed.at for owed in agenda(self._here())]
        ahead = [at for at in times if at > self.now]
        if not ahead:
            raise Stuck("; ".join(b.text for b in missing))
        why = next((b.text for b in missing if b.until == min(ahead)), "")
        what = why or next((owed.what for owed in agenda(self._here()) if owed.at == min(ahead)), "time")
        self.say("", what, "wait")
        self.now = min(ahead)


def _waits_for(blocker: Blocker, other: Blocker) -> bool:
    """Whether sensible people see to `other` first. A set of results waits for its own time alone."""
    if other.kind not in COMES_AFTER.get(blocker.kind, ()):
        return False
    own = blocker.kind != "result" or other.kind != "length"
    return own or blocker.item.startswith(f"{other.item}/")


def _is_hole(blocker: Blocker) -> bool:
    """Whether only a change of the plan helps; found last, where the plan would really stop."""
    return blocker.kind in ("gap", "toggle") or (blocker.kind == "decide" and not blocker.by)
