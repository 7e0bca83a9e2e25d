"""The guards: everything that is missing for a move, in a release manager's words.

One rule: a guard never stops at the first reason; it collects all of them on the move that is being tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.facts import EVERYONE, Actor, Phase
from events.plan.schema import Criterion, Item
from services.rollout import steps
from services.rollout.state import Rollout, Session

Kind = Literal[
    "gap",
    "attest",
    "decide",
    "length",
    "criterion",
    "result",
    "session",
    "workflow",
    "answer",
    "deploy",
    "halted",
    "frozen",
    "phase",
    "toggle",
    "after",
    "snapshot",
    "reason",
]


class Blocker(Struct, frozen=True, omit_defaults=True):
    """One thing that is missing. `by`: who can mend it (a title or ""); `until`: when time alone will."""

    text: str
    kind: Kind
    item: str = ""
    by: str = ""
    until: datetime | None = None


class Move:
    """One move being tried: the machine's model.

    `step` is the step that would be entered ("" if none); `by` is None when nobody asks, as in a list of blockers.
    """

    __slots__ = ("by", "finished", "missing", "now", "reason", "rollout", "state", "step")

    def __init__(
        self,
        rollout: Rollout,
        step: str,
        now: datetime,
        by: Actor | None = None,
        reason: str = "",
        finished: dict[str, Phase] | None = None,
    ) -> None:
        self.rollout = rollout
        self.step = step
        self.now = now
        self.by = by
        self.reason = reason
        self.finished = finished
        self.missing: list[Blocker] = []
        self.state: str = rollout.phase

    def nothing_missing(self) -> bool:
        """The last condition of every row of the table."""
        return not self.missing

    def _collect(self, found: Iterable[Blocker]) -> bool:
        self.missing.extend(found)
        return True

    def enter(self) -> bool:
        """The one guard of promotions: leaving the step we are in, and entering the next."""
        self._collect(_halted(self.rollout))
        if self.step == steps.current_step(self.rollout):  # going up within a stage's range
            self._collect(_criteria(self, self.step, over=None))
        else:
            self._collect(_leaving(self))
        return self._collect(_entering(self))

    def still_to_come(self) -> tuple[Blocker, ...]:
        """What entering the step will need, for a move that is asked for too early; nothing once it is behind."""
        order, here = steps.steps(self.rollout.plan), steps.current_step(self.rollout)
        ahead = self.rollout.phase == "planned" or (here in order and self.step in order[order.index(here) + 1 :])
        return tuple(_entering(self)) if ahead else ()

    def ready_for_deploy(self) -> bool:
        """What the plan must say before its code counts as deployed."""
        self._collect(_gaps(self.rollout, self.step))
        return self._collect(_attestations(self.rollout, steps.checklist(self.rollout.plan, self.step)))

    def everything_answered(self) -> bool:
        """What must be known before a rollout is closed."""
        return self._collect(_closing(self))

    def testing_is_planned(self) -> bool:
        """start_testing needs a plan that tests."""
        why = self.rollout.plan.testing.waived
        if why:
            self.missing.append(Blocker(f"the plan waives testing ({why}): cut over instead", "phase"))
        return True

    def testing_is_waived(self) -> bool:
        """Cutting over right after the watch needs a plan that waives testing."""
        if not self.rollout.plan.testing.waived:
            self.missing.append(Blocker("the plan asks for testing first: start testing", "phase"))
        return True

    def reason_given(self) -> bool:
        """Some moves need nothing but a reason."""
        if not self.reason.strip():
            self.missing.append(Blocker("a reason is needed: say why", "reason"))
        return True


# -- leaving the step we are in


def _leaving(move: Move) -> Iterator[Blocker]:
    rollout, now = move.rollout, move.now
    step = steps.current_step(rollout)
    if not step:
        return
    yield from _deploys(rollout, step)
    yield from _length(rollout, step, now)
    yield from _criteria(move, step, steps.length_over_at(rollout))
    yield from _answers(rollout, step)
    if step == "veteran_testing":
        yield from _testing(rollout, now)


def _deploys(rollout: Rollout, step: str) -> Iterator[Blocker]:
    if step != "code_deploy" or rollout.step_since is not None:
        return
    for service in rollout.plan.deploy.services:
        if service not in rollout.deploys:
            yield undeployed(rollout, service)


def undeployed(rollout: Rollout, service: str) -> Blocker:
    """A service of the plan that CI has not reported yet."""
    return Blocker(f"{service} has not been reported as deployed to {rollout.plan.environment}", "deploy", service)


def _length(rollout: Rollout, step: str, now: datetime) -> Iterator[Blocker]:
    over = steps.length_over_at(rollout)
    if over is not None and now < over and not rollout.halted:
        local = over.astimezone(ZoneInfo(rollout.plan.time_zone))
        text = f"{steps.title_of(rollout.plan, step)} lasts until {local:%Y-%m-%d %H:%M %Z}"
        yield Blocker(text, "length", step, until=over)


def _criteria(move: Move, step: str, over: datetime | None) -> Iterator[Blocker]:
    """The step's criteria that do not pass; with `over`, those judged before the step's full time was over too."""
    for criterion in steps.criteria(move.rollout.plan, step):
        if not criterion.dry_run:
            yield from _criterion(move, step, criterion, over)


def _criterion(move: Move, step: str, criterion: Criterion, over: datetime | None) -> Iterator[Blocker]:
    rollout, name, by = move.rollout, criterion.name, criterion.judged_by
    found = rollout.verdicts.get(f"{step}/{name}")
    if found is None or found.ordinal < rollout.step_ordinal:
        yield Blocker(f"{name!r} has not been judged in {steps.title_of(rollout.plan, step)}", "criterion", name, by)
    elif found.verdict == "pass":
        if over is not None and found.until < over:
            yield Blocker(f"{name!r} was judged before the full time was over", "criterion", name, by)
    elif found.verdict == "inconclusive" and found.band == "yellow":
        yield from _explicit_go(move, f"{name!r} is between its limits ({found.why})", found.ordinal)
    else:
        state = {"fail": "failed", "inconclusive": "is inconclusive", "error": "could not be judged"}[found.verdict]
        yield Blocker(f"{name!r} {state}: {found.why}", "criterion", name, by)


def _explicit_go(move: Move, what: str, after: int) -> Iterator[Blocker]:
    """Going on all the same takes every approver's standing go for what comes next, given after that record."""
    rollout = move.rollout
    step = steps.next_step(rollout) or steps.current_step(rollout)
    for title in steps.approvers(rollout) or ("an approver",):
        choice = rollout.choices.get(f"{step}/{title}")
        known = choice is not None and choice.ordinal > after
        why = _why_no_go(move, step, title) if known else "none was given after that"
        if why:
            yield Blocker(f"{what}: going on needs an explicit go of {title}, but {why}", "decide", step, title)


def _answers(rollout: Rollout, step: str) -> Iterator[Blocker]:
    """The results that are missing. "If yes, what" is asked only where the question before it was not answered no."""
    before = ""
    for q in steps.questions(rollout.plan, step):
        beginning = q.text.casefold()
        if (before, beginning[:6]) != ("no", "if yes") and (before, beginning[:5]) != ("yes", "if no"):
            yield from _answer(rollout, step, q.id, q.text, q.must_be, q.answered_by)
        found = rollout.results.get(f"{step}/{q.id}")
        before = found.value.casefold() if found is not None and found.ordinal >= steps.began(rollout, step) else ""


def _answer(rollout: Rollout, step: str, item: str, text: str, must_be: str, by: str) -> Iterator[Blocker]:
    result = rollout.results.get(f"{step}/{item}")
    where = steps.title_of(rollout.plan, step)
    if result is None or result.ordinal < steps.began(rollout, step):
        yield Blocker(f"{text!r} is not recorded for {where}", "result", f"{step}/{item}", by)
    elif must_be and result.value.casefold() != must_be.casefold():
        yield Blocker(f"{text!r} must be {must_be!r}, recorded was {result.value!r}", "result", f"{step}/{item}", by)


# -- testing


def _testing(rollout: Rollout, now: datetime) -> Iterator[Blocker]:
    plan = rollout.plan.testing
    if not steps.exposes_testers(rollout.plan):
        return
    took_place = [s for s in rollout.sessions.values() if s.outcome not in ("cancelled", "no_show")]
    sessions = [s for s in took_place if counts(rollout, s)]
    held = [s for s in sessions if s.outcome == "held"]
    if plan.access == "sessions" and len(held) < plan.sessions.at_least:
        missing = plan.sessions.at_least - len(held)
        yield Blocker(
            f"{missing} more test session{'s' * (missing > 1)} must be held and recorded "
            f"({len(held)} of {plan.sessions.at_least})",
            "session",
        )
    testers = {s.tester for s in (held if plan.access == "sessions" else sessions)}
    if len(testers) < plan.testers:
        yield Blocker(f"{len(testers)} of {plan.testers} testers have taken part", "session")
    for session in sessions:
        if not session.outcome and session.ends is not None and session.ends <= now:
            yield Blocker(f"session {session.id!r} is over and its results are not recorded", "session", session.id)
    for workflow in plan.workflows:
        yield from _workflow(workflow, plan.each_workflow, held)


def counts(rollout: Rollout, session: Session) -> bool:
    """Whether a session tests what is being released now: of this round, and not over before testing began."""
    this_round = session.ordinal > rollout.rolled_back_ordinal
    return this_round and (session.closes is None or session.closes > rollout.entered_at)


def _workflow(workflow: str, at_least: int, held: list[Session]) -> Iterator[Blocker]:
    done = [(s.id, w) for s in held for w in s.workflows if w.workflow == workflow]
    passed = sum(1 for _, w in done if w.done)
    if passed < at_least:
        yield Blocker(f"workflow {workflow!r} was done {passed} of {at_least} times", "workflow", workflow)
    for session, w in done:
        if not w.done and not w.waived:
            yield Blocker(
                f"workflow {workflow!r} failed in session {session!r} and nobody waived it", "workflow", workflow
            )


# -- entering the next step


def _halted(rollout: Rollout) -> Iterator[Blocker]:
    if rollout.halted:
        yield Blocker(f"halted: {rollout.halted_because or 'no reason given'}; resume first", "halted")


def _entering(move: Move) -> Iterator[Blocker]:
    rollout, step = move.rollout, move.step
    yield from _gaps(rollout, step)
    yield from _frozen(rollout, move.now)
    yield from _not_above_what_failed(rollout, step)
    yield from _prerequisites(rollout, step)
    yield from _attestations(rollout, steps.checklist(rollout.plan, step))
    if rollout.rolled_back_ordinal and step == steps.FIRST_STAGE:
        yield from _before_again(rollout)
    for skipped in steps.passed_over(rollout, step):
        yield from _gaps(rollout, skipped)
        yield from _attestations(rollout, steps.checklist(rollout.plan, skipped))
    if steps.needs_go(rollout, step):
        yield from _standing_go(move)
    yield from _after_others(move)
    if move.by is not None and move.by.role == "clock":
        stage = steps.stage_of(rollout.plan, step)
        if stage is None or not stage.automatic:
            yield Blocker("the plan does not say that this step is entered automatically", "phase")


def _gaps(rollout: Rollout, step: str) -> Iterator[Blocker]:
    for gap in steps.gaps_for(rollout.plan, step):
        yield Blocker(f"the plan says {gap.text!r} at {gap.path!r}: fill it in and revise the plan", "gap", gap.path)


def _frozen(rollout: Rollout, now: datetime) -> Iterator[Blocker]:
    zone = ZoneInfo(rollout.plan.time_zone)
    today = now.astimezone(zone).date().isoformat()
    for freeze in rollout.plan.freezes:
        if freeze.first <= today <= freeze.last:
            why = f" ({freeze.why})" if freeze.why else ""
            ends = datetime.combine(date.fromisoformat(freeze.last) + timedelta(days=1), datetime.min.time(), zone)
            yield Blocker(f"frozen from {freeze.first} to {freeze.last}{why}", "frozen", until=ends)


def _not_above_what_failed(rollout: Rollout, step: str) -> Iterator[Blocker]:
    """After a rollback without a new deploy. What failed before any stage was entered comes back to none."""
    failed, number = rollout.highest_stage, steps.stage_number(step)
    if step == "go_live" and rollout.exposure != EVERYONE:
        number = len(rollout.plan.rollout.stages) + 1
    if not rollout.rolled_back_ordinal or rollout.deployed_since_rollback or number <= failed:
        return
    what = f"stage {failed}, which failed" if failed else "testing: it was rolled back before any stage"
    yield Blocker(f"without a new deploy the rollout does not go above {what}", "deploy")


def _prerequisites(rollout: Rollout, step: str) -> Iterator[Blocker]:
    """They must hold at every promotion from the first exposure on, not only at that one."""
    order = steps.steps(rollout.plan)
    first = steps.first_exposure(rollout.plan)
    if step in order and order.index(step) >= order.index(first):
        yield from _attestations(rollout, rollout.plan.prerequisites, "prerequisite ")
    if step in order and step == first and rollout.plan.switch == "cutover" and not rollout.plan.toggles:
        yield Blocker("the plan names no toggle", "toggle")


def prerequisites_missing(rollout: Rollout) -> tuple[Blocker, ...]:
    """The prerequisites that do not hold: nothing raises exposure while there are any."""
    return tuple(_attestations(rollout, rollout.plan.prerequisites, "prerequisite "))


def widening_missing(rollout: Rollout, now: datetime) -> tuple[Blocker, ...]:
    """What is against more users in the current stage: halted, frozen, or a prerequisite that does not hold."""
    return (*_halted(rollout), *_frozen(rollout, now), *prerequisites_missing(rollout))


def _attestations(rollout: Rollout, items: Iterable[Item], what: str = "") -> Iterator[Blocker]:
    for item in items:
        if steps.attested(rollout, item):
            continue
        by = item.attested_by or "the release manager"
        if item.id in rollout.withdrawn:
            yield Blocker(f"{what}{item.text!r} was withdrawn: {by} must attest it again", "attest", item.id, by)
        else:
            yield Blocker(f"{what}{item.text!r} is not attested by {by}", "attest", item.id, by)


def _before_again(rollout: Rollout) -> Iterator[Blocker]:
    for item in rollout.plan.before_release_again:
        if not steps.attested(rollout, item):
            by = item.attested_by or "the release manager"
            text = f"{item.text!r} is not attested by {by} since the rollback"
            yield Blocker(text, "attest", item.id, by)


def _standing_go(move: Move) -> Iterator[Blocker]:
    rollout, step = move.rollout, move.step
    titles = steps.approvers(rollout)
    if not titles:
        where = steps.title_of(rollout.plan, step)
        text = f"nobody is named to decide go for {where}: name `go_no_go: decided_by` in the plan"
        yield Blocker(text, "decide", step)
    for title in titles:
        why = _why_no_go(move, step, title)
        if why:
            yield Blocker(why, "decide", step, title)


def _why_no_go(move: Move, step: str, title: str) -> str:
    """Why the role's latest decision is no standing go for the step, for whoever asks; "" if it is one."""
    where = steps.title_of(move.rollout.plan, step)
    choice = move.rollout.choices.get(f"{step}/{title}")
    if choice is None:
        return f"{title} has not decided go for {where}"
    if choice.decision != "go":
        return f"{title} decided {choice.decision} for {where}"
    if choice.voided:
        return f"the go of {title} for {where} is void: {choice.voided}"
    if choice.expires is not None and choice.expires <= move.now:
        return f"the go of {title} for {where} expired at {choice.expires:%Y-%m-%d %H:%M} UTC"
    if move.by is not None and choice.subject == move.by.subject:
        return f"the go of {title} for {where} is your own: somebody else must send the move"
    return ""


def _after_others(move: Move) -> Iterator[Blocker]:
    """Plans this one comes after: released, by the time the first user is exposed."""
    if move.finished is None or move.step != steps.first_exposure(move.rollout.plan):
        return
    for other in move.rollout.plan.after:
        phase = move.finished.get(other)
        if phase not in ("go_live", "closed"):
            yield Blocker(f"{other!r} comes first and is {phase or 'not adopted'}", "after", other)


# -- closing


def _closing(move: Move) -> Iterator[Blocker]:
    rollout, plan, now = move.rollout, move.rollout.plan, move.now
    yield from _halted(rollout)
    yield from (
        Blocker(f"the plan says {g.text!r} at {g.path}: revise it", "gap", g.path)
        for g in plan.gaps
        if g.step == "close"
    )
    for text, seconds in steps.result_sets(plan).items():
        due = rollout.released_at + timedelta(seconds=seconds) if rollout.released_at else None
        if due is not None and now < due:
            yield Blocker(f"the {text} results are due at {due:%Y-%m-%d %H:%M} UTC", "length", text, until=due)
            continue
        if rollout.snapshots.get(text, 0) <= rollout.released_ordinal:
            yield Blocker(f"the {text} snapshot is not taken", "snapshot", text)
        for kpi in plan.go_live.kpis:
            yield from _answer(rollout, text, kpi.name, kpi.name, "", "")
        yield from _answers(rollout, text)
    for q in plan.post_launch_questions:
        if steps.answer(rollout, q) is None:
            yield Blocker(f"{q.text!r} is not answered", "answer", q.id, q.answered_by)
    yield from _criteria(move, "go_live", None)
