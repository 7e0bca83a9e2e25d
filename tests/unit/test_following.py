"""Following the log: what was missed comes, once each, and trouble is said once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from events import facts as f
from services.engine.engine import Engine
from services.engine.messages import Accepted, Refusal, Request
from services.following import Followed, follow
from services.log.memory import MemoryLog
from services.log.protocol import Entry
from services.rollout import commands as c
from tests.histories import MANAGER, START, History, plan

UNKNOWN = "revision 2 of rollout 'one' cannot be folded: KeyError: 'nobody'"


class AwayForThreeTries(MemoryLog):
    """Once its records are in it."""

    failing = 0

    def _reach(self, rollout: str | None = None) -> None:
        self.reachable, self.failing = self.failing <= 0, self.failing - 1
        super()._reach(rollout)


async def stored(log: MemoryLog, count: int, rollout: str = "one") -> None:
    history = History(rollout)
    for revision in range(count):
        fact: f.Fact = f.PlanAdopted(plan=plan(rollout)) if revision == 0 else f.Noted(text=str(revision))
        entry = history.add("note", fact)
        await log.append(rollout, entry.data, expected=revision, command_id=entry.command_id)


async def test_a_log_that_is_away_is_waited_for_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    log, all_seen = AwayForThreeTries(), asyncio.Event()
    await stored(log, 3)
    log.failing = 3
    seen: list[int] = []

    async def take(batch: Sequence[Entry]) -> None:
        seen.extend(entry.revision for entry in batch)
        if seen[-1] == 3:
            all_seen.set()

    with caplog.at_level(logging.WARNING):
        following = asyncio.create_task(follow(log, "the test", take, pause=0.001))
        await asyncio.wait_for(all_seen.wait(), 5)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert seen == [1, 2, 3]
    assert [record.message for record in caplog.records] == [
        "the test lost the log at revision 0: the log in memory is switched off"
    ]
    assert following.cancelled()


async def test_what_is_followed_is_the_rollout_until_its_chain_breaks() -> None:
    log, rollouts = MemoryLog(), Followed()
    await stored(log, 3)
    first, second, third = await log.read("one")
    state = rollouts.take(first)
    assert state is not None
    assert state.plan.id == "one"
    assert rollouts.take(third) is None  # the second one is missing
    assert rollouts.get("one") == state
    assert rollouts.take(second) is None  # and what comes after a break is not believed
    assert (rollouts.ids(), rollouts.get("two")) == (("one",), None)


async def test_a_record_that_cannot_be_folded_stops_its_rollout_alone() -> None:
    log, rollouts, history = MemoryLog(), Followed(), History("one")
    for fact in (f.PlanAdopted(plan("one")), f.SessionCancelled("nobody")):
        entry = history.add("x", fact)
        await log.append("one", entry.data, expected=await log.head(), command_id=entry.command_id)
    two = History("two").add("adopt", f.PlanAdopted(plan("two")))
    await log.append("two", two.data, expected=0, command_id=two.command_id)
    first, second = await log.read("one")
    state = rollouts.take(first)
    assert rollouts.take(second) is None
    assert rollouts.get("one") == state
    assert rollouts.take((await log.read("two"))[0]) is not None
    await is_refused_and_the_other_is_not(Engine(log, lambda: START))


async def is_refused_and_the_other_is_not(engine: Engine) -> None:
    for command in (c.AddNote("x"), c.RollBack(), c.Halt(reason="x")):
        reply = await engine.ask(Request("one", c.name_of(command), MANAGER, command))
        assert isinstance(reply, Refusal)
        assert (reply.code, reply.reasons) == ("stopped", (UNKNOWN,))
    assert isinstance(await engine.ask(Request("two", "n1", MANAGER, c.AddNote("x"))), Accepted)
