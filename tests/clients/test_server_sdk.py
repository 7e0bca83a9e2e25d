"""The OpenFeature server SDK for Node reads a release through OFREP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.published import needs_node, server_sdk
from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = [needs_node, pytest.mark.connected]


def told(details: dict[str, Any]) -> tuple[object, ...]:
    return details["value"], details["reason"], details["variant"]


def test_it_reads_the_group_through_a_release(running_service: ServiceProcess) -> None:
    release = Release(running_service, small_plan("node", ("node_one", "node_two"), testing={"waived": "a test"}))
    with server_sdk(f"{running_service.url}/", running_service.token("vets-api", "reader")) as sdk:
        assert told(sdk.details("node_one", True)) == (False, "DISABLED", "off")
        release.ready_to_cut_over()
        release.do("cut_over")
        running_service.wait_until(lambda: sdk.details("node_one")["value"] is True, 10)
        for key in ("node_one", "node_two"):
            details = sdk.details(key, targetingKey="anybody")
            assert told(details) == (True, "STATIC", "on")
            assert details["flagMetadata"]["rollout"] == "node"
            assert details["flagMetadata"]["revision"] >= release.revision
        pin = details["flagMetadata"]["pin"]
        release.do("roll_back")
        running_service.wait_until(lambda: sdk.details("node_one")["value"] is False, 10)
        assert sdk.details("node_two", True)["value"] is False
        assert sdk.details("node_two", cutoverPin=pin)["value"] is True  # the page load that began before it


def test_what_it_cannot_be_told_leaves_it_with_its_default(running_service: ServiceProcess) -> None:
    Release(running_service, small_plan("errors", ("errors_one",)))
    with server_sdk(running_service.url, running_service.token("vets-api", "reader")) as sdk:
        unknown = sdk.details("nothing", True)
        assert (unknown["value"], unknown["errorCode"]) == (True, "FLAG_NOT_FOUND")
        wrong = sdk.details("errors_one", "a text")
        assert (wrong["value"], wrong["errorCode"]) == ("a text", "TYPE_MISMATCH")
        pin = sdk.details("errors_one", True, cutoverPin="yesterday")
        assert (pin["value"], pin["errorCode"]) == (True, "PARSE_ERROR")
    with server_sdk(running_service.url, "cut_nobody") as sdk:
        stranger = sdk.details("errors_one", True)
        assert (stranger["value"], stranger["reason"]) == (True, "ERROR")
        assert stranger["errorCode"] == "GENERAL"
