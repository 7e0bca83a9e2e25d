"""Who holds which toggle key, by the whole log."""

from __future__ import annotations

from datetime import UTC, datetime

from events.codec import VERSION, encode
from events.facts import Actor, Fact, PhaseEntered, PlanAdopted, PlanRevised, Record
from events.plan.reading import read_plan
from events.plan.schema import Plan
from services.engine.directory import Directory
from services.log.memory import MemoryLog

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MANAGER = Actor("mo", "release_manager")


def plan(rollout: str, *toggles: str) -> Plan:
    return read_plan({"title": "A release", "toggles": dict.fromkeys(toggles, "")}, default_id=rollout)


async def owners(*history: tuple[str, Fact]) -> dict[str, str]:
    """Who owns which key after these facts, each a record of its rollout."""
    log = MemoryLog()
    last: dict[str, int] = {}
    for n, (rollout, fact) in enumerate(history, 1):
        record = Record(VERSION, rollout, n, "", NOW, MANAGER, "c", f"c{n}", "", (fact,))
        last[rollout] = await log.append(rollout, encode(record), expected=last.get(rollout, 0), command_id=f"c{n}")
    return (await Directory(log).surroundings())[0].toggle_owners


async def test_a_key_that_a_revision_drops_stays_its_rollout_s_until_that_is_cancelled() -> None:
    dropped: tuple[tuple[str, Fact], ...] = (
        ("one", PlanAdopted(plan("one", "a", "b"))),
        ("one", PlanRevised(plan("one", "b"))),
    )
    assert await owners(*dropped) == {"a": "one", "b": "one"}
    assert await owners(*dropped, ("one", PhaseEntered("cancelled"))) == {}


async def test_a_key_that_two_rollouts_have_named_belongs_to_the_one_whose_plan_names_it() -> None:
    """It could be taken over once, whichever of them was there first."""
    begun: list[tuple[str, Fact]] = [("one", PlanAdopted(plan("one", "a"))), ("two", PlanAdopted(plan("two", "c")))]
    taken: list[tuple[str, Fact]] = [
        ("one", PlanRevised(plan("one", "b"))),
        ("two", PlanRevised(plan("two", "a", "c"))),
    ]
    for history in ((*begun, *taken), (*reversed(begun), *taken)):
        assert await owners(*history) == {"a": "two", "b": "one", "c": "two"}
