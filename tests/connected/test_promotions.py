"""Promotions and snapshots on measured criteria: a real Prometheus with a written past, the engine, the monitor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from events.codec import decode
from events.facts import Actor, Record, ResultRecorded, SnapshotTaken, StageEntered, VerdictRecorded
from events.plan.reading import read_plan
from services.analysis.afresh import Afresh
from services.analysis.measure import Measurer
from services.analysis.monitor import Monitor
from services.analysis.prometheus import Prometheus
from services.analysis.readings import MemoryReadings, take_reading
from services.clock import CLOCK
from services.engine.engine import Engine
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.log.memory import MemoryLog
from services.rollout import commands as c
from services.rollout.due import due
from services.rollout.measured import Measurement
from services.rollout.state import Rollout, fold
from tests.bad_server import BadServer
from tests.prometheus_process import PrometheusProcess, every, needs_prometheus

pytestmark = [pytest.mark.connected, needs_prometheus]

START = datetime(2024, 3, 4, 12, tzinfo=UTC)
T = START.timestamp()
HOUR = 3600.0
MANAGER = Actor("mia", "release_manager")
OWNER = Actor("olga", "approver", ("Product Owner",))
DEAD = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """Nine days: two errors early in the rollout, ten more in the third hour, requests all the time."""
    server = PrometheusProcess(tmp_path_factory.mktemp("prometheus"))
    looks = [T - HOUR + n * 60 for n in range(9 * 24 * 60)]
    third = T + 2 * HOUR + 1800
    server.fill(
        {
            "errors_total": [(at, 2.0 * (at >= T + 600) + 10.0 * (at >= third)) for at in looks],
            "calm_total": [(at, 2.0 * (at >= T + 600)) for at in looks],
            "requests_total": every(60, looks[0], looks[-1], 60),
            "users": [(at, 1234.0) for at in looks],
            'kinds_total{type="timeout"}': [(at, 2.0 * (at >= T + 5 * HOUR)) for at in looks],
            'kinds_total{type="refused"}': [(at, 0.0) for at in looks],
        }
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()


def plan(metric: str = "errors_total", **parts: Any) -> dict[str, Any]:
    """One measured criterion; a watch of an hour, then two stages of an hour."""
    measured = {
        "below": 10,
        "per": "any 10 minutes",
        "count": metric,
        "traffic": "sum(increase(requests_total[SPAN]))",
        "traffic_at_least": 100,
        **parts.pop("criterion", {}),
    }
    return {
        "id": "small",
        "title": "A small release",
        "toggles": {"small_one": "", "small_two": ""},
        "go_no_go": {"decided_by": ["Product Owner"]},
        "criteria": {"Errors": measured},
        "deploy": {"services": ["api"], "watch": [{"until": "1 hour"}], "criteria": ["Errors"]},
        "testing": {"waived": "a small change"},
        "rollout": {"stages": ["10%", "everyone"], "length": "1 hour", "criteria": ["Errors"]},
        "go_live": {
            "results_after": ["1 week"],
            "kpis": [{"name": "Requests", "at_least": 1000, "query": "sum(increase(requests_total[SPAN]))"}],
            "results": [
                {"text": "Number of unique users", "query": "max(users)"},
                {
                    "text": "Types of errors logged",
                    "query": "sum by (type) (increase(kinds_total[SPAN])) > 0",
                    "by": "type",
                },
                {"text": "Calls", "reading": "calls"},
            ],
        },
        "post_launch_questions": [],
        **parts,
    }


class House:
    """An engine and a monitor on a log in memory, with a clock that the test sets."""

    def __init__(self, url: str, limit: float = 10.0, timeout: float = 5.0) -> None:
        self.now = START
        self.log = MemoryLog()
        self.readings = MemoryReadings()
        self.server = Prometheus(url, timeout=timeout)
        self.measurer = Measurer(self.server, self.readings)
        self.engine = Engine(self.log, lambda: self.now, measure=Afresh(self.measurer, limit=limit))
        self.monitor = self.new_monitor()
        self._count = 0

    def new_monitor(self) -> Monitor:
        return Monitor(self.log, self.engine.ask, self.measurer, self.readings, lambda: self.now)

    async def ask(self, command: c.Command, by: Actor = MANAGER, command_id: str = "") -> Reply:
        self._count += 1
        return await self.engine.ask(Request("small", command_id or f"t{self._count}", by, command))

    async def do(self, command: c.Command, by: Actor = MANAGER) -> Accepted:
        reply = await self.ask(command, by)
        assert isinstance(reply, Accepted), reply
        return reply

    async def refused(self, command: c.Command) -> tuple[str, ...]:
        reply = await self.ask(command)
        assert isinstance(reply, Refusal), reply
        return reply.reasons

    async def records(self) -> list[Record]:
        return [decode(entry.data) for entry in await self.log.read("small")]

    async def state(self) -> Rollout:
        entries = await self.log.read("small")
        found = fold((entry.revision, decode(entry.data)) for entry in entries)
        assert found is not None
        return found

    async def watched(self, **parts: Any) -> None:
        """Deployed, the watch over, go decided."""
        await self.do(c.Adopt(plan=read_plan(plan(**parts))))
        await self.do(c.ReportDeploy(service="api", version="1"))
        self.now += timedelta(hours=1)
        await self.do(c.Decide(decision="go"), by=OWNER)


@pytest.fixture
async def house(history: PrometheusProcess) -> AsyncIterator[House]:
    made = House(history.url)
    yield made
    await made.server.close()


@pytest.fixture
async def blind() -> AsyncIterator[House]:
    """Its Prometheus does not answer at all."""
    made = House(DEAD, timeout=0.5)
    yield made
    await made.server.close()


async def test_a_promotion_carries_what_was_measured_for_it(house: House) -> None:
    await house.watched()
    done = await house.do(c.CutOver())
    verdict = done.facts[0]
    assert isinstance(verdict, VerdictRecorded)
    assert (verdict.criterion, verdict.step, verdict.verdict, verdict.measured) == (
        "Errors",
        "code_deploy",
        "pass",
        True,
    )
    assert (verdict.since, verdict.until) == (START, START + timedelta(hours=1))
    assert verdict.value is not None
    assert verdict.value.value == 2
    assert any(isinstance(fact, StageEntered) for fact in done.facts)
    proof = (await house.records())[-1].evidence
    assert [(e.kind, e.text != "", e.query != "", len(e.sha256), e.raw[:20]) for e in proof] == [
        ("query", True, True, 64, '{"status":"success",'),
        ("query", False, True, 64, '{"status":"success",'),
        ("query", True, True, 64, f"{T:.0f} 1.0\n{T + 30:.0f}"[:20]),
    ]
    assert proof[2].text == "121 looks over the span: data was there all the time"
    assert "[3000s:15s]" in proof[0].query  # the phase of an hour, less the window of ten minutes
    assert (proof[0].value, proof[0].verdict) == ("2", "pass")


async def test_a_repeated_promotion_answers_from_the_log_and_asks_nobody(house: House) -> None:
    await house.watched()
    first = await house.ask(c.CutOver(), command_id="once")
    await house.server.close()
    assert await house.ask(c.CutOver(), command_id="once") == first


async def test_ten_errors_stop_the_next_promotion_in_words(house: House) -> None:
    await house.watched()
    await house.do(c.CutOver())
    house.now += timedelta(hours=1)
    await house.do(c.Advance())
    house.now += timedelta(hours=1)
    assert await house.refused(c.GoLive()) == ("'Errors' failed: 10 is not below 10",)


async def test_while_the_server_is_down_nothing_is_promoted(blind: House) -> None:
    await blind.watched()
    reasons = await blind.refused(c.CutOver())
    assert len(reasons) == 1
    assert "'Errors' could not be judged: Prometheus cannot be reached" in reasons[0]
    blind.now += timedelta(minutes=1)
    verdict = c.RecordVerdict(criterion="Errors", value="2")
    await blind.do(verdict)
    assert "could not be judged" in (await blind.refused(c.CutOver()))[0]


async def test_a_server_that_hangs_delays_a_promotion_no_longer_than_the_limit_and_a_rollback_not_at_all() -> None:
    server = BadServer()
    house = House(server.url("hang"), limit=1.0, timeout=30.0)
    try:
        await house.watched()
        began = time.monotonic()
        waiting = asyncio.create_task(house.ask(c.CutOver()))
        while not server.asked:  # noqa: ASYNC110 (it is set by a thread)
            await asyncio.sleep(0.01)
        rolled = time.monotonic()
        done = await house.do(c.RollBack())
        assert time.monotonic() - rolled < 1
        assert done.phase == "rolled_back"
        reply = await waiting
        assert time.monotonic() - began < 5
        assert isinstance(reply, Refusal)
    finally:
        await house.server.close()
        server.close()


async def test_a_limit_over_all_refuses_in_words() -> None:
    server = BadServer()
    house = House(server.url("hang"), limit=0.2, timeout=30.0)
    try:
        await house.watched()
        assert "could not be measured within 0.2 s" in (await house.refused(c.CutOver()))[0]
    finally:
        await house.server.close()
        server.close()


# -- the monitor


async def test_the_monitor_tells_changes_alone_and_keeps_every_reading(house: House) -> None:
    await house.watched()
    for _ in range(3):
        house.now += timedelta(seconds=30)
        await house.monitor.once()
    records = [r for r in await house.records() if r.command == "record_verdict"]
    assert [r.who.subject for r in records] == ["monitor"]
    assert records[0].evidence[0].query
    assert [r.verdict for r in house.readings.all] == ["pass"] * 3


async def test_before_the_first_window_is_whole_the_monitor_does_not_say_it_passes(house: House) -> None:
    await house.do(c.Adopt(plan=read_plan(plan())))
    await house.do(c.ReportDeploy(service="api", version="1"))
    for minutes in (3, 2, 2, 2, 2, 60):
        house.now += timedelta(minutes=minutes)
        await house.monitor.once()
    said = [fact for r in await house.records() for fact in r.facts if isinstance(fact, VerdictRecorded)]
    assert [(v.verdict, v.until) for v in said] == [
        ("inconclusive", START + timedelta(minutes=9)),
        ("pass", START + timedelta(minutes=11)),
        ("pass", START + timedelta(minutes=71)),
    ]  # the last one because the watch's time is over


@pytest.mark.parametrize(("then", "phase", "halted"), [("roll back", "rolled_back", False), ("halt", "cutover", True)])
async def test_a_breach_does_what_the_plan_says(house: House, then: str, phase: str, halted: bool) -> None:
    await house.watched(criterion={"below": 9, "stop_above": 9, "then": then})
    await house.do(c.CutOver())
    house.now = START + timedelta(hours=2, minutes=29)
    await house.monitor.once()
    assert (await house.state()).phase == "cutover"
    house.now += timedelta(minutes=5)
    await house.monitor.once()
    state = await house.state()
    assert (state.phase, state.halted) == (phase, halted)
    if then == "roll back":
        assert state.exposure.to == "nobody"
    await house.monitor.once()


async def test_a_dry_run_criterion_does_nothing_but_say_so(house: House) -> None:
    await house.watched(criterion={"below": 9, "stop_above": 9, "then": "roll back", "dry_run": True})
    await house.do(c.CutOver())
    house.now = START + timedelta(hours=2, minutes=40)
    await house.monitor.once()
    state = await house.state()
    assert state.verdicts["stage-1/Errors"].verdict == "fail"
    assert state.phase == "cutover"
    await house.do(c.Advance())


async def test_two_monitors_beside_each_other_tell_a_change_once(house: House) -> None:
    await house.watched()
    other = house.new_monitor()
    house.now += timedelta(seconds=30)
    await house.monitor.once()
    await other.once()
    assert [r.command for r in await house.records()].count("record_verdict") == 1


async def test_errors_are_told_only_after_as_many_in_a_row_as_the_plan_bears(blind: House) -> None:
    await blind.watched(criterion={"below": 9, "stop_above": 9, "then": "roll back", "errors_in_a_row": 2})
    for _ in range(2):
        blind.now += timedelta(seconds=30)
        await blind.monitor.once()
    assert not (await blind.state()).verdicts
    blind.now += timedelta(seconds=30)
    await blind.monitor.once()
    state = await blind.state()
    assert state.verdicts["code_deploy/Errors"].verdict == "error"
    assert "3 measurements in a row" in state.verdicts["code_deploy/Errors"].why
    assert (state.phase, state.halted) == ("code_deploy", False)


async def test_the_monitor_is_idle_once_the_release_is_rolled_back(house: House) -> None:
    await house.watched()
    house.now += timedelta(seconds=30)
    await house.monitor.once()
    await house.do(c.RollBack())
    kept = len(house.readings.all)
    house.now += timedelta(minutes=5)
    await house.monitor.once()
    assert len(house.readings.all) == kept


async def test_a_person_cannot_send_a_measurement(house: House) -> None:
    await house.watched()
    house.now += timedelta(seconds=30)
    await house.monitor.once()
    sent = (await house.state()).verdicts["code_deploy/Errors"]
    assert sent.verdict == "pass"
    m = Measurement("Errors", "criterion", "pass", "made up", START, house.now)
    reasons = await house.refused(c.RecordVerdict(criterion="Errors", measurement=m))
    assert "sent by the monitor" in reasons[0]


async def test_a_stage_that_the_plan_enters_automatically_waits_for_the_monitor_and_is_measured_afresh(
    house: House,
) -> None:
    stages: list[Any] = ["10%", {"to": "everyone", "automatic": True}]
    rollout = {"stages": stages, "length": "1 hour", "criteria": ["Errors"]}
    await house.watched(metric="calm_total", rollout=rollout)
    await house.do(c.CutOver())
    house.now += timedelta(minutes=30)
    await house.monitor.once()
    house.now += timedelta(minutes=31)
    assert not any(isinstance(owed.command, c.Advance) for owed in due(await house.state(), house.now))
    await house.monitor.once()
    (owed,) = [owed for owed in due(await house.state(), house.now) if isinstance(owed.command, c.Advance)]
    reply = await house.ask(owed.command, CLOCK, owed.command_id)
    assert isinstance(reply, Accepted), reply
    assert isinstance(reply.facts[0], VerdictRecorded)


# -- snapshots


async def live(house: House, **parts: Any) -> datetime:
    """Live on a calm metric; when everybody got it."""
    await house.watched(metric="calm_total", **parts)
    await house.do(c.CutOver())
    house.now += timedelta(hours=1)
    await house.do(c.Advance())
    released = house.now
    house.now += timedelta(hours=1)
    await house.do(c.GoLive())
    return released


def entries(snapshot: SnapshotTaken) -> dict[str, tuple[str, str, str | None]]:
    return {entry.item: (entry.value, entry.target, entry.verdict) for entry in snapshot.entries}


async def test_a_stage_that_ends_is_frozen_with_what_was_measured(house: House) -> None:
    await live(house)
    frozen = [f for r in await house.records() for f in r.facts if isinstance(f, SnapshotTaken)]
    assert [f.of for f in frozen] == ["code_deploy", "stage-1", "stage-2"]
    (line,) = frozen[1].entries
    assert (line.item, line.value, line.target) == ("Errors", "0", "below 10 per any 10 minutes")
    assert line.query == "calm_total"
    assert line.since is not None


async def test_a_week_after_the_release_its_kpis_users_and_errors_are_frozen(house: House) -> None:
    released = await live(house)
    house.now = released + timedelta(days=7, hours=3)  # the clock was late
    taken = await house.do(c.TakeSnapshot(of="1 week"), by=Actor("monitor", "monitor"))
    snapshot = taken.facts[-1]
    assert isinstance(snapshot, SnapshotTaken)
    assert (snapshot.since, snapshot.until) == (released, released + timedelta(days=7))
    assert snapshot.revises == 0
    found = entries(snapshot)
    assert found["Requests"] == ("604800", "at least 1000", "pass")
    assert found["Number of unique users"][0] == "1234"
    assert found["Types of errors logged"][0] == "timeout: 2"
    assert found["Calls"][0] == ""
    (calls,) = [entry for entry in snapshot.entries if entry.item == "Calls"]
    assert "nobody has published a reading 'calls'" in calls.why
    assert {f.item for f in taken.facts if isinstance(f, ResultRecorded)} == {
        "Requests",
        "number-of-unique-users",
        "types-of-errors-logged",
    }
    proof = (await house.records())[-1].evidence
    assert all(e.sha256 for e in proof)


async def test_a_reading_that_comes_late_makes_a_marked_revision(house: House) -> None:
    released = await live(house)
    house.now = released + timedelta(days=7)
    await house.do(c.TakeSnapshot(of="1 week"), by=Actor("monitor", "monitor"))
    house.now += timedelta(hours=5)
    said = b'{"name": "calls", "value": 41, "at": "2024-03-08T00:00:00Z"}'
    await take_reading(house.readings, said, "small", source="desk", id="1", time=house.now, now=house.now)
    await house.monitor.once()
    frozen = [f for r in await house.records() for f in r.facts if isinstance(f, SnapshotTaken) and f.of == "1 week"]
    assert [f.revises for f in frozen] == [0, 1]
    assert frozen[1].because
    assert entries(frozen[0])["Calls"][0] == ""
    assert entries(frozen[1])["Calls"][0] == "41"
    house.now += timedelta(hours=1)
    await house.monitor.once()
    assert len([r for r in await house.records() if r.command == "take_snapshot"]) == 2


async def test_a_reading_of_a_stage_that_comes_after_its_end_makes_a_marked_revision(house: House) -> None:
    rollout = {
        "stages": ["10%", "everyone"],
        "length": "1 hour",
        "results": [{"text": "Calls in the stage", "reading": "calls", "id": "calls-in-the-stage"}],
    }
    await house.watched(metric="calm_total", rollout=rollout)
    await house.do(c.CutOver())
    began, house.now = house.now, house.now + timedelta(hours=1)
    assert "nobody has published a reading 'calls'" in " ".join(await house.refused(c.Advance()))

    async def publish(id: str, value: int, minutes: int) -> None:
        at = (began + timedelta(minutes=minutes)).isoformat()
        said = msgspec.json.encode({"name": "calls", "value": value, "at": at})
        await take_reading(house.readings, said, "small", source="desk", id=id, time=house.now, now=house.now)

    await publish("1", 40, 30)
    await house.do(c.Advance())
    house.now += timedelta(minutes=30)
    await publish("2", 44, 50)
    await publish("3", 99, 80)  # of the next stage
    await house.monitor.once()
    house.now += timedelta(minutes=2)
    await house.monitor.once()
    frozen = [f for r in await house.records() for f in r.facts if isinstance(f, SnapshotTaken) and f.of == "stage-1"]
    assert [(f.revises, entries(f)["Calls in the stage"][0]) for f in frozen] == [(0, "40"), (1, "44")]
    assert frozen[1].because == "readings of its time came after it"


async def test_a_result_recorded_late_makes_a_marked_revision(house: House) -> None:
    released = await live(house)
    house.now = released + timedelta(days=7)
    await house.do(c.TakeSnapshot(of="1 week"), by=Actor("monitor", "monitor"))
    done = await house.do(c.RecordResult(item="Calls", value="40", step="1 week"))
    revision = done.facts[-1]
    assert isinstance(revision, SnapshotTaken)
    assert revision.revises == 1
    assert "'Calls' was recorded after it" in revision.because
    assert entries(revision)["Calls"][0] == "40"
    assert entries(revision)["Requests"][0] == "604800"


async def test_a_snapshot_that_cannot_be_measured_says_so_and_is_made_good_later(
    history: PrometheusProcess,
) -> None:
    house = House(history.url)
    try:
        released = await live(house)
        house.now = released + timedelta(days=7)
        reachable = house.measurer._prometheus
        house.measurer._prometheus = Prometheus(DEAD, timeout=0.5)
        taken = await house.do(c.TakeSnapshot(of="1 week"), by=Actor("monitor", "monitor"))
        snapshot = taken.facts[-1]
        assert isinstance(snapshot, SnapshotTaken)
        assert {entry.value for entry in snapshot.entries} == {""}
        assert "Prometheus cannot be reached" in snapshot.entries[0].why
        await house.measurer._prometheus.close()
        house.measurer._prometheus = reachable
        house.now += timedelta(hours=2)
        await house.monitor.once()
        last = (await house.records())[-1].facts[-1]
        assert isinstance(last, SnapshotTaken)
        assert last.revises == 1
        assert entries(last)["Requests"][0] == "604800"
    finally:
        await house.server.close()
