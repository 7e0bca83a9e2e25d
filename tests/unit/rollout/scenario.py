"""given / when / then for the pure core: rollouts with a history, a command, and what came of it.

One rule: a history is made of commands that were really decided, so no test starts from a state that cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from events.codec import VERSION
from events.facts import Actor, Decision, Fact, Record, WorkflowResult
from events.plan.reading import read_plan
from events.plan.schema import Plan
from services.plan.file import parse
from services.plan.imagined import good_value
from services.rollout import commands as c
from services.rollout import criteria, steps
from services.rollout.asked import ALONE, Surroundings
from services.rollout.blockers import blockers
from services.rollout.decider import decide
from services.rollout.due import Due, agenda, due
from services.rollout.refusals import Refused
from services.rollout.state import Rollout, apply

RELEASE_MANAGER = Actor("mia", "release_manager")
PRODUCT_OWNER = Actor("paul", "approver", ("VAOS Product Owner",))
STAKEHOLDERS = Actor("bea", "approver", ("Business Stakeholders",))
CI = Actor("ci", "ci")
MONITOR = Actor("monitor", "monitor")
FACILITATOR = Actor("fay", "facilitator")
CLOCK = Actor("clock", "clock")
SOMEBODY = Actor("sam", "approver")

START = datetime(2022, 7, 29, 13, tzinfo=UTC)  # 9:00 in New York
SECOND, MINUTE, HOUR, DAY, WEEK = (timedelta(seconds=n) for n in (1, 60, 3_600, 86_400, 604_800))
SEED = Path(__file__).parents[3] / "plans" / "vaos-service-integration.example-values.yaml"


class Outcome(Struct, frozen=True):
    """What came of a command: facts and the story after them, or a refusal."""

    story: Story
    facts: tuple[Fact, ...] = ()
    refusal: Refused | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        assert self.refusal is not None, f"not refused: {self.facts}"
        return self.refusal.reasons

    def then(self, *facts: Fact) -> Story:
        """Exactly these facts."""
        assert self.refusal is None, f"refused: {self.refusal}"
        assert self.facts == facts
        return self.story

    def then_among(self, *facts: Fact) -> Story:
        """These facts among others."""
        assert self.refusal is None, f"refused: {self.refusal}"
        missing = [fact for fact in facts if fact not in self.facts]
        assert not missing, f"missing {missing} among {self.facts}"
        return self.story

    def already(self) -> Story:
        """It is so already: nothing is written."""
        return self.then()

    def refused(self, *words: str, code: str = "refused") -> Story:
        """Refused, with a reason that holds each of these words."""
        reasons = self.reasons
        for word in words:
            assert any(word in reason for reason in reasons), f"no {word!r} among {list(reasons)}"
        assert self.refusal is not None
        assert self.refusal.code == code
        return self.story

    def refused_only(self, *words: str) -> Story:
        """Refused, with as many reasons as words, each holding its word."""
        self.refused(*words)
        assert len(self.reasons) == len(words), list(self.reasons)
        return self.story


class Story(Struct, frozen=True):
    """A rollout with its history, and the time it is."""

    rollout: Rollout | None = None
    now: datetime = START
    records: tuple[Record, ...] = ()
    around: Surroundings = ALONE

    @property
    def state(self) -> Rollout:
        assert self.rollout is not None
        return self.rollout

    def at(self, when: datetime) -> Story:
        """The same, at another time."""
        return replace(self, now=when)

    def after(self, span: timedelta) -> Story:
        """The same, so much later."""
        return replace(self, now=self.now + span)

    def when(self, command: c.Command, by: Actor = RELEASE_MANAGER, at: datetime | None = None) -> Outcome:
        """Try a command."""
        now = at or self.now
        try:
            facts = decide(command, self.rollout, by, now, self.around)
        except Refused as refused:
            return Outcome(replace(self, now=now), refusal=refused)
        return Outcome(self._with(command, by, now, facts), facts)

    def _with(self, command: c.Command, by: Actor, now: datetime, facts: tuple[Fact, ...]) -> Story:
        if not facts:
            return replace(self, now=now)
        n = len(self.records) + 1
        rollout = self.rollout.id if self.rollout else getattr(command, "plan", Plan("")).id
        record = Record(VERSION, rollout, n, "", now, by, c.name_of(command), f"id-{n}", "", facts, command.reason)
        after = apply(self.rollout, record, n * 10)
        return replace(self, rollout=after, now=now, records=(*self.records, record))

    def then(self, command: c.Command, by: Actor = RELEASE_MANAGER, at: datetime | None = None) -> Story:
        """Go on with a command that must be accepted."""
        outcome = self.when(command, by, at)
        assert outcome.refusal is None, f"{c.name_of(command)} was refused: {outcome.refusal}"
        return outcome.story

    def missing(self) -> tuple[str, ...]:
        """What blocks the next move, in words."""
        return tuple(blocker.text for blocker in blockers(self.state, self.now))

    def due(self) -> tuple[Due, ...]:
        return due(self.state, self.now)

    def agenda(self) -> tuple[Due, ...]:
        return agenda(self.state)

    def tick(self) -> Story:
        """The clock carries out everything that is due."""
        story = self
        for each in self.due():
            story = story.then(each.command, by=CLOCK)
        return story


def given(story: Story | Plan) -> Story:
    """A story to go on with; a plan is adopted."""
    return story if isinstance(story, Story) else adopted(story)


# -- plans


@cache
def seed() -> Plan:
    """The seed's plan, its blanks filled with example values."""
    return parse(SEED.read_text(encoding="utf-8"), default_id="vaos-service-integration")


def plan_of(**parts: Any) -> Plan:
    """A small plan: one toggle, no testing, no approval, no watch to wait for, unless `parts` say so."""
    small: dict[str, Any] = {
        "title": "A plan",
        "toggles": {"a_toggle": "A toggle"},
        "go_no_go": {"decided_by": ["Product Owner"], "before": ["go live"]},
        "deploy": {"services": ["api"]},
        "testing": {"waived": "a small change"},
        "go_live": {"results_after": ["1 week"], "results": ["Types of errors logged"]},
        "post_launch_questions": ["What next?"],
    }
    return read_plan(small | parts, default_id="a-plan")


OWNER = Actor("olga", "approver", ("Product Owner",))  # decides for `plan_of`


# -- the seed's rollout, step by step


def adopted(plan: Plan | None = None, at: datetime = START) -> Story:
    """Planned."""
    return Story(now=at).then(c.Adopt(plan=plan or seed()))


def deployed(plan: Plan | None = None) -> Story:
    """In code_deploy: every service reported, the watch just started."""
    return deploy(adopted(plan), "1")


def deploy(story: Story, version: str) -> Story:
    """CI reports this version of every service of the plan."""
    for service in story.state.plan.deploy.services:
        story = story.then(c.ReportDeploy(service=service, version=version), by=CI)
    return story


def judge_well(story: Story) -> Story:
    """Every criterion of the current step passes now."""
    for criterion in steps.criteria(story.state.plan, steps.current_step(story.state)):
        if criteria.has_limit(criterion):
            command = c.RecordVerdict(criterion=criterion.name, value=good_value(criterion))
        else:
            command = c.RecordVerdict(criterion=criterion.name, verdict="pass")
        story = story.then(command, by=MONITOR)
    return story


def record_results(story: Story, step: str = "") -> Story:
    """Every result of the current step (or of a set of results) is recorded."""
    for question in steps.questions(story.state.plan, step or steps.current_step(story.state)):
        value = question.must_be or {"yes/no": "no", "number": "12", "found/fixed": "0/0"}.get(question.kind, "none")
        story = story.then(c.RecordResult(item=question.id, value=value, step=step), by=FACILITATOR)
    return story


def watched(plan: Plan | None = None) -> Story:
    """The watch is over, its criteria pass and its results are recorded."""
    story = deployed(plan)
    over = timedelta(seconds=max(watch.until for watch in story.state.plan.deploy.watch))
    return record_results(judge_well(story.after(over)))


def attest_all(story: Story) -> Story:
    """Every prerequisite of the seed's plan, by whoever may attest it."""
    people = {actor.titles[0]: actor for actor in (PRODUCT_OWNER, STAKEHOLDERS, OWNER)}
    for item in story.state.plan.prerequisites:
        story = story.then(c.Attest(item=item.id), by=people.get(item.attested_by, RELEASE_MANAGER))
    return story


def in_testing() -> Story:
    """In veteran_testing, nobody tested yet."""
    return attest_all(watched()).then(c.StartTesting())


def scheduled(session: str = "v1", tester: str = "t-1") -> Story:
    """In veteran_testing, with a session of 30 minutes that begins in an hour; its window opens in 30 minutes."""
    story = in_testing()
    at = (story.now + HOUR).isoformat()
    return story.then(c.ScheduleSession(session=session, tester=tester, at=at), by=FACILITATOR)


def all_done(plan: Plan) -> tuple[WorkflowResult, ...]:
    return tuple(WorkflowResult(workflow, done=True, load_times=(1.5,)) for workflow in plan.testing.workflows)


def after_testing() -> Story:
    """A session was held, all workflows done, the results recorded."""
    return record_results(held_at(in_testing()))


def both_decide(story: Story, decision: Decision = "go") -> Story:
    """Both approvers of the seed's plan decide."""
    story = story.then(c.Decide(decision=decision), by=PRODUCT_OWNER)
    return story.then(c.Decide(decision=decision), by=STAKEHOLDERS)


def held_at(story: Story, session: str = "v1", tester: str = "t-1") -> Story:
    """A session that begins in an hour is held and recorded, its window opened and closed by the clock."""
    at = (story.now + HOUR).isoformat()
    story = story.then(c.ScheduleSession(session=session, tester=tester, at=at), by=FACILITATOR)
    story = story.after(30 * MINUTE).tick().after(HOUR).tick()
    return story.then(c.RecordSession(session=session, workflows=all_done(story.state.plan)), by=FACILITATOR)


def decided() -> Story:
    """Tested, and both approvers decided go."""
    return both_decide(after_testing())


def cut_over() -> Story:
    """The whole group on for everyone."""
    return decided().then(c.CutOver())


def live() -> Story:
    """Declared live."""
    return judge_well(cut_over().after(DAY)).then(c.GoLive())


def answered() -> Story:
    """Live for a month, every result and question answered."""
    story = live().after(31 * DAY).tick()
    for step in ("1 week", "1 month"):
        story = record_results(story, step)
        for kpi in story.state.plan.go_live.kpis:
            story = story.then(c.RecordResult(item=kpi.name, value="1", step=step))
    for question in story.state.plan.post_launch_questions:
        story = story.then(c.AnswerQuestion(question=question.id, answer="as hoped"))
    return story


def closed() -> Story:
    return answered().then(c.Close(outcome="keep"))


def rolled_back() -> Story:
    """Cut over, then rolled back."""
    return cut_over().after(HOUR).then(c.RollBack())


HISTORIES: dict[str, Callable[[], Story]] = {
    "adopted": adopted,
    "deployed": deployed,
    "watched": watched,
    "testing": in_testing,
    "scheduled": scheduled,
    "tested": after_testing,
    "decided": decided,
    "cut over": cut_over,
    "live": live,
    "answered": answered,
    "closed": closed,
    "rolled back": rolled_back,
}


# -- a small plan's rollout (see plan_of)


def released(plan: Plan | None = None) -> Story:
    """A small plan's rollout in its first stage, everything it asks for given."""
    story = attest_all(watched(plan or plan_of()))
    story = _checklists(story, "stage-1")
    if any("decided go" in text for text in story.missing()):
        story = story.then(c.Decide(decision="go", step="stage-1"), by=OWNER)
    return story.then(c.CutOver())


def _checklists(story: Story, step: str) -> Story:
    for item in steps.checklist(story.state.plan, step):
        story = story.then(c.Attest(item=item.id))
    return story
