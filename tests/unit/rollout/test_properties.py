"""Whatever is asked, in whatever order: the invariants of the state machine hold.

Random people send random commands at random times, most of them sensible, some of them not. Every record is folded
both step by step and from its stored bytes, and the snapshot that applications read is folded beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from events.codec import VERSION, decode, digest, encode
from events.facts import Actor, ExposureSet, PhaseEntered, Record, WorkflowResult
from events.plan.reading import read_plan
from events.plan.schema import Plan
from projections import flags
from services.plan.file import parse
from services.plan.imagined import good_value
from services.rollout import commands as c
from services.rollout import exposure, steps
from services.rollout.blockers import blockers, next_move
from services.rollout.decider import Refused, decide
from services.rollout.due import agenda, due
from services.rollout.guards.entering import prerequisites_missing
from services.rollout.phases import RULES, TRANSITIONS
from services.rollout.state import Rollout, apply
from services.rollout.status import status
from tests.hypothesis_profiles import SEQUENCES

ROOT = Path(__file__).parents[3]
START = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)

MANAGER = Actor("mo", "release_manager")
OWNER = Actor("olga", "approver", ("Product Owner",))
STAKEHOLDER = Actor("sam", "approver", ("Stakeholders",))
FACILITATOR = Actor("fay", "facilitator")
CI = Actor("ci", "ci")
CLOCK = Actor("clock", "clock")
READER = Actor("rita", "reader")
EVERYBODY = (MANAGER, OWNER, STAKEHOLDER, FACILITATOR, CI, CLOCK, READER)

PLAN = read_plan(
    {
        "title": "A release in three stages",
        "time_zone": "America/New_York",
        "toggles": {"one": "first", "two": "second"},
        "prerequisites": ["the service is live", {"text": "approved", "attested_by": "Product Owner"}],
        "go_no_go": {"decided_by": ["Product Owner", "Stakeholders"], "valid_for": "3 days"},
        "criteria": {
            "errors": {"below": 10, "stop_above": 50, "then": "roll back"},
            "latency": {"at_most": "5s", "stop_above": "15s", "then": "halt"},
        },
        "deploy": {
            "services": ["api", "web"],
            "criteria": ["errors"],
            "watch": [{"until": "2 hours", "results": ["log"]}],
        },
        "testing": {"workflows": ["book", "cancel"], "sessions": {"length": "30 minutes"}, "results": ["comments"]},
        "groups": {"clinic": {"attribute": "facility", "any_of": ["983"]}},
        "rollout": {
            "criteria": ["errors", "latency"],
            "length": "1 hour",
            "stages": [{"to": "clinic"}, {"to": "5% to 25%"}, {"to": "everyone", "automatic": True}],
        },
        "go_live": {"kpis": ["bookings"], "results_after": ["1 day"], "results": ["unique users"]},
        "post_launch_questions": ["what did we learn"],
    },
    default_id="three-stages",
)
SEED = parse((ROOT / "plans" / "vaos-service-integration.example-values.yaml").read_text())


def _commands(plan: Plan) -> st.SearchStrategy[c.Command]:
    """Commands about this plan: its own items mostly, and some that it does not have."""
    items = st.sampled_from([i.id for i in steps.all_items(plan)] + ["no-such-item"])
    names = sorted({k.name for s in steps.steps(plan) for k in steps.criteria(plan, s)}) or ["none"]
    results = sorted(
        {q.id for s in (*steps.steps(plan), *steps.result_sets(plan)) for q in steps.questions(plan, s)}
        | {k.name for k in plan.go_live.kpis}
    ) or ["none"]
    questions = [q.id for q in (*plan.go_no_go.questions, *plan.post_launch_questions)] or ["none"]
    sessions = st.sampled_from(["s1", "s2"])
    reason = st.sampled_from(["because", ""])
    at = st.integers(-60, 6000).map(lambda m: (START + timedelta(minutes=m)).isoformat())
    done = st.lists(
        st.builds(WorkflowResult, st.sampled_from([*plan.testing.workflows, "?"]), st.booleans()), max_size=4
    ).map(tuple)
    return st.one_of(
        st.builds(c.ReportDeploy, st.sampled_from([*plan.deploy.services, "other"]), st.sampled_from(["1", "2"])),
        st.builds(c.StartTesting),
        st.builds(c.CutOver),
        st.builds(c.Advance, to=st.sampled_from(["", "10%", "25%", "everyone", "stage-2", "stage-9"])),
        st.builds(c.GoBack, st.sampled_from(["stage-1", "stage-2", "?"]), reason=reason),
        st.builds(c.GoLive),
        st.builds(c.Close, st.sampled_from(["keep", "remove"])),
        st.builds(c.Halt, reason=reason),
        st.builds(c.Resume, reason=reason),
        st.builds(c.RollBack),
        st.builds(c.Cancel, reason=reason),
        st.builds(c.Attest, items),
        st.builds(c.Withdraw, items),
        st.builds(c.Decide, st.sampled_from(["go", "go", "go", "no_go", "pause", "pivot"])),
        st.builds(c.ScheduleSession, sessions, st.sampled_from(["t-1", "t-2"]), at=at),
        st.builds(c.MoveSession, sessions, at=at),
        st.builds(c.MoveSession, sessions, length=st.sampled_from(["20 minutes", "2 hours"])),
        st.builds(c.CancelSession, sessions),
        st.builds(c.OpenWindow, sessions),
        st.builds(c.CloseWindow, sessions),
        st.builds(c.RecordSession, sessions, workflows=done),
        st.builds(c.RecordResult, st.sampled_from(results), st.sampled_from(["yes", "12"])),
        st.builds(c.RecordVerdict, st.sampled_from(names), st.sampled_from(["1", "20", "1000", "NaN", "no data"])),
        st.builds(c.TakeSnapshot, st.sampled_from([*steps.result_sets(plan), "?"])),
        st.builds(c.AnswerQuestion, st.sampled_from(questions), st.just("yes")),
        st.builds(c.RetireToggle, st.sampled_from([t.key for t in plan.toggles] + ["?"])),
        st.builds(c.AddNote, st.just("a note")),
    )


def _carry_on(rollout: Rollout, now: datetime) -> list[tuple[Actor, c.Command]]:
    """What sensible people would do next: so that random histories get far, and not only refused."""
    deeds: list[tuple[Actor, c.Command]] = []
    people = {"Product Owner": OWNER, "Stakeholders": STAKEHOLDER}
    for b in blockers(rollout, now):
        who = people.get(b.by, Actor(b.by or "mo", "release_manager", (b.by,) if b.by else ()))
        match b.kind:
            case "attest":
                deeds.append((who, c.Attest(b.item)))
            case "decide":
                deeds.append((who, c.Decide("go")))
            case "criterion":
                deeds.append((CI, c.RecordVerdict(b.item, good_value(rollout.plan.criteria[b.item]))))
            case "result":
                step, _, item = b.item.partition("/")
                deeds += [(FACILITATOR, c.RecordResult(item, value, step=step)) for value in ("12", "no")]
            case "deploy":
                deeds.append((CI, c.ReportDeploy(b.item, "1")))
            case "answer":
                deeds.append((OWNER, c.AnswerQuestion(b.item, "yes")))
            case "halted":
                deeds.append((MANAGER, c.Resume(reason="fixed")))
            case "session" | "workflow":
                deeds += _tested(rollout, now)
            case _:
                pass
    moves: dict[str, c.Command] = {
        "start_testing": c.StartTesting(),
        "cut_over": c.CutOver(),
        "advance": c.Advance(),
        "go_live": c.GoLive(),
        "close": c.Close("keep"),
    }
    if not deeds and next_move(rollout) in moves:
        deeds.append((MANAGER, moves[next_move(rollout)]))
    return deeds


def _tested(rollout: Rollout, now: datetime) -> list[tuple[Actor, c.Command]]:
    """Sessions that have begun are recorded; another is planned when none is left."""
    open_ones = [s for s in rollout.sessions.values() if not s.outcome]
    done = tuple(WorkflowResult(w, True) for w in rollout.plan.testing.workflows)
    begun = [s.id for s in open_ones if s.starts <= now]
    if begun:
        return [(FACILITATOR, c.RecordSession(name, workflows=done)) for name in begun]
    starts = (now + timedelta(minutes=1)).isoformat()
    return [] if open_ones else [(FACILITATOR, c.ScheduleSession(f"x{rollout.ordinal}", "t-9", at=starts))]


class History:
    """A rollout's log in memory, every invariant checked at every record."""

    def __init__(self, plan: Plan) -> None:
        self.id = plan.id
        self.now = START
        self.stored: list[bytes] = []
        self.refusals: list[tuple[str, ...]] = []
        self.rollout: Rollout | None = None
        self.snapshot: flags.FlagSnapshot | None = None
        self.send(MANAGER, c.Adopt(plan))

    def send(self, by: Actor, command: c.Command) -> None:
        before = self.rollout
        try:
            facts = decide(command, before, by, self.now, rollout_id=self.id)
        except Refused as refusal:
            self.refusals.append(refusal.reasons)
            return
        if not facts:
            return
        ordinal = len(self.stored) + 1
        previous = digest(self.stored[-1]) if self.stored else ""
        record = Record(
            VERSION,
            self.id,
            ordinal,
            previous,
            self.now,
            by,
            c.name_of(command),
            f"c{ordinal}",
            "",
            facts,
            command.reason,
        )
        data = encode(record)
        self.stored.append(data)
        after = apply(before, decode(data), ordinal)
        self.snapshot = flags.fold(self.snapshot, decode(data), ordinal)
        self.rollout = after
        if before is not None:
            self._check(before, after, record, command)
        again = decide_again(command, after, by, self.now)
        assert again in ((), None) or not _same_effect(after, again, command), "a repeated command did something"

    def _check(self, before: Rollout, after: Rollout, record: Record, command: c.Command) -> None:
        _legal_move(before, after, record)
        raising = exposure.raises(before.exposure, after.exposure)
        if raising:
            missing = prerequisites_missing(before)
            assert not missing, f"exposure was raised while {[b.text for b in missing]}"
            assert not before.halted, "exposure was raised while halted"
        # A tester's window is only ever effective while somebody may be exposed.
        assert (
            after.phase not in ("planned", "code_deploy", "rolled_back", "cancelled") or after.exposure.to == "nobody"
        )
        assert sum(isinstance(f, ExposureSet) for f in record.facts) <= 1, "the group flips in one fact"
        if record.command == "roll_back":
            assert after.exposure.to == "nobody"
            assert not [s for s in after.sessions.values() if s.window == "open"]

    def settle(self) -> None:
        """What the clock would do now."""
        for _ in range(20):
            assert self.rollout is not None
            owed = due(self.rollout, self.now)
            if not owed:
                return
            size = len(self.stored)
            for each in owed:
                self.send(CLOCK, each.command)
            assert len(self.stored) > size, f"the clock owes {[e.what for e in owed]} and cannot do it"


def decide_again(command: c.Command, after: Rollout, by: Actor, now: datetime) -> tuple[object, ...] | None:
    try:
        return decide(command, after, by, now)
    except Refused:
        return None


def _same_effect(after: Rollout, again: tuple[object, ...], command: c.Command) -> bool:
    """Commands that mean something new each time they are sent: a step further, another note, another measurement."""
    return not isinstance(command, (c.AddNote, c.Advance, c.RecordVerdict, c.Decide, c.GoBack))


def _legal_move(before: Rollout, after: Rollout, record: Record) -> None:
    """The phase that the facts lead to is one the table leads to."""
    if before.phase == after.phase:
        return
    command = record.command
    if command == "record_verdict":  # the plan's own consequence of a breach
        command = "roll_back"
    allowed = {to for move, sources, to, _ in TRANSITIONS if move == command and before.phase in sources}
    assert after.phase in allowed, f"{command} led from {before.phase} to {after.phase}"
    assert command in RULES.events
    entered = [f.phase for f in record.facts if isinstance(f, PhaseEntered)]
    assert entered[-1] == after.phase


def _refolds(history: History) -> None:
    """Folding the stored bytes from the beginning gives the same state and the same snapshot, byte for byte."""
    state: Rollout | None = None
    snapshot: flags.FlagSnapshot | None = None
    previous = ""
    for revision, data in enumerate(history.stored, 1):
        record = decode(data)
        assert record.previous == previous
        previous = digest(data)
        state = apply(state, record, revision)
        snapshot = flags.fold(snapshot, record, revision)
    assert msgspec.json.encode(state) == msgspec.json.encode(history.rollout)
    assert msgspec.json.encode(snapshot) == msgspec.json.encode(history.snapshot)
    stored = msgspec.json.decode(msgspec.json.encode(state), type=Rollout)
    assert stored == state, "the state survives being stored"


def _readers_agree(history: History) -> None:
    """What applications read is what the state says: the whole group or none of it, for each kind of user."""
    assert history.rollout is not None
    rollout = history.rollout
    assert history.snapshot is None or history.snapshot.exposure == rollout.exposure
    if history.snapshot is None:
        assert rollout.phase == "cancelled"
        return
    for user in ("u1", "u2"):
        answer = flags.evaluate(history.snapshot, user, history.now, lambda u: u, {"facility": "983"})
        if rollout.exposure.to == "nobody":
            assert not answer.value
        if rollout.exposure.to == "everyone":
            assert answer.value


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["random", "sensible", "sensible", "wait"]),
        st.integers(0, 6),
        st.sampled_from([1, 30, 90, 1500]),
    ),
    min_size=5,
    max_size=40,
)


COMMANDS = {plan.id: _commands(plan) for plan in (PLAN, SEED)}


def _sensibly(history: History, rounds: int) -> None:
    """Everybody does what is to be done, for so many rounds of an hour and a half."""
    for _ in range(rounds):
        assert history.rollout is not None
        for by, command in _carry_on(history.rollout, history.now):
            history.send(by, command)
        history.now += timedelta(minutes=90)
        history.settle()


def _play(
    plan: Plan,
    rounds: int,
    script: list[tuple[str, int, int]],
    draw: Callable[[st.SearchStrategy[c.Command]], c.Command],
) -> History:
    history = History(plan)
    _sensibly(history, rounds)
    for kind, who, minutes in script:
        assert history.rollout is not None
        if kind == "wait":
            history.now += timedelta(minutes=minutes)
            history.settle()
        elif kind == "sensible":
            _sensibly(history, 1)
        else:
            history.send(EVERYBODY[who], draw(COMMANDS[plan.id]))
        status(history.rollout, history.now)
        agenda(history.rollout)
    return history


@settings(max_examples=SEQUENCES)
@pytest.mark.timeout(1800)
@given(st.data(), st.integers(0, 40), STEPS, st.sampled_from([PLAN, SEED]))
def test_random_commands_never_break_an_invariant(
    data: st.DataObject, rounds: int, script: list[tuple[str, int, int]], plan: Plan
) -> None:
    history = _play(plan, rounds, script, data.draw)
    assert history.rollout is not None
    event(f"ends in {history.rollout.phase}")
    _refolds(history)
    _readers_agree(history)
    assert all(reasons and all(reasons) for reasons in history.refusals), "a refusal says why"


def test_sensible_people_carry_the_plan_from_adoption_to_closed() -> None:
    """The generator above is worth something: without random commands it reaches the end."""
    history = History(PLAN)
    _sensibly(history, 60)
    assert history.rollout is not None
    assert history.rollout.phase == "closed", [b.text for b in blockers(history.rollout, history.now)]
    _refolds(history)
