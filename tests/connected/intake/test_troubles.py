"""Whatever a signal is and whatever fails at it: it is kept and told, and those behind it go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import pytest
from nats.aio.msg import Msg

from events.codec import decode
from events.facts import DeployReported
from events.plan.reading import read_plan
from events.signals import Origin
from services.engine.messages import Ask, Reply, Request
from services.intake.deliveries import Deliveries
from services.intake.store import CONSUMER, SignalStore
from services.intake.understanding import identify
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.log.streams import OUTCOMES, SIGNALS
from services.nats.connection import Connection
from services.rollout import commands as c
from tests.cdevents import deploy, structured
from tests.connected.intake.desk import (
    CI,
    MANAGER,
    STRUCTURED,
    all_worked_on,
    facts,
    outcomes,
    publish,
    working,
)
from tests.nats_process import NatsProcess

pytestmark = pytest.mark.connected


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
        await all_worked_on(store)
    async with Deliveries(nats_client, SIGNALS, CONSUMER) as held:
        await publish(nats_client, structured(deploy("v2", id_="two")), STRUCTURED)
        await publish(nats_client, structured(deploy("v3", id_="three")), STRUCTURED)
        kept = await held.next(5.0)
        assert kept is not None
        async with working(nats_client, jetstream_log, ask) as intake:
            await _until(lambda: bool(intake.problems()))
            assert intake.problems() == ("signals wait (2), and none has been worked on since signal 1",)
            await kept.nak()
            await all_worked_on(store)
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
