"""What cannot be understood is said clearly, never reaches the engine, and leaves no record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.unit.api.conftest import SMALL
from tests.unit.api.desk import Desk

YAML = {"Content-Type": "application/yaml"}
COMMANDS = "/v1/rollouts/small/commands"


@pytest.fixture
async def careful(begun: httpx.AsyncClient, desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """The manager; afterwards nothing has been asked and nothing written, whatever was sent."""
    asked = len(desk.asked)
    yield begun
    assert len(desk.asked) == asked
    assert await desk.log.head() == 1


def check(response: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    said = " ".join((problem["detail"], *problem["reasons"]))
    for word in words:
        assert word in said
    return problem


async def test_an_unknown_move_names_the_nearest_and_all(careful: httpx.AsyncClient) -> None:
    response = await careful.post(COMMANDS, json={"type": "cut-over"})
    check(response, 422, "there is no command 'cut-over'", "the nearest is 'cut_over'", "roll_back")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"typ": "halt"}, "type: expected the name of a command, found nothing"),
        ({"type": 3}, "type: expected the name of a command, found 3"),
        ({"type": "attest", "itm": "x"}, "attest: there is no field 'itm'; the nearest is 'item'"),
        ({"type": "attest"}, "attest: the field 'item' is missing"),
        ({"type": "attest", "item": 3}, "attest: item: expected a text, found 3"),
        ({"type": "decide", "decision": "maybe"}, "decide: decision: expected one of go, no_go, pause, pivot"),
        ({"type": "halt", "seen": "4"}, 'halt: seen: expected a whole number, found "4"'),
        (
            {"type": "record_session", "session": "s", "workflows": [{"workflow": "w", "done": True, "coments": "x"}]},
            "record_session: workflows[0]: there is no field 'coments'; the nearest is 'comments'",
        ),
        (
            {"type": "record_session", "session": "s", "workflows": [{"workflow": "w", "done": "yes"}]},
            'record_session: workflows[0].done: expected true or false, found "yes"',
        ),
        (
            {"type": "record_verdict", "criterion": "c", "verdict": "passed"},
            "record_verdict: verdict: expected one of pass, fail, inconclusive, error",
        ),
        ([], "a command is a JSON object"),
    ],
)
async def test_a_command_that_is_not_one_says_where_and_what(
    careful: httpx.AsyncClient, command: Any, words: str
) -> None:
    check(await careful.post(COMMANDS, json=command), 422, words)


async def test_all_unknown_fields_are_named_at_once(careful: httpx.AsyncClient) -> None:
    response = await careful.post(COMMANDS, json={"type": "attest", "itm": "x", "resaon": "y"})
    assert len(check(response, 422)["reasons"]) == 2


async def test_what_the_clock_sends_is_not_taken_from_people(careful: httpx.AsyncClient) -> None:
    check(await careful.post(COMMANDS, json={"type": "remind", "about": "x", "text": "y"}), 403, "the clock alone")


@pytest.mark.parametrize("body", [b"", b"{", b'{"type": "halt"', b"type: halt", b"\xff\xfe", b'{"type":"\xff"}'])
async def test_malformed_json_is_400(careful: httpx.AsyncClient, body: bytes) -> None:
    response = await careful.post(COMMANDS, content=body, headers={"Content-Type": "application/json"})
    check(response, 400, "the body must be JSON")


@pytest.mark.parametrize("path", [COMMANDS, "/v1/rollouts", "/v1/tokens"])
async def test_json_without_end_is_no_crash(careful: httpx.AsyncClient, path: str) -> None:
    body = b'{"plan":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    response = await careful.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 403), response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_what_no_database_could_keep_is_400(careful: httpx.AsyncClient) -> None:
    for command in ({"type": "note", "text": "a\0b"}, {"type": "note", "text": "x", "evidence": [{"kind": "\0"}]}):
        check(await careful.post(COMMANDS, json=command), 400, "U+0000")
    for path in ("/v1/rollouts/a%00b", "/v1/audit?subject=%00", "/v1/rollouts/small/flags?user=%00"):
        check(await careful.get(path), 400, "U+0000")


async def test_an_address_that_is_no_utf_8_is_no_crash(careful: httpx.AsyncClient) -> None:
    assert (await careful.get("/v1/rollouts/small/flags?user=%ff%fe")).status_code == 200
    assert (await careful.get("/v1/rollouts/%ff/plan")).status_code == 404


async def test_malformed_yaml_names_its_line(careful: httpx.AsyncClient) -> None:
    text = "title: A plan\ntoggles:\n  key: what: it is\n"
    problem = check(await careful.post("/v1/rollouts", content=text, headers=YAML), 422, "line 3", "needs quotes")
    assert problem["places"][0]["line"] == 3


async def test_everything_that_is_wrong_with_a_plan_is_said_with_line_and_path(careful: httpx.AsyncClient) -> None:
    text = "title: A plan\ntoggels:\n  key: x\ngo_live:\n  kpi: none\n"
    problem = check(await careful.post("/v1/rollouts", content=text, headers=YAML), 422)
    assert problem["type"] == "/problems/invalid-plan"
    assert problem["reasons"] == [
        "line 2: toggels: is not a field here; the nearest is 'toggles'",
        "line 5: go_live / kpi: is not a field here; the nearest is 'kpis'",
    ]
    assert problem["places"][1] == {
        "text": "is not a field here; the nearest is 'kpis'",
        "path": "go_live / kpi",
        "line": 5,
    }


async def test_a_plan_whose_stages_go_down_is_refused(careful: httpx.AsyncClient) -> None:
    text = SMALL.replace("id: small", "id: down") + "rollout:\n  stages: [50%, 25%, everyone]\n"
    check(await careful.post("/v1/rollouts", content=text, headers=YAML), 422, "rollout / stages")


async def test_a_revision_that_is_wrong_says_where(careful: httpx.AsyncClient) -> None:
    written = {"title": "x", "toggles": {"k": "x"}, "go_live": {"kpi": []}}
    response = await careful.post(COMMANDS, json={"type": "revise_plan", "plan": written})
    check(response, 422, "go_live / kpi: is not a field here; the nearest is 'kpis'")
    text = "title: x\ntoggles:\n  k: x\ngo_live:\n  kpi: []\n"
    response = await careful.post(COMMANDS, json={"type": "revise_plan", "plan": text})
    check(response, 422, "line 5: go_live / kpi")
    check(await careful.post(COMMANDS, json={"type": "revise_plan"}), 422, "the field 'plan' is missing")
    check(await careful.post(COMMANDS, json={"type": "revise_plan", "plan": 7}), 422, "expected a plan")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (COMMANDS, "application/yaml"),
        (COMMANDS, "application/x-www-form-urlencoded"),
        ("/v1/rollouts", "application/x-www-form-urlencoded"),
        ("/v1/rollouts", "multipart/form-data"),
    ],
)
async def test_other_kinds_of_content_are_415(careful: httpx.AsyncClient, path: str, kind: str) -> None:
    check(await careful.post(path, content=b"x", headers={"Content-Type": kind}), 415, kind)


# -- sizes


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A chunked body: its length is nowhere said."""
    for _ in range(size // 1024):
        yield b" " * 1024


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/rollouts", 256 * 1024), (COMMANDS, 512 * 1024), ("/v1/tokens", 64 * 1024)]
)
async def test_a_body_over_its_limit_is_413_told_in_advance_or_not(
    careful: httpx.AsyncClient, path: str, limit: int
) -> None:
    for body in (b" " * (1024 * 1024), pieces(1024 * 1024)):
        response = await careful.post(path, content=body, headers={"Content-Type": "application/json"})
        check(response, 413, str(limit))


async def test_a_command_without_a_plan_has_the_smaller_limit(careful: httpx.AsyncClient) -> None:
    response = await careful.post(COMMANDS, json={"type": "note", "text": "x" * 65_536})
    check(response, 413, "note may have 65536 bytes")


async def test_a_plan_inside_a_command_has_the_plans_limit(careful: httpx.AsyncClient) -> None:
    response = await careful.post(COMMANDS, json={"type": "revise_plan", "plan": SMALL + "#" * 262_144})
    check(response, 413, "a plan may have 262144 bytes")


# -- places


async def test_an_unknown_rollout_is_404_everywhere(careful: httpx.AsyncClient) -> None:
    for path in ("/v1/rollouts/nope", "/v1/rollouts/nope/plan", "/v1/rollouts/nope/audit", "/v1/rollouts/nope/flags"):
        check(await careful.get(path), 404, "'nope'")


@pytest.mark.parametrize("name", ["UPPER", "with.dot", "a b", "*", ">", "x" * 64, "-x"])
async def test_a_name_that_cannot_be_a_rollouts_is_never_asked_for(careful: httpx.AsyncClient, name: str) -> None:
    response = await careful.post(f"/v1/rollouts/{name}/commands", json={"type": "halt"})
    assert check(response, 404)["type"] == "/problems/unknown-rollout"


async def test_an_unknown_path_is_404_and_a_wrong_method_405(careful: httpx.AsyncClient) -> None:
    check(await careful.get("/v2/rollouts"), 404)
    response = await careful.put("/v1/rollouts/small", json={})
    check(response, 405)
    assert "GET" in response.headers["allow"]


async def test_a_command_to_an_unknown_rollout_is_404(begun: httpx.AsyncClient, desk: Desk) -> None:
    response = await begun.post("/v1/rollouts/nope/commands", json={"type": "halt", "reason": "x"})
    check(response, 404, "there is no rollout 'nope'")
    assert await desk.log.head() == 1


async def test_a_toggle_held_by_another_rollout_is_refused(begun: httpx.AsyncClient, desk: Desk) -> None:
    text = SMALL.replace("id: small", "id: rival")
    response = await begun.post("/v1/rollouts", content=text, headers=YAML)
    check(response, 409, "toggle 'first_toggle' belongs to rollout 'small'")
    assert await desk.log.head() == 1


async def test_a_move_in_the_wrong_phase_is_refused_with_reasons(begun: httpx.AsyncClient, desk: Desk) -> None:
    problem = check(await begun.post(COMMANDS, json={"type": "go_live"}), 409, "planned")
    assert problem["phase"] == "planned"
    assert await desk.log.head() == 1


async def test_an_unknown_toggle_is_refused(begun: httpx.AsyncClient, desk: Desk) -> None:
    response = await begun.post(COMMANDS, json={"type": "retire_toggle", "toggle": "no_such_toggle"})
    check(response, 409, "no_such_toggle")
    assert await desk.log.head() == 1
