"""Signals on a real nats-server: kept before they are answered, worked on in order, each with one effect."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from nats.aio.msg import Msg

from events.codec import decode
from events.facts import Actor, DeployReported, EvidenceRecorded, Halted, PhaseEntered
from events.plan.reading import read_plan
from events.signals import Origin, Outcome
from services.api.app import Service, make_app
from services.database import connect
from services.engine.engine import Engine
from services.engine.messages import Accepted, Ask, Refusal, Reply, Request
from services.intake.deliveries import Deliveries
from services.intake.store import CONSUMER, SignalStore
from services.intake.understanding import identify
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.log.protocol import Unavailable
from services.log.streams import OUTCOMES, SIGNALS
from services.nats.connection import Connection
from services.people.tokens import Tokens
from services.people.vault import Vault
from services.rollout import commands as c
from services.views.views import Views
from tests.cdevents import HERE, binary, cdevent, deploy, examples, structured
from tests.nats_process import NatsProcess
from tests.unit.api.desk import Flags

pytestmark = pytest.mark.connected

MANAGER = Actor("morgan", "release_manager")
SECRET = "It's a Secret to Everybody"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
CI = "rollouts.signals.ci.example"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def ask(jetstream_log: JetStreamLog) -> Ask:
    """An engine that holds one rollout, "small", whose plan deploys "api" in production."""
    engine = Engine(jetstream_log, now)
    await adopt(engine.ask, "small")
    return engine.ask


@pytest.fixture
def store(nats_client: Connection) -> SignalStore:
    return SignalStore(nats_client)


async def adopt(ask: Ask, rollout: str, services: tuple[str, ...] = ("api",)) -> None:
    plan = read_plan(
        {"title": rollout, "toggles": {f"{rollout}_toggle": ""}, "deploy": {"services": list(services)}},
        default_id=rollout,
    )
    reply = await ask(Request(rollout, "adopt", MANAGER, c.Adopt(plan=plan)))
    assert isinstance(reply, Accepted), reply


@asynccontextmanager
async def working(connection: Connection, log: JetStreamLog, ask: Ask) -> AsyncIterator[Intake]:
    """A worker, until the block ends."""
    intake = Intake(connection, SignalStore(connection), log, ask)
    task = asyncio.create_task(intake.run())
    try:
        yield intake
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def outcomes(store: SignalStore, count: int, limit: float = 30.0) -> list[Outcome]:
    """So many outcomes, in the order of their signals."""
    end = asyncio.get_running_loop().time() + limit
    while True:
        found = (await store.latest(1000)).outcomes
        if len(found) >= count:
            return found
        assert asyncio.get_running_loop().time() < end, f"{len(found)} of {count} outcomes: {found[-1:]}"
        await asyncio.sleep(0.02)


async def facts(log: JetStreamLog, kind: type[Any], rollout: str = "small") -> list[Any]:
    records = [decode(entry.data) for entry in await log.read(rollout)]
    return [fact for record in records for fact in record.facts if isinstance(fact, kind)]


async def publish(connection: Connection, body: bytes, headers: dict[str, str], subject: str = CI) -> None:
    await connection.jetstream().publish(subject, body, headers=dict(headers))


# -- over HTTP

Client = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def http(ask: Ask, store: SignalStore, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """CI, with its token, on an API whose signals go to the real streams."""
    database = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    tokens = Tokens(database, now)
    vault = Vault(database, bytes(32))
    service = Service(ask, Views(database), Flags(), tokens, vault, now, tuple, store, SECRET)
    token = tokens.add("pipeline", "ci", (), by="root")
    transport = httpx.ASGITransport(app=make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://cutover.test", headers={"Authorization": f"Bearer {token}"}
    ) as client:
        client.reader = tokens.add("reader", "reader", (), by="root")  # type: ignore[attr-defined]
        yield client
    database.dispose()


async def send(http: httpx.AsyncClient, event: dict[str, Any], *, as_binary: bool = False) -> httpx.Response:
    if as_binary:
        headers = {**binary(event), "Content-Type": "application/json"}
        return await http.post("/v1/signals", content=msgspec.json.encode(event), headers=headers)
    return await http.post("/v1/signals", content=structured(event), headers=STRUCTURED)


async def from_github(
    http: httpx.AsyncClient, event: str, data: dict[str, Any], delivery: str = "d-1", signature: str = ""
) -> httpx.Response:
    body = msgspec.json.encode(data)
    right = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": signature or right,
    }
    return await http.post("/v1/signals/github", content=body, headers=headers)


def deployment(sha: str) -> dict[str, Any]:
    return {
        "repository": {"full_name": "example/api"},
        "deployment": {"sha": sha, "ref": "main", "task": "deploy", "environment": "production"},
        "deployment_status": {"state": "success", "created_at": "2026-03-20T14:27:05Z"},
    }


# -- what each leads to


@pytest.mark.parametrize("way", ["http structured", "http binary", "nats structured", "nats binary"])
async def test_every_cdevent_has_its_effect_or_is_kept_with_why(
    way: str,
    http: httpx.AsyncClient,
    store: SignalStore,
    nats_client: Connection,
    jetstream_log: JetStreamLog,
    ask: Ask,
) -> None:
    all_of_them = list(examples(f"{way} "))
    async with working(nats_client, jetstream_log, ask):
        for example in all_of_them:
            if way.startswith("http"):
                answer = await send(http, example.event, as_binary=way.endswith("binary"))
                assert answer.status_code == 202, answer.text
            elif way.endswith("binary"):
                headers = {**binary(example.event), "ce-datacontenttype": "application/json"}
                await publish(nats_client, msgspec.json.encode(example.event), headers)
            else:
                await publish(nats_client, structured(example.event), STRUCTURED)
        found = await outcomes(store, len(all_of_them))
    for example, outcome in zip(all_of_them, found, strict=True):
        led_to = [effect.command for effect in outcome.effects]
        assert led_to == ([example.effect] if example.effect else []), f"{example.name}: {outcome.why}"
        assert outcome.result in (("done", "already") if example.effect else ("kept",)), f"{example.name}: {outcome}"
        assert outcome.why
    assert len(await facts(jetstream_log, EvidenceRecorded)) >= 7
    assert await facts(jetstream_log, Halted)
    assert "rolled_back" in [fact.phase for fact in await facts(jetstream_log, PhaseEntered)]


async def test_the_same_deploy_a_hundred_times_over_three_ways_is_one_record(
    http: httpx.AsyncClient, store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    async with working(nats_client, jetstream_log, ask):
        for n in range(100):
            event = deploy("abc123", id_=f"deploy-{n % 7}", source=f"/ci/{n % 3}")
            if n % 3 == 0:
                assert (await send(http, event, as_binary=n % 2 == 0)).status_code == 202
            elif n % 3 == 1:
                await publish(nats_client, structured(event), STRUCTURED)
            else:
                assert (await from_github(http, "deployment_status", deployment("abc123"))).status_code == 202
        found = await _all_worked_on(store)
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == ["abc123"]
    assert [outcome.result for outcome in found] == ["done"] + ["already"] * (len(found) - 1)


async def _all_worked_on(store: SignalStore) -> list[Outcome]:
    await outcomes(store, 1)
    while await store.waiting():  # noqa: ASYNC110 (it changes in a server of its own)
        await asyncio.sleep(0.05)
    return (await store.latest(1000)).outcomes


async def test_what_is_told_while_nobody_works_is_done_in_order_afterwards(
    store: SignalStore, nats_server: NatsProcess, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    versions = [f"v{n}" for n in range(30)]
    for version in versions[:15]:
        await publish(nats_client, structured(deploy(version, id_=version)), STRUCTURED)
    nats_server.restart()
    for version in versions[15:]:
        await _until_it_is_taken(nats_client, deploy(version, id_=version))
    async with working(nats_client, jetstream_log, ask):
        await outcomes(store, len(versions))
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == versions


async def _until_it_is_taken(connection: Connection, event: dict[str, Any]) -> None:
    headers = {**STRUCTURED, "Nats-Msg-Id": event["context"]["id"]}
    for _ in range(100):
        try:
            return await publish(connection, structured(event), headers)
        except Exception:
            await asyncio.sleep(0.1)
    raise AssertionError("nats-server does not come back")


async def test_a_worker_that_ends_in_the_middle_leaves_nothing_out_and_does_nothing_twice(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    for n in range(40):
        await publish(nats_client, structured(deploy(f"v{n}", id_=f"{n}")), STRUCTURED)
    for wanted in (3, 11, 24):
        async with working(nats_client, jetstream_log, ask):
            await outcomes(store, wanted)
    async with working(nats_client, jetstream_log, ask), working(nats_client, jetstream_log, ask):
        found = await outcomes(store, 40)
    assert [outcome.number for outcome in found] == list(range(1, 41))
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == [f"v{n}" for n in range(40)]


async def test_while_the_engine_cannot_say_signals_wait_in_their_order(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    asked: list[str] = []

    async def away_at_first(request: Request) -> Reply:
        asked.append(request.command_id)
        if len(asked) < 3:
            return Refusal("unavailable", ("no engine is running",))
        return await ask(request)

    for version in ("v1", "v2", "v3"):
        await publish(nats_client, structured(deploy(version, id_=version)), STRUCTURED)
    async with working(nats_client, jetstream_log, away_at_first) as intake:
        await outcomes(store, 3)
        assert intake.problems() == ()
    assert len(set(asked[:3])) == 1
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == ["v1", "v2", "v3"]


async def test_an_answer_that_was_lost_before_it_was_written_down_is_given_again(
    store: SignalStore,
    nats_client: Connection,
    jetstream_log: JetStreamLog,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, lost = SignalStore.write, iter([True, False])

    async def lose_the_first(self: SignalStore, *args: Any, **more: Any) -> None:
        if next(lost, False):
            raise Unavailable("the answer was lost")
        await write(self, *args, **more)

    monkeypatch.setattr(SignalStore, "write", lose_the_first)
    await publish(nats_client, structured(deploy()), STRUCTURED)
    async with working(nats_client, jetstream_log, ask):
        (outcome,) = await outcomes(store, 1)
    assert outcome.effects[0].revision == 2
    assert len(await facts(jetstream_log, DeployReported)) == 1


async def test_a_second_telling_long_after_the_first_has_no_second_effect(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    incident = next(e.event for e in examples() if e.name == "incident.detected 0.5.1")
    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy()), STRUCTURED)
        await publish(nats_client, structured(incident), STRUCTURED)
        await outcomes(store, 2)
        resumed = await ask(Request("small", "resume", MANAGER, c.Resume(reason="it was the network")))
        assert isinstance(resumed, Accepted)
        await publish(nats_client, structured(incident), STRUCTURED)
        incident["subject"]["content"]["description"] = "said otherwise"
        await publish(nats_client, structured(incident), STRUCTURED)
        found = await outcomes(store, 4)
    assert len(await facts(jetstream_log, Halted)) == 1
    assert [outcome.result for outcome in found] == ["done", "done", "already", "already"]
    assert "signal 2 again (same source and id)" in found[2].why
    assert "says something else" in found[3].why


async def test_a_command_id_that_stands_for_something_else_is_no_second_telling(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    used: list[str] = []

    async def used_before(request: Request) -> Reply:
        if not used and isinstance(request.command, c.ReportDeploy):
            used.append(request.command_id)
            note = await ask(Request("small", request.command_id, Actor("other", "ci"), c.AddNote("mine")))
            assert isinstance(note, Accepted)
        return await ask(request)

    async with working(nats_client, jetstream_log, used_before):
        await publish(nats_client, structured(deploy()), STRUCTURED)
        (outcome,) = await outcomes(store, 1)
    assert outcome.result == "refused"
    assert f"{used[0]!r} was used at revision 2 for another command" in outcome.why


async def test_after_a_deploy_by_a_clock_that_is_ahead_others_still_count(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    def at_once() -> str:
        return f"{now():%Y-%m-%dT%H:%M:%SZ}"

    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy("v1", id_="1", time="2099-01-01T00:00:00Z")), STRUCTURED)
        await outcomes(store, 1)
        await publish(nats_client, structured(deploy("v2", id_="2", time=at_once())), STRUCTURED)
        back = cdevent("service.rolledback", "api", HERE, id_="3", time=at_once())
        await publish(nats_client, structured(back), STRUCTURED)
        found = await outcomes(store, 3)
    assert [outcome.result for outcome in found] == ["done"] * 3, found


async def test_a_signal_that_led_to_nothing_is_looked_at_again_when_it_is_repeated(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    alert = {"status": "firing", "labels": {"service": "web"}, "startsAt": "2026-03-20T14:27:05Z", "fingerprint": "f"}
    deployed, firing = structured(deploy(service="web")), msgspec.json.encode(alert)

    async def tell(number: int) -> list[Outcome]:
        await publish(nats_client, deployed, STRUCTURED)
        await publish(nats_client, firing, {}, "rollouts.signals.http.alerts")
        return (await outcomes(store, number))[-2:]

    async with working(nats_client, jetstream_log, ask):
        assert [outcome.why for outcome in await tell(2)] == [
            "matches no rollout: no plan deploys web in production",
            "matches no rollout: no plan has web",
        ]
        assert [(outcome.number, outcome.result) for outcome in await tell(4)] == [(3, "kept"), (4, "kept")]
        await adopt(ask, "other", ("web",))
        assert [outcome.result for outcome in await tell(6)] == ["done", "done"]
        assert [outcome.result for outcome in await tell(8)] == ["already", "already"]
        assert [effect.command for outcome in await tell(10) for effect in outcome.effects] == []
    assert [fact.version for fact in await facts(jetstream_log, DeployReported, "other")] == ["v1"]
    assert len(await facts(jetstream_log, Halted, "other")) == 1
    kept = await store.outcome_of(Origin("/ci/example", "event-1", ""))
    assert kept is not None
    assert (kept.number, kept.result) == (5, "done")


async def test_poison_is_kept_and_listed_and_blocks_nothing(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    poison: list[tuple[bytes, dict[str, str], str]] = [
        (b"\xff\x00not json", STRUCTURED, CI),
        (b"[" * 100_000, STRUCTURED, CI),
        (b"", {}, CI),
        (b"[]", {"Content-Type": "application/cloudevents-batch+json"}, CI),
        (structured({**deploy(), "subject": "none"} | {"subject": {"id": "api"}}), STRUCTURED, CI),
        (b"x" * (520 * 1024), STRUCTURED, CI),
        (structured(deploy()), STRUCTURED, "rollouts.signals.elsewhere"),
        (structured(deploy()), {**STRUCTURED, "Cutover-Subject": "admin"}, "rollouts.signals.http.unheard.of"),
    ]
    async with working(nats_client, jetstream_log, ask):
        for body, headers, subject in poison:
            await publish(nats_client, body, headers, subject)
        await publish(nats_client, structured(deploy(id_="good")), STRUCTURED)
        found = await outcomes(store, len(poison) + 1)
    assert [outcome.result for outcome in found] == ["kept"] * len(poison) + ["done"]
    assert all(outcome.why.startswith("not understood: ") for outcome in found[:-1]), found
    assert len(await facts(jetstream_log, DeployReported)) == 1


@pytest.mark.parametrize("status", ["100", "404", "408", "409", "503", "elsewhere"])
async def test_a_header_status_makes_a_signal_no_word_of_the_servers(
    status: str, store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    headers = {"Status": status, "Description": "Consumer Deleted"}
    async with working(nats_client, jetstream_log, ask) as intake:
        await publish(nats_client, structured(deploy("v1", id_="one")), {**STRUCTURED, **headers})
        await publish(nats_client, b"", headers)
        await publish(nats_client, structured(deploy("v2", id_="two")), STRUCTURED)
        found = await outcomes(store, 3)
        assert intake.problems() == ()
    assert [outcome.result for outcome in found] == ["done", "kept", "done"]
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == ["v1", "v2"]


async def test_bytes_that_no_client_of_ours_would_send_block_nothing(
    store: SignalStore, nats_server: NatsProcess, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    subject, block = CI.encode(), b"NATS/1.0\r\n\r\n"
    frames = [
        (subject, b"X"),
        (subject, b"NATS/1.0"),
        (subject, b"NATS/1.0\r\n: x\r\n\r\n"),
        (subject, b"NATS/1.0 404 No Messages\r\n\r\n"),
        (subject, b"NATS/1.0 \xff\xff\xff \xff\r\n\r\n"),
        (subject, b"NATS/1.0 408 \xff\r\n\xff: \xff\r\n\r\n"),
        (subject + b".\xff", block),
    ]
    raw = b"".join(b"HPUB %s %d %d\r\n%s\r\n" % (where, len(head), len(head), head) for where, head in frames)
    await _send_raw(nats_server, raw)
    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy()), STRUCTURED)
        found = await outcomes(store, len(frames) + 1)
    assert [outcome.result for outcome in found] == ["kept"] * len(frames) + ["done"]


async def _send_raw(server: NatsProcess, frames: bytes) -> None:
    """These bytes to the server, as a client of another kind may send them."""
    connect = {"headers": True, "verbose": False, "user": "test", "pass": server.password}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"CONNECT " + msgspec.json.encode(connect) + b"\r\n" + frames + b"PING\r\n")
    while (said := await reader.readline()) != b"PONG\r\n":
        assert said.startswith(b"INFO"), said
    writer.close()


async def test_whatever_happens_the_worker_goes_on(
    store: SignalStore,
    nats_client: Connection,
    jetstream_log: JetStreamLog,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take, faults = Deliveries.next, iter([KeyError("code"), ExceptionGroup("two", [ValueError(), ValueError()])])

    async def fail_at_first(self: Deliveries, within: float) -> Msg | None:
        if fault := next(faults, None):
            raise fault
        return await take(self, within)

    monkeypatch.setattr(Deliveries, "next", fail_at_first)
    await publish(nats_client, structured(deploy()), STRUCTURED)
    async with working(nats_client, jetstream_log, ask) as intake:
        await _until(lambda: bool(intake.problems()))
        assert intake.problems() == ("signals wait: KeyError: 'code'",)
        await outcomes(store, 1)
        await _until(lambda: not intake.problems())


async def test_signals_that_wait_while_none_is_handed_out_are_said(
    store: SignalStore,
    nats_client: Connection,
    jetstream_log: JetStreamLog,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.intake.worker.LISTEN", 0.2)
    async with working(nats_client, jetstream_log, ask) as intake:
        await publish(nats_client, structured(deploy("v1", id_="one")), STRUCTURED)
        await _all_worked_on(store)
    async with Deliveries(nats_client, SIGNALS, CONSUMER) as held:
        await publish(nats_client, structured(deploy("v2", id_="two")), STRUCTURED)
        await publish(nats_client, structured(deploy("v3", id_="three")), STRUCTURED)
        kept = await held.next(5.0)
        assert kept is not None
        async with working(nats_client, jetstream_log, ask) as intake:
            await _until(lambda: bool(intake.problems()))
            assert intake.problems() == ("signals wait (2), and none has been worked on since signal 1",)
            await kept.nak()
            await _all_worked_on(store)
            await _until(lambda: not intake.problems())


async def test_signals_that_have_only_just_come_are_no_problem(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    intake = Intake(nats_client, store, jetstream_log, ask)
    for number in (1, 2):
        await intake._look()
        await publish(nats_client, structured(deploy(id_=str(number))), STRUCTURED)
    assert intake.problems() == ()
    await intake._look()
    assert intake.problems() == ("signals wait (2), and none has been worked on since signal 0",)


async def _until(there: Callable[[], bool], limit: float = 20.0) -> None:
    async with asyncio.timeout(limit):
        while not there():  # noqa: ASYNC110 (it changes in a task beside this one)
            await asyncio.sleep(0.02)


async def test_a_fault_at_finding_out_whose_signal_it_is_blocks_nothing(
    store: SignalStore,
    nats_client: Connection,
    jetstream_log: JetStreamLog,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails_at_the_first(subject: str, headers: Mapping[str, str], body: bytes) -> Origin:
        if b"one" in body:
            raise KeyError("code")
        return identify(subject, headers, body)

    monkeypatch.setattr("services.intake.worker.identify", fails_at_the_first)
    for id_ in ("one", "two"):
        await publish(nats_client, structured(deploy(id_=id_)), STRUCTURED)
    async with working(nats_client, jetstream_log, ask):
        found = await outcomes(store, 2)
    assert [outcome.result for outcome in found] == ["kept", "done"]
    assert "the service failed at it (KeyError)" in found[0].why


async def test_a_fault_of_the_engine_is_told_and_blocks_nothing(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    async def fails_at_v1(request: Request) -> Reply:
        if isinstance(request.command, c.ReportDeploy) and request.command.version == "v1":
            raise RuntimeError("a fault")
        return await ask(request)

    for version in ("v1", "v2"):
        await publish(nats_client, structured(deploy(version, id_=version)), STRUCTURED)
    async with working(nats_client, jetstream_log, fails_at_v1):
        found = await outcomes(store, 2)
    assert [outcome.result for outcome in found] == ["refused", "done"]
    assert "RuntimeError" in found[0].why


async def test_however_long_a_signals_texts_are_its_outcome_is_written_down(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    long = "x" * (100 * 1024)
    events = [
        deploy(id_=long, source=long),
        deploy(long, id_="version"),
        deploy(service=long, id_="service"),
        deploy(environment=long, id_="environment"),
    ]
    async with working(nats_client, jetstream_log, ask):
        for event in events:
            await publish(nats_client, structured(event), STRUCTURED)
        found = await outcomes(store, len(events))
    assert [outcome.result for outcome in found] == ["done", "kept", "kept", "kept"]
    assert all(len(msgspec.json.encode(outcome)) < 10_000 for outcome in found)
    assert all(len(entry.data) < 10_000 for entry in await jetstream_log.read("small"))


async def test_what_a_publisher_writes_in_headers_does_not_make_it_somebody_else(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy()), {**STRUCTURED, "Cutover-Subject": "admin"})
        await outcomes(store, 1)
    record = decode((await jetstream_log.read("small"))[-1].data)
    assert (record.who.subject, record.who.role) == ("/ci/example", "ci")


async def test_a_refusal_is_kept_with_its_reasons(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    plan = read_plan(
        {
            "title": "Waiting",
            "toggles": {"waiting_toggle": ""},
            "deploy": {"services": ["web"], "before": [{"text": "the database is migrated"}]},
        },
        default_id="waiting",
    )
    await ask(Request("waiting", "adopt", MANAGER, c.Adopt(plan=plan)))
    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy(service="web")), STRUCTURED)
        (outcome,) = await outcomes(store, 1)
    assert outcome.result == "refused"
    assert "the database is migrated" in outcome.why


async def test_a_deleted_consumer_is_made_anew_and_nothing_is_done_twice(
    store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    js = nats_client.jetstream()
    async with working(nats_client, jetstream_log, ask):
        await publish(nats_client, structured(deploy("v1", id_="1")), STRUCTURED)
        await outcomes(store, 1)
        await js.delete_consumer(SIGNALS, CONSUMER)
        await publish(nats_client, structured(deploy("v2", id_="2")), STRUCTURED)
        found = await outcomes(store, 2)
    assert [outcome.number for outcome in found] == [1, 2]
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == ["v1", "v2"]
    assert (await js.stream_info(OUTCOMES)).state.messages == 2


# -- answers over HTTP


async def test_202_means_that_the_signal_is_on_disk_as_it_came(
    http: httpx.AsyncClient, nats_client: Connection
) -> None:
    event = deploy()
    body = msgspec.json.format(msgspec.json.encode(event), indent=3)
    answer = await http.post("/v1/signals", content=body, headers={**binary(event), "Content-Type": "application/json"})
    assert answer.status_code == 202
    number = answer.json()["signals"][0]["signal"]
    stored = await nats_client.jetstream().get_msg(SIGNALS, number)
    assert stored.data == body
    assert stored.headers is not None
    assert stored.headers["ce-id"] == "event-1"


async def test_the_same_signal_again_is_202_and_says_so(http: httpx.AsyncClient) -> None:
    first, second = [(await send(http, deploy())).json()["signals"][0] for _ in range(2)]
    assert (first["again"], second["again"]) == (False, True)
    assert first["signal"] == second["signal"]


async def test_each_event_of_a_batch_is_a_signal(http: httpx.AsyncClient, store: SignalStore) -> None:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    both = b"[" + b",".join(structured(deploy(id_=name)) for name in "ab") + b"]"
    answer = await http.post("/v1/signals", content=both, headers=headers)
    assert [signal["id"] for signal in answer.json()["signals"]] == ["a", "b"]
    broken = b"[" + structured(deploy(id_="c")) + b",{}]"
    answer = await http.post("/v1/signals", content=broken, headers=headers)
    assert (answer.status_code, "event 1 of the batch" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b"{}", 400),
        (STRUCTURED, b"{}", 400),
        (STRUCTURED, b"not json", 400),
        ({"Content-Type": "application/cloudevents+xml"}, b"<event/>", 415),
        ({"Content-Type": "application/cloudevents-batch+avro"}, b"[]", 415),
        (STRUCTURED, b" " * (512 * 1024 + 1), 413),
        ({"ce-id": "%C0%AF", "ce-source": "/", "ce-type": "t", "ce-specversion": "1.0"}, b"", 400),
    ],
)
async def test_what_cannot_be_taken_is_answered_with_why(
    http: httpx.AsyncClient, nats_client: Connection, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await http.post("/v1/signals", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
    assert (await nats_client.jetstream().stream_info(SIGNALS)).state.messages == 0


async def test_only_who_may_report_deploys_sends_signals(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/signals", content=structured(deploy()), headers={**STRUCTURED, "Authorization": "Bearer cut_nobody"}
    )
    assert answer.status_code == 401
    http.headers["Authorization"] = f"Bearer {http.reader}"  # type: ignore[attr-defined]
    assert (await send(http, deploy())).status_code == 403


async def test_too_many_at_once_are_asked_to_come_again(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.intake.store.AT_ONCE", 0)
    answer = await send(http, deploy())
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


async def test_the_webhook_handshake_needs_no_token(http: httpx.AsyncClient) -> None:
    del http.headers["Authorization"]
    answer = await http.options("/v1/signals", headers={"WebHook-Request-Origin": "events.example.gov"})
    assert answer.status_code == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "events.example.gov"
    assert answer.headers["WebHook-Allowed-Rate"] == "*"
    assert "POST" in answer.headers["Allow"]


async def test_github_is_believed_by_its_signature_alone(http: httpx.AsyncClient, nats_client: Connection) -> None:
    del http.headers["Authorization"]
    for wrong in ("sha256=" + "0" * 64, "nonsense"):
        assert (await from_github(http, "ping", {}, signature=wrong)).status_code == 401
    assert (await nats_client.jetstream().stream_info(SIGNALS)).state.messages == 0
    for event in ("ping", "push", "star"):
        assert (await from_github(http, event, {"zen": "calm"}, delivery=event)).status_code == 202


async def test_each_alert_halts_or_is_evidence_of_its_own(
    http: httpx.AsyncClient, store: SignalStore, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask
) -> None:
    def alert(status: str, **labels: str) -> dict[str, Any]:
        labels = {"alertname": "Breaker", **labels}
        return {"status": status, "labels": labels, "startsAt": "2026-03-20T14:27:05Z", "fingerprint": "f1"}

    async def notify(*alerts: dict[str, Any]) -> None:
        answer = await http.post("/v1/signals/alerts", json={"version": "4", "status": "firing", "alerts": alerts})
        assert answer.status_code == 202, answer.text

    async with working(nats_client, jetstream_log, ask):
        await send(http, deploy())
        await notify(alert("firing", service="api"))
        await notify(alert("firing", service="api"), alert("resolved", service="api"))
        found = await outcomes(store, 3)
    assert [[e.command for e in outcome.effects] for outcome in found] == [
        ["report_deploy"],
        ["halt"],
        ["record_evidence"],
    ]
    assert [fact.outcome for fact in await facts(jetstream_log, EvidenceRecorded)] == ["resolved"]


async def test_signals_are_listed_with_what_each_led_to(
    http: httpx.AsyncClient, nats_client: Connection, jetstream_log: JetStreamLog, ask: Ask, store: SignalStore
) -> None:
    await send(http, deploy(environment="staging"))
    async with working(nats_client, jetstream_log, ask):
        await outcomes(store, 1)
    (item,) = (await http.get("/v1/signals", params={"last": 5})).json()["items"]
    assert (item["result"], item["why"]) == ("kept", "matches no rollout: no plan deploys api in staging")
    asked = {"source": "/ci/example", "id": "event-1"}
    assert (await http.get("/v1/signals", params=asked)).json()["items"] == [item]
    assert (await http.get("/v1/signals", params={**asked, "id": "other"})).json()["items"] == []
