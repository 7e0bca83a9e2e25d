"""GitHub's webhooks: signature, encodings, and what the events say."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from events.signals import Deployed, NoRule, Shown
from services.intake.github import meaning, origin, payload, signed
from services.intake.wrong import NotUnderstood, UnknownFormat

SECRET = "It's a Secret to Everybody"
VECTOR = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
REPOSITORY = {"full_name": "example/api", "name": "api"}
DEPLOYED: dict[str, Any] = {
    "action": "created",
    "repository": REPOSITORY,
    "deployment": {"id": 7, "sha": "abc123", "ref": "main", "task": "deploy", "environment": "production"},
    "deployment_status": {"state": "success", "created_at": "2026-03-20T14:27:05Z", "log_url": "https://ci/7"},
}


def said(event: str, data: dict[str, Any]) -> Any:
    return meaning(data, origin({"x-github-event": event, "x-github-delivery": "72d3162e"}, data))


def with_state(state: str) -> dict[str, Any]:
    return {**DEPLOYED, "deployment_status": {**DEPLOYED["deployment_status"], "state": state}}


def test_the_signature_of_githubs_own_documentation_is_right() -> None:
    assert signed(SECRET, b"Hello, World!", VECTOR)


@pytest.mark.parametrize(
    "header", ["", VECTOR[:-1], VECTOR.removeprefix("sha256="), VECTOR.upper(), "sha256=\u00e9\u20ac"]
)
def test_any_other_signature_is_wrong_and_never_an_error(header: str) -> None:
    assert not signed(SECRET, b"Hello, World!", header)


def test_one_changed_byte_of_the_body_makes_it_wrong() -> None:
    assert not signed(SECRET, b"Hello, World?", VECTOR)


def test_json_and_form_carry_the_same_payload() -> None:
    body = msgspec.json.encode(DEPLOYED)
    form = urlencode({"payload": body.decode()}).encode()
    assert payload("application/json; charset=utf-8", body) == DEPLOYED
    assert payload("application/x-www-form-urlencoded", form) == DEPLOYED


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/x-www-form-urlencoded", b"payload=%7B"),
        ("application/x-www-form-urlencoded", b"other=1"),
        ("application/x-www-form-urlencoded", b""),
        ("application/x-www-form-urlencoded", b"payload={}&payload={}"),
    ],
)
def test_a_payload_that_cannot_be_read_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        payload(content_type, body)


def test_another_encoding_is_not_spoken() -> None:
    with pytest.raises(UnknownFormat):
        payload("text/xml", b"<payload/>")


def test_a_delivery_without_its_headers_has_no_identity() -> None:
    with pytest.raises(NotUnderstood, match="X-GitHub-Delivery"):
        origin({"x-github-event": "ping"}, {})


def test_a_successful_deployment_is_a_deploy_of_its_sha() -> None:
    found = said("deployment_status", DEPLOYED)
    assert isinstance(found, Deployed)
    assert (found.repository, found.environment, found.version, found.task) == (
        "example/api",
        "production",
        "abc123",
        "deploy",
    )
    assert found.origin.id == "72d3162e"


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_failed_deployment_is_evidence(state: str) -> None:
    found = said("deployment_status", with_state(state))
    assert isinstance(found, Shown)
    assert (found.kind, found.outcome) == ("deploy", "failure")


@pytest.mark.parametrize("state", ["pending", "queued", "in_progress", "inactive", "new one"])
def test_any_other_state_is_kept(state: str) -> None:
    assert isinstance(said("deployment_status", with_state(state)), NoRule)


def test_a_deployment_without_its_sha_is_not_understood() -> None:
    with pytest.raises(NotUnderstood, match="sha"):
        said("deployment_status", {**DEPLOYED, "deployment": {"environment": "production"}})


def test_a_completed_workflow_run_is_evidence_and_never_a_deploy() -> None:
    run = {"id": 30, "name": "Deploy", "conclusion": "success", "head_sha": "abc123", "html_url": "https://github/30"}
    found = said("workflow_run", {"action": "completed", "workflow_run": run, "repository": REPOSITORY})
    assert isinstance(found, Shown)
    assert (found.kind, found.outcome, found.about) == ("pipeline", "success", "Deploy 30")
    begun = said("workflow_run", {"action": "requested", "workflow_run": run, "repository": REPOSITORY})
    assert isinstance(begun, NoRule)


@pytest.mark.parametrize("event", ["ping", "push", "something_new"])
def test_pings_and_unknown_events_are_kept(event: str) -> None:
    assert isinstance(said(event, {"zen": "Keep it logically awesome."}), NoRule)
