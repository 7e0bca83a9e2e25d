"""curl, asking for feature toggles as vets-website does: from a browser's page, with credentials, once a page load."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

CURL = shutil.which("curl")
pytestmark = [pytest.mark.connected, pytest.mark.skipif(CURL is None, reason="NO CURL HERE: apt-get install curl")]

KEYS = (
    "va_online_scheduling_vaos_service_cc_appointments",
    "va_online_scheduling_facilities_service_v2",
    "va_online_scheduling_vaos_service_requests",
    "va_online_scheduling_vaos_service_va_appointments",
)
CAMEL = (
    "vaOnlineSchedulingVAOSServiceCCAppointments",
    "vaOnlineSchedulingFacilitiesServiceV2",
    "vaOnlineSchedulingVAOSServiceRequests",
    "vaOnlineSchedulingVAOSServiceVAAppointments",
)
ORIGIN = "https://www.va.gov"
AS_A_PAGE = (
    *("-H", f"Origin: {ORIGIN}", "-H", "Cookie: vagovprod_id=x; vagovprod_type=y"),
    *("-H", "X-Key-Inflection: camel", "-H", "Source-App-Name: vaos", "-H", "X-CSRF-Token: abc"),
)


def curl(*arguments: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers by lower-case name, and the body."""
    assert CURL is not None
    done = subprocess.run([CURL, "-sS", "-i", *arguments], capture_output=True, text=True, check=True, timeout=20)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split(" ")[1]), headers, json.loads(body) if body else None


def values(answer: Any) -> dict[str, bool]:
    assert answer["data"]["type"] == "feature_toggles"
    return {feature["name"]: feature["value"] for feature in answer["data"]["features"]}


def test_a_page_load_before_and_after_the_cutover(running_service: ServiceProcess) -> None:
    plan = small_plan("vaos", KEYS, testing={"waived": "a test"}, readers=["va.gov"])
    release = Release(running_service, plan)
    toggles = f"{running_service.url}/v0/feature_toggles"

    status, headers, _ = curl(
        *("-X", "OPTIONS", "-H", f"Origin: {ORIGIN}", "-H", "Access-Control-Request-Method: GET"),
        *("-H", "Access-Control-Request-Headers: x-key-inflection,source-app-name,x-csrf-token", toggles),
    )
    assert status in (200, 204)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-credentials"] == "true"
    allowed = headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("x-key-inflection", "source-app-name", "x-csrf-token"))

    for value in (False, True, False):
        status, headers, answer = curl(*AS_A_PAGE, f"{toggles}?&cookie_id=abc&at_least={release.revision}")
        assert status == 200
        assert "application/json" in headers["content-type"]
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["access-control-allow-credentials"] == "true"
        assert values(answer) == dict.fromkeys((*CAMEL, *KEYS), value)
        if not value and release.status()["phase"] == "planned":
            release.ready_to_cut_over()
            release.do("cut_over")
        elif value:
            release.do("roll_back")


def test_names_are_echoed_as_they_were_sent_and_unknown_ones_are_off(running_service: ServiceProcess) -> None:
    asked = f"{KEYS[0]},{CAMEL[1]},{CAMEL[2][0].upper()}{CAMEL[2][1:]},nobodyKnowsThis"
    status, _, answer = curl(f"{running_service.url}/v0/feature_toggles?features={asked}")
    assert status == 200
    assert list(values(answer)) == asked.split(",")
    assert values(answer)["nobodyKnowsThis"] is False
