"""The whole service with measured criteria: published readings, a dead Prometheus, a rollback that waits for none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bad_server import BadServer
from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess, ask

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def hanging() -> Iterator[BadServer]:
    server = BadServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, hanging: BadServer) -> Iterator[ServiceProcess]:
    """A service whose Prometheus takes every question and answers none."""
    data: Path = tmp_path_factory.mktemp("service") / "data"
    running = ServiceProcess(data, environ={"CUTOVER_PROMETHEUS": hanging.url("hang")})
    running.start()
    try:
        yield running
    finally:
        running.close()


def measured_plan(rollout: str, **criterion: Any) -> dict[str, Any]:
    plan = small_plan(rollout, (f"{rollout}_one", f"{rollout}_two"), testing={"waived": "a small change"})
    plan["criteria"] = {"Load": {"below": "5s", **criterion}}
    plan["deploy"]["criteria"] = ["Load"]
    plan["rollout"] = {"criteria": ["Load"]}
    return plan


def test_a_rollback_takes_less_than_a_second_while_a_promotion_waits_for_a_dead_prometheus(
    service: ServiceProcess, hanging: BadServer
) -> None:
    release = Release(service, measured_plan("dead", query="sum(load)"))
    release.ready_to_cut_over()
    asked = len(hanging.asked)
    began = time.monotonic()
    refused = ask(release.manager, release.id, "cut_over")
    assert refused.status_code == 409
    assert time.monotonic() - began < 13
    assert len(hanging.asked) > asked
    assert any("'Load' could not be judged: Prometheus gave no answer" in text for text in refused.json()["reasons"])
    began = time.monotonic()
    release.do("roll_back")
    assert time.monotonic() - began < 1
    assert release.status()["phase"] == "rolled_back"


def test_published_readings_carry_a_release(service: ServiceProcess) -> None:
    release = Release(service, measured_plan("readings", reading="load", fresh="1 hour", every="5 seconds"))
    ci = service.person("ci-of-readings", "ci")
    release.ready_to_cut_over()
    refused = ask(release.manager, release.id, "cut_over")
    assert any("there is no sample of it in the last 1 hour" in text for text in refused.json()["reasons"])
    said = {"name": "load", "value": "250 ms"}
    for _ in range(2):  # a retry is the same reading
        kept = ci.post(f"/v1/rollouts/{release.id}/readings", json=said, headers={"Idempotency-Key": "run-1"})
        assert kept.status_code == 202, kept.text
    assert kept.json()["value"] == 0.25
    listed = release.reader.get(f"/v1/rollouts/{release.id}/readings", params={"name": "load"}).json()["items"]
    assert [(each["value"], each["unit"], each["source"]) for each in listed] == [(0.25, "s", "ci-of-readings")]
    release.do("cut_over")
    (verdict,) = [row for row in release.facts("verdict_recorded") if row["command"] == "cut_over"]
    assert verdict["data"]["value"] == {"value": 0.25, "unit": "s"}
    assert verdict["evidence"][0]["kind"] == "reading"

    again = ci.post(f"/v1/rollouts/{release.id}/readings", json=said, headers={"Idempotency-Key": "run-2"})
    assert again.status_code == 202  # of this stage: the first was of the step before

    def watched() -> bool:
        return any(row["subject"] == "monitor" for row in release.facts("verdict_recorded"))

    service.wait_until(watched, 20)


def test_a_reading_comes_as_a_cloudevent_too(service: ServiceProcess) -> None:
    ci = service.person("ci-of-events", "ci")
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "run-7",
        "ce-source": "https://ci.example/7",
        "ce-type": "dev.cdeventsx.cutover-reading.published.0.1.0",
        "ce-time": "2026-01-02T03:04:05Z",
        "content-type": "application/json",
    }
    said = {"rollout": "events", "name": "load", "value": "3 s"}
    for _ in range(2):
        assert ci.post("/v1/signals", json=said, headers=headers).status_code == 202

    def listed() -> bool:
        asked = {"source": "https://ci.example/7", "id": "run-7"}
        return bool(ci.get("/v1/signals", params=asked).json()["items"])

    service.wait_until(listed, 10)
    (outcome,) = ci.get("/v1/signals", params={"source": "https://ci.example/7", "id": "run-7"}).json()["items"]
    assert (outcome["result"], outcome["why"]) == ("done", "kept as the reading 'load' of events")


def test_what_is_no_reading_is_refused_in_words(service: ServiceProcess) -> None:
    ci = service.person("ci-of-nothing", "ci")
    answer = ci.post("/v1/rollouts/dead/readings", json={"name": "load", "value": "plenty"})
    assert answer.status_code == 422
    assert "value: expected a number" in answer.json()["reasons"][0]
    reader = service.person("only-reads", "reader")
    assert reader.post("/v1/rollouts/dead/readings", json={"name": "load", "value": 1}).status_code == 403
