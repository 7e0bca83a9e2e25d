"""One rollout that cannot be looked at: clock, monitor and herald go on with the others, and say so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from events import facts as f
from events.codec import decode
from events.facts import Actor
from events.plan.reading import read_plan
from events.plan.schema import Criterion, Deploy, Plan, Watch
from services.analysis.measure import Measurer
from services.analysis.monitor import Monitor
from services.analysis.prometheus import Prometheus
from services.analysis.readings import MemoryReadings
from services.clock import Clock
from services.engine.engine import Engine
from services.engine.messages import Accepted, Reply, Request
from services.following import Troubled
from services.herald import herald, wording
from services.herald.herald import Herald
from services.herald.owed import Owed
from services.log.memory import MemoryLog
from services.log.protocol import Entry
from services.rollout import commands as c
from tests.histories import START, History, plan

MANAGER, CI = Actor("mia", "release_manager"), Actor("ci", "ci")
FAR = 10**12
GOOD = read_plan(
    {
        "title": "Near",
        "toggles": {"near": ""},
        "criteria": {"errors": {"below": 10, "reading": "errors", "every": "5 seconds"}},
        "deploy": {"services": ["api"], "criteria": ["errors"], "watch": [{"until": "1 hour"}]},
        "report_issues": [{"for": "all", "channel": "near", "announce": ["phases"]}],
    },
    default_id="near",
)
Until = Callable[[], Coroutine[Any, Any, bool]]


class Desk:
    """A log with a rollout whose plan no check would take today, and the engine for the other one."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.now = START
        self.engine = Engine(self.log, lambda: self.now)
        self.failing: type | None = None

    async def put(self, bad: Plan) -> None:
        history = History(bad.id)
        deployed = (f.PhaseEntered("code_deploy"), f.DeployReported("api", "production", "1"), f.WatchStarted())
        for fact in (f.PlanAdopted(bad), *deployed):
            entry = history.add("x", fact)
            last = await self.log.last_revision(bad.id)
            await self.log.append(bad.id, entry.data, expected=last, command_id=entry.command_id)

    async def deploy(self) -> None:
        sent: list[tuple[Actor, c.Command]] = [(MANAGER, c.Adopt(plan=GOOD)), (CI, c.ReportDeploy("api", "1"))]
        for n, (by, command) in enumerate(sent):
            reply = await self.engine.ask(Request("near", f"n{n}", by, command))
            assert isinstance(reply, Accepted), reply

    async def ask(self, request: Request) -> Reply:
        if self.failing is not None and isinstance(request.command, self.failing):
            raise RuntimeError("the engine is at its wits' end")
        return await self.engine.ask(request)

    async def holds(self, command: str) -> bool:
        return any(decode(entry.data).command == command for entry in await self.log.read("near"))


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.put(replace(plan("far"), deploy=Deploy(services=("api",), watch=(Watch(until=FAR),))))
    await desk.deploy()
    return desk


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seen(task: asyncio.Task[None], until: Until) -> None:
    async with asyncio.timeout(5):
        while not await until():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)


async def test_the_clock_goes_on_with_the_others(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(desk.log, desk.ask, lambda: desk.now, tick=0.005)
    desk.now += timedelta(hours=2)
    async with running(clock.run()) as task:
        await seen(task, lambda: desk.holds("remind"))
        await asyncio.sleep(0.05)
    words = "the clock fails at rollout far: OverflowError: date value out of range"
    assert clock.troubles() == (words,)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [words]


async def test_an_engine_that_fails_at_one_command_of_the_clocks_is_asked_the_others(desk: Desk) -> None:
    clock = Clock(desk.log, desk.ask, lambda: desk.now, tick=0.005)
    desk.now, desk.failing = desk.now + timedelta(hours=2), c.Remind
    await clock._take(await desk.log.read("near"))
    await clock.tick()
    assert clock.troubles() == ("the clock fails at rollout near: RuntimeError: the engine is at its wits' end",)
    desk.failing = None
    await clock.tick()
    assert not await desk.holds("remind"), "it is asked again after a while only"
    desk.now += timedelta(seconds=6)
    await clock.tick()
    assert await desk.holds("remind")
    assert clock.troubles() == ()


async def test_what_is_due_is_looked_at_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(desk.log, desk.ask, lambda: desk.now, tick=0.005)

    def fails(*_: object) -> None:
        raise RuntimeError("no such day")

    await clock._take(await desk.log.read("near"))
    with monkeypatch.context() as patched:
        patched.setattr("services.clock.due", fails)
        desk.now += timedelta(hours=2)
        await clock.tick()
    assert clock.troubles() == ("the clock fails at rollout near: RuntimeError: no such day",)
    await clock.tick()
    assert clock.troubles() == ()
    assert await desk.holds("remind")


async def test_the_monitor_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    rare = Criterion(name="errors", below=GOOD.criteria["errors"].below, reading="errors", every=FAR)
    deploy = Deploy(services=("api",), criteria=("errors",))
    await desk.put(replace(plan("rare"), criteria={"errors": rare}, deploy=deploy))
    await desk.put(plan("far"))
    await desk.deploy()
    kept = MemoryReadings()
    measurer = Measurer(Prometheus("http://127.0.0.1:9"), kept)
    monitor = Monitor(desk.log, desk.ask, measurer, kept, lambda: desk.now, tick=0.005)
    of_plan = monitor._of_plan

    def fails_at_one(rollout: Any) -> Any:
        if rollout.id == "far":
            raise RuntimeError("no such step")
        return of_plan(rollout)

    async def measured() -> bool:
        return {"rare", "near"} <= {reading.rollout for reading in kept.all}

    monkeypatch.setattr(monitor, "_of_plan", fails_at_one)
    desk.now += timedelta(minutes=1)
    async with running(monitor.run()) as task:
        await seen(task, measured)
        await asyncio.sleep(0.05)
        assert not task.done()
    assert monitor.troubles() == ("the monitor fails at rollout far: RuntimeError: no such step",)


async def test_the_herald_goes_on_with_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    telling = Herald(desk.log, desk.ask, lambda: desk.now, {}, lambda _head: 0)
    take, pasted = Owed.take, wording.pasted
    failed: list[str] = []

    def fails_at_one(self: Owed, entry: Entry) -> None:
        if entry.rollout == "far":
            raise RuntimeError("no such fact")
        take(self, entry)

    def fails_once(*said: Any) -> str:
        if not failed:
            failed.append("once")
            raise RuntimeError("no such words")
        return pasted(*said)

    monkeypatch.setattr(Owed, "take", fails_at_one)
    monkeypatch.setattr(herald, "pasted", fails_once)
    await desk.engine.ask(Request("near", "i1", MANAGER, c.ReportIssue(text="it is slow")))
    async with running(telling.run()) as task:
        await seen(task, lambda: desk.holds("record_delivery"))
    assert telling.troubles() == (
        "the herald fails at rollout far: RuntimeError: no such fact",
        "the herald fails at rollout near: RuntimeError: no such words",
    )


def test_trouble_is_kept_until_it_is_over() -> None:
    troubled = Troubled("the test")
    for at in ("a", "b"):
        troubled.fails("one", RuntimeError("no"), at)
    troubled.fails("two", RuntimeError("never"))
    assert troubled.troubles() == (
        "the test fails at rollout one: RuntimeError: no",
        "the test fails at rollout two: RuntimeError: never",
    )
    troubled.works("one", "a")
    assert len(troubled.troubles()) == 2
    troubled.begins_anew("one")
    troubled.works("two")
    assert troubled.troubles() == ()
