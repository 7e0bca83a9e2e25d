"""A running service as vets-website and Flipper's Ruby adapter call it, through testing and the cutover."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = pytest.mark.connected

CC = "va_online_scheduling_vaos_service_cc_appointments"
REQUESTS = "va_online_scheduling_vaos_service_requests"
BOTH = f"{CC},vaOnlineSchedulingVAOSServiceRequests"
COOKIE = "b7c2f1d0-5c0e-4f0e-9d3e-3f6b2f1a0c11"


class Application:
    """An application with the gem: it keeps the last features and the ETag that came with them, and evaluates."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._etag = ""
        self.gates: dict[str, list[dict[str, Any]]] = {}
        self.fetched = 0

    def poll(self) -> None:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = self._client.get("/flipper/features?exclude_gate_names=true", headers=headers)
        assert answer.status_code in (200, 304), answer.text
        if answer.status_code == 200:
            self._etag = answer.headers["etag"]
            self.gates = {each["key"]: each["gates"] for each in answer.json()["features"]}
            self.fetched += 1

    def enabled(self, actor: str) -> dict[str, bool]:
        """`Flipper.enabled?(key, actor)` of each feature, right after a poll."""
        self.poll()
        values = {key: {gate["key"]: gate["value"] for gate in gates} for key, gates in self.gates.items()}
        return {key: found["boolean"] == "true" or actor in found["actors"] for key, found in values.items()}


def curl(service: ServiceProcess, query: str) -> dict[str, bool]:
    """The call that vets-website's page makes, without a token and with its cookies."""
    command = ["curl", "--silent", "--show-error", "--fail", f"{service.url}/v0/feature_toggles{query}"]
    for header in ("Origin: https://www.va.gov", "X-Key-Inflection: camel", "Source-App-Name: vaos", "Cookie: a=b"):
        command += ["--header", header]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)
    assert answer["data"]["type"] == "feature_toggles"
    return {each["name"]: each["value"] for each in answer["data"]["features"]}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed, so vets-website's call is not made")
def test_a_tester_has_the_whole_group_by_every_way_in_while_their_window_holds(running_service: ServiceProcess) -> None:
    service = running_service
    plan = small_plan("rails", (CC, REQUESTS), readers=["va.gov", "flipper", "ofrep"], actor="cookie")
    release = Release(service, plan)
    trusted = Application(service.person("vets-api", "reader", "sees testers"))
    other = Application(service.person("vets-api-preview", "reader"))
    release.start_testing()
    off, on = {CC: False, REQUESTS: False}, {CC: True, REQUESTS: True}
    service.wait_until(lambda: trusted.enabled(COOKIE) == off, 10)

    at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    release.do("schedule_session", session="s1", tester=COOKIE, at=at, length="4 seconds")
    seen = trusted.fetched
    service.wait_until(lambda: trusted.enabled(COOKIE) == on, 10)  # the window opens by the time alone,
    service.wait_until(lambda: trusted.enabled(COOKIE) == off, 20)  # and closes
    assert set(curl(service, f"?&cookie_id={COOKIE}").values()) == {False}
    assert trusted.fetched <= seen + 2

    at = datetime.now(UTC).isoformat()
    release.do("schedule_session", session="s2", tester=COOKIE, at=at, length="60 seconds")
    service.wait_until(lambda: trusted.enabled(COOKIE) == on, 10)
    assert curl(service, f"?features={BOTH}&cookie_id={COOKIE}") == dict.fromkeys(BOTH.split(","), True)
    assert set(curl(service, f"?&cookie_id={COOKIE}").values()) == {True}
    assert set(curl(service, "?cookie_id=another").values()) == {False}
    assert trusted.enabled("another") == other.enabled(COOKIE) == off
    assert COOKIE not in json.dumps(other.gates)
    assert service.client().request("DELETE", "/v1/testers", json={"tester": COOKIE}).status_code == 200
    service.wait_until(lambda: trusted.enabled(COOKIE) == off, 10)


def test_everybody_is_told_as_one_boolean(running_service: ServiceProcess) -> None:
    waived = {"testing": {"waived": "nothing to test"}}
    plan = small_plan("everybody", ("every_one", "every_two"), readers=["va.gov", "flipper"], **waived)
    release = Release(running_service, plan)
    application = Application(running_service.person("any-app", "reader"))
    release.ready_to_cut_over()
    release.do("cut_over")
    asked: dict[str, str | int] = {"at_least": release.revision, "features": "everyOne,every_two"}
    answer = httpx.get(f"{running_service.url}/v0/feature_toggles", params=asked)
    assert [each["value"] for each in answer.json()["data"]["features"]] == [True, True]
    assert application.enabled("anybody")["every_one"] is application.enabled("anybody")["every_two"] is True
    release.do("roll_back", reason="enough")
    asked["at_least"] = release.revision
    answer = httpx.get(f"{running_service.url}/v0/feature_toggles", params=asked)
    assert [each["value"] for each in answer.json()["data"]["features"]] == [False, False]
    assert application.enabled("anybody")["every_one"] is False


def test_a_percentage_with_flipper_among_the_readers_is_not_adopted(running_service: ServiceProcess) -> None:
    plan = small_plan("mixed", ("mixed_one", "mixed_two"), readers=["flipper"])
    stages = {"stages": ["25%", "everyone"]}
    answer = running_service.client().post("/v1/rollouts", json={**plan, "rollout": stages})
    assert answer.status_code == 422
    assert "hashes the toggle's own key" in answer.text
