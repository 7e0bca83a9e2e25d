"""Bad inputs to the whole service: a clear error each, and no record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.service_process import ServiceProcess, ask

YAML = {"Content-Type": "application/yaml"}
JSON = {"Content-Type": "application/json"}
PLAN = """\
id: held
title: A release that is under way
toggles:
  held_toggle: the one
prerequisites:
- The other service is live
go_no_go:
  decided_by: [Owner]
deploy:
  services: [web]
testing:
  waived: nothing to test
"""


@pytest.fixture(scope="module")
def adopted(running_service: ServiceProcess) -> ServiceProcess:
    """The service with one open rollout, "held"."""
    with running_service.client() as client:
        response = client.post("/v1/rollouts", content=PLAN, headers=YAML)
    assert response.status_code == 201, response.text
    return running_service


@pytest.fixture
def client(adopted: ServiceProcess) -> Iterator[httpx.Client]:
    """The admin; whatever was sent, no record came of it: notes before and after it have neighbouring revisions."""
    with adopted.client() as client:
        before = noted(client)
        yield client
        assert noted(client) == before + 1


def noted(client: httpx.Client) -> int:
    """The revision of a note, written now."""
    response = ask(client, "held", "note", text="nothing came between")
    assert response.status_code == 200, response.text
    return int(response.json()["revision"])


def problem(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """The problem that was answered; every one of these words is in what it says."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    said = " ".join((found["detail"], *found["reasons"]))
    for word in words:
        assert word in said
    return found


def test_an_unknown_move(client: httpx.Client) -> None:
    problem(ask(client, "held", "cut-over"), 422, "there is no command 'cut-over'", "the nearest is 'cut_over'")


def test_a_move_in_the_wrong_phase(client: httpx.Client) -> None:
    found = problem(ask(client, "held", "go_live"), 409, "planned")
    assert found["phase"] == "planned"


def test_a_move_with_everything_missing_says_everything(client: httpx.Client) -> None:
    assert problem(ask(client, "held", "cut_over"), 409)["reasons"]


def test_an_unknown_rollout(client: httpx.Client) -> None:
    problem(ask(client, "nowhere", "halt", reason="x"), 404, "'nowhere'")
    for path in ("", "/plan", "/audit", "/flags"):
        problem(client.get(f"/v1/rollouts/unheard-of{path}"), 404, "'unheard-of'")


def test_an_unknown_toggle(client: httpx.Client) -> None:
    problem(ask(client, "held", "retire_toggle", toggle="no_such_toggle"), 409, "no_such_toggle")


def test_malformed_yaml(client: httpx.Client) -> None:
    text = "title: A plan\ntoggles:\n  key: what: it is\n"
    problem(client.post("/v1/rollouts", content=text, headers=YAML), 422, "line 3")


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/rollouts/held/commands", "/v1/tokens"])
def test_malformed_json(client: httpx.Client, path: str) -> None:
    problem(client.post(path, content=b'{"type": "halt"', headers=JSON), 400, "must be JSON")


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/rollouts/held/commands", "/v1/tokens"])
def test_a_body_of_a_megabyte(client: httpx.Client, path: str) -> None:
    for kind in (YAML, JSON):
        problem(client.post(path, content=b" " * 1024 * 1024, headers=kind), 413, "bytes")


def test_a_duplicate_plan_id(client: httpx.Client) -> None:
    text = PLAN.replace("held_toggle", "another_toggle")
    found = problem(client.post("/v1/rollouts", content=text, headers=YAML), 409, "held")
    assert found["type"] == "/problems/already-exists"


def test_a_toggle_key_held_by_another_open_rollout(client: httpx.Client) -> None:
    text = PLAN.replace("id: held", "id: rival")
    problem(client.post("/v1/rollouts", content=text, headers=YAML), 409, "held_toggle", "held")
    assert client.get("/v1/rollouts/rival").status_code == 404


def test_a_plan_whose_stages_go_down(client: httpx.Client) -> None:
    text = PLAN.replace("held", "down") + "rollout:\n  stages: [50%, 25%, everyone]\n"
    problem(client.post("/v1/rollouts", content=text, headers=YAML), 422, "rollout / stages")


def test_a_command_id_that_was_used_for_something_else(adopted: ServiceProcess) -> None:
    with adopted.client() as client:
        first = {"type": "note", "text": "the first"}
        headers = {"Idempotency-Key": "a-note-of-mine"}
        commands = "/v1/rollouts/held/commands"
        accepted = client.post(commands, json=first, headers=headers)
        assert accepted.status_code == 200, accepted.text
        reused = client.post(commands, json={**first, "text": "another"}, headers=headers)
        assert problem(reused, 409)["type"] == "/problems/command-id-reused"
        assert client.post(commands, json=first, headers=headers).json() == accepted.json()
        assert noted(client) == accepted.json()["revision"] + 1


def test_a_stranger(adopted: ServiceProcess) -> None:
    with httpx.Client(base_url=adopted.url, headers={"Authorization": "Bearer cut_nobody"}) as stranger:
        problem(stranger.post("/v1/rollouts", content=PLAN, headers=YAML), 401)
        problem(ask(stranger, "held", "roll_back"), 401)


def test_a_reader_who_commands(adopted: ServiceProcess) -> None:
    with adopted.person("rea", "reader") as reader:
        assert reader.get("/v1/rollouts/held").status_code == 200
        problem(ask(reader, "held", "roll_back"), 403)
        problem(reader.get("/v1/tokens"), 403, "'rea' has the role reader")
