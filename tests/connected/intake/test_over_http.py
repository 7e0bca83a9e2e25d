"""What senders of signals are answered over HTTP: a 202 is on disk."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from events.facts import EvidenceRecorded
from services.engine.messages import Ask
from services.intake.store import SignalStore
from services.log.nats import JetStreamLog
from services.log.streams import SIGNALS
from services.nats.connection import Connection
from tests.cdevents import binary, deploy, structured
from tests.connected.intake.desk import (
    STRUCTURED,
    facts,
    from_github,
    outcomes,
    send,
    working,
)

pytestmark = pytest.mark.connected


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
