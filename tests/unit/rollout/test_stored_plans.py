"""Whatever plan is accepted, in whatever form it came: nothing that looks at its rollout ever fails.

Values anywhere in a stored plan are replaced by ones that no person would write. Either the plan is refused with
words, or its whole rollout can be carried out, folded and looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st
from msgspec import Struct

from events.codec import VERSION, decode, encode
from events.facts import Actor, Record
from events.plan.checks import check
from events.plan.reading import read_plan
from events.plan.schema import Plan, Seconds
from events.plan.walk import bare, is_part, parts_of
from projections import flags
from services.rollout import commands as c
from services.rollout.blockers import blockers
from services.rollout.decider import Refused, decide
from services.rollout.due import agenda, due
from services.rollout.state import Rollout, apply
from services.rollout.status import status
from tests.unit.rollout.test_properties import CLOCK, MANAGER, START, _carry_on

PLAN = read_plan(
    {
        "title": "A release",
        "toggles": {"one": ""},
        "prerequisites": ["live"],
        "go_no_go": {"decided_by": ["Product Owner"], "valid_for": "3 days"},
        "criteria": {"errors": {"below": 10, "per": "any 10 minutes", "query": "errors"}},
        "deploy": {"services": ["api"], "criteria": ["errors"], "watch": [{"until": "2 hours"}], "date": "2026-03-02"},
        "testing": {"workflows": ["book"], "length": "1 hour to 2 days", "sessions": {"toggles_off": "1 minute after"}},
        "rollout": {"length": "1 hour", "stages": ["5% to 25%", {"to": "everyone", "length": "2 hours"}]},
        "go_live": {"results_after": ["1 day"], "results": ["users"], "experiment": {"ends_after": "1 week"}},
        "freezes": [{"first": "2026-11-24", "last": "2026-11-30"}],
    },
    default_id="a-plan",
)
WHOLE = [-(10**12), -7200, -1, 0, 1, 3, 60, 5_000, 86_400, 316_224_000, 316_224_001, 10**12, 10**18]
SHARES = [-5.0, 0.0, 5.0, 33.3, 100.0, 500.0]
TEXTS = ["", "x", "v\n", "TBD", "2022-99-99", "9999-12-31", "2026-03-02", "stage-1", "everyone", "10%", "a\x07"]


def leaves(kind: Any, value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Every place in the plan that holds a number or a text, and what might stand there."""
    kind = bare(kind)
    if is_part(kind) and isinstance(value, Struct):
        for info in parts_of(type(value)):
            yield from leaves(info.type, getattr(value, info.name), (*path, info.name))
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(type(one), one, (*path, name))
    elif isinstance(value, tuple):
        for n, one in enumerate(value):
            yield from leaves(type(one), one, (*path, n))
    elif kind in (int, Seconds):
        yield path, WHOLE
    elif kind is float:
        yield path, SHARES
    elif isinstance(value, str):
        yield path, TEXTS


EDITS = [(path, one) for path, pool in leaves(Plan, PLAN) for one in pool]


def edited(edits: list[tuple[tuple[Any, ...], Any]]) -> Plan | None:
    """The plan with these values; None where msgspec itself refuses them."""
    data = msgspec.json.decode(msgspec.json.encode(PLAN))
    for (*steps, last), value in edits:
        place = data
        for step in steps:
            place = place[step] if isinstance(step, int) else place.setdefault(step, {})
        place[last] = value
    try:
        return msgspec.convert(data, Plan)
    except msgspec.ValidationError:
        return None


class Carried:
    """A rollout of the plan, carried out as far as it goes; everything that can be asked about it is asked."""

    def __init__(self, plan: Plan) -> None:
        self.now = START
        self.plan = plan
        self.ordinal = 0
        self.rollout: Rollout | None = None
        self.snapshot: flags.FlagSnapshot | None = None
        self.send(MANAGER, c.Adopt(plan))

    def send(self, by: Actor, command: c.Command) -> None:
        try:
            facts = decide(command, self.rollout, by, self.now, rollout_id=self.plan.id)
        except Refused:
            return
        if facts:
            self.ordinal += 1
            name = c.name_of(command)
            sent = Record(VERSION, self.plan.id, self.ordinal, "", self.now, by, name, f"c{self.ordinal}", "", facts)
            record = decode(encode(sent))
            self.rollout = apply(self.rollout, record, self.ordinal)
            self.snapshot = flags.fold(self.snapshot, record, self.ordinal)

    def live(self, rounds: int) -> None:
        for _ in range(rounds):
            assert self.rollout is not None
            for by, command in _carry_on(self.rollout, self.now):
                self.send(by, command)
            self.look()
            self.now += timedelta(minutes=90)
            for each in due(self.rollout, self.now):
                self.send(CLOCK, each.command)

    def look(self) -> None:
        assert self.rollout is not None
        agenda(self.rollout)
        blockers(self.rollout, self.now)
        msgspec.json.encode(status(self.rollout, self.now))


@given(st.lists(st.sampled_from(EDITS), min_size=1, max_size=3))
def test_a_plan_that_is_accepted_can_be_carried_out_and_looked_at(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    plan = edited(edits)
    if plan is None:
        event("refused by its types")
        return
    if any(finding.level == "error" for finding in check(plan)):
        event("refused by its check")
        return
    story = Carried(plan)
    if story.rollout is None:
        event("refused by the decider")
        return
    story.live(25)
    event(f"reached {story.rollout.phase}")
