"""What each signal leads to, on a real nats-server: one effect, in order, however often it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from events.facts import Actor, DeployReported, EvidenceRecorded, Halted, PhaseEntered
from events.signals import Origin, Outcome
from services.engine.messages import Accepted, Ask, Refusal, Reply, Request
from services.intake.store import SignalStore
from services.log.nats import JetStreamLog
from services.log.protocol import Unavailable
from services.nats.connection import Connection
from services.rollout import commands as c
from tests.cdevents import HERE, binary, cdevent, deploy, examples, structured
from tests.connected.intake.desk import (
    MANAGER,
    STRUCTURED,
    adopt,
    all_worked_on,
    deployment,
    facts,
    from_github,
    now,
    outcomes,
    publish,
    send,
    working,
)
from tests.nats_process import NatsProcess

pytestmark = pytest.mark.connected


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
        found = await all_worked_on(store)
    assert [fact.version for fact in await facts(jetstream_log, DeployReported)] == ["abc123"]
    assert [outcome.result for outcome in found] == ["done"] + ["already"] * (len(found) - 1)


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
