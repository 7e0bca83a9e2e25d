"""Adopting a plan over HTTP, and reading where it stands."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from events.plan.schema import Plan
from services.engine.messages import Refusal, RefusalCode
from services.log.protocol import Unavailable
from tests.unit.api.conftest import SMALL, Client
from tests.unit.api.desk import Desk

YAML = {"Content-Type": "application/yaml"}


async def test_a_plan_in_yaml_begins_a_rollout(manager: httpx.AsyncClient) -> None:
    response = await manager.post("/v1/rollouts", content=SMALL, headers=YAML)
    assert response.status_code == 201
    assert response.json() == {"id": "small", "revision": 1}
    assert response.headers["location"] == "/v1/rollouts/small"


async def test_the_seeds_plan_begins_a_rollout_under_the_id_asked_for(manager: httpx.AsyncClient, seed: str) -> None:
    response = await manager.post("/v1/rollouts?id=vaos", content=seed, headers=YAML)
    assert response.json() == {"id": "vaos", "revision": 1}


@pytest.mark.parametrize("kind", ["text/yaml; charset=utf-8", "application/x-yaml", "text/plain", "APPLICATION/YAML"])
async def test_yaml_has_many_names(manager: httpx.AsyncClient, kind: str) -> None:
    response = await manager.post("/v1/rollouts", content=SMALL, headers={"Content-Type": kind})
    assert response.status_code == 201


async def test_a_plan_may_be_json_and_may_name_no_content_type(manager: httpx.AsyncClient) -> None:
    written = {"title": "Written as JSON", "toggles": {"json_toggle": "one"}}
    assert (await manager.post("/v1/rollouts?id=one", json=written)).json() == {"id": "one", "revision": 1}
    other = b'{"title": "No content type", "toggles": {"other_toggle": "two"}}'
    assert (await manager.post("/v1/rollouts?id=two", content=other)).json() == {"id": "two", "revision": 2}


async def test_a_stored_plan_can_be_sent_back_as_it_is(begun: httpx.AsyncClient, desk: Desk) -> None:
    stored = (await begun.get("/v1/rollouts/small/plan")).json()
    msgspec.convert(stored, Plan)
    response = await begun.post("/v1/rollouts/small/commands", json={"type": "revise_plan", "plan": stored})
    assert response.json()["already"] is True
    assert await desk.log.head() == 1


async def test_the_same_key_gets_the_same_201_again(manager: httpx.AsyncClient, desk: Desk) -> None:
    headers = {**YAML, "Idempotency-Key": "adopt-1"}
    first = await manager.post("/v1/rollouts", content=SMALL, headers=headers)
    again = await manager.post("/v1/rollouts", content=SMALL, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again.headers["location"] == "/v1/rollouts/small"
    assert await desk.log.head() == 1


async def test_without_a_key_every_request_is_a_command_of_its_own(manager: httpx.AsyncClient, desk: Desk) -> None:
    await manager.post("/v1/rollouts", content=SMALL, headers=YAML)
    again = await manager.post("/v1/rollouts", content=SMALL, headers=YAML)
    assert again.status_code == 409
    assert again.json()["type"] == "/problems/already-exists"
    assert len({request.command_id for request in desk.asked}) == 2


async def test_the_status_says_what_blocks_the_next_move(begun: httpx.AsyncClient) -> None:
    found = (await begun.get("/v1/rollouts/small")).json()
    assert found["id"] == "small"
    assert found["phase"] == "planned"
    assert found["stage"] == 0
    assert found["exposure"] == "nobody"
    assert found["halted"] is False
    assert found["revision"] == 1
    assert found["entered_at"] == "2022-07-29T12:00:00Z"
    assert found["next"] is None
    assert found["blockers"] == ["web has not been reported as deployed to production"]


async def test_the_list_has_every_rollout(begun: httpx.AsyncClient) -> None:
    (row,) = (await begun.get("/v1/rollouts")).json()["items"]
    assert (row["id"], row["title"], row["phase"]) == ("small", "A small release", "planned")


async def test_a_command_is_answered_with_its_revision_and_facts(begun: httpx.AsyncClient) -> None:
    command = {"type": "report_deploy", "service": "web", "version": "1.2.3"}
    done = (await begun.post("/v1/rollouts/small/commands", json=command)).json()
    assert done["revision"] == 2
    assert done["phase"] == "code_deploy"
    assert sorted(fact["fact"] for fact in done["facts"]) == ["deploy_reported", "phase_entered", "watch_started"]
    assert done["already"] is False


async def test_the_engine_is_asked_under_the_given_key_by_the_tokens_holder(known_as: Client, desk: Desk) -> None:
    client = known_as("pat", "approver", "Owner")
    headers = {"Idempotency-Key": '"in quotes, as the draft says"'.replace(" ", "-")}
    await client.post("/v1/rollouts/small/commands", json={"type": "halt", "reason": "x"}, headers=headers)
    (request,) = desk.asked
    assert request.command_id == "in-quotes,-as-the-draft-says"
    assert (request.by.subject, request.by.role, request.by.titles) == ("pat", "approver", ("Owner",))
    assert request.rollout == "small"


@pytest.mark.parametrize("key", ["", "two words", "x" * 201, '""'])
async def test_a_key_that_cannot_be_one_is_refused(begun: httpx.AsyncClient, desk: Desk, key: str) -> None:
    asked = len(desk.asked)
    response = await begun.post("/v1/rollouts/small/commands", json={"type": "halt"}, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert "Idempotency-Key must" in response.json()["detail"]
    assert len(desk.asked) == asked


@pytest.mark.parametrize(
    "key", ["clock:open:s1", "herald:1", "monitor:stage-1:4", "ci:deploy:0a", '"ci:trouble:0b"', "erased-t1"]
)
@pytest.mark.parametrize("role", ["release_manager", "ci", "monitor", "admin"])
async def test_the_services_own_command_ids_are_nobodys_outside(
    begun: httpx.AsyncClient, known_as: Client, desk: Desk, key: str, role: str
) -> None:
    sent, client = len(desk.asked), known_as(f"some-{role}", role)
    response = await client.post(
        "/v1/rollouts/small/commands", json={"type": "note", "text": "mine"}, headers={"Idempotency-Key": key}
    )
    assert response.status_code == 422
    assert "is the service's own; choose another" in response.json()["detail"]
    assert len(desk.asked) == sent


async def test_a_plan_is_revised_by_a_text_by_an_object_and_by_the_stored_form(begun: httpx.AsyncClient) -> None:
    commands = "/v1/rollouts/small/commands"
    text = SMALL.replace("A small release", "As text")
    assert (await begun.post(commands, json={"type": "revise_plan", "plan": text})).status_code == 200
    assert (await begun.get("/v1/rollouts/small")).json()["title"] == "As text"
    written = {"title": "As an object", "toggles": {"first_toggle": "one"}, "prerequisites": ["It is live"]}
    response = await begun.post(commands, json={"type": "revise_plan", "plan": written})
    assert response.status_code == 200, response.text
    plan = (await begun.get("/v1/rollouts/small/plan")).json()
    assert plan["prerequisites"] == [{"text": "It is live", "id": "it-is-live"}]
    stored = {**plan, "title": "As stored"}
    assert (await begun.post(commands, json={"type": "revise_plan", "plan": stored})).status_code == 200
    assert (await begun.get("/v1/rollouts/small")).json()["title"] == "As stored"


async def test_a_stored_plan_may_be_adopted_as_a_command(begun: httpx.AsyncClient, desk: Desk) -> None:
    plan = (await begun.get("/v1/rollouts/small/plan")).json()
    other = {**plan, "id": "other", "toggles": [{"key": "quite_another"}]}
    response = await begun.post("/v1/rollouts/other/commands", json={"type": "adopt", "plan": other})
    assert response.json()["revision"] == 2


async def test_a_dry_run_writes_nothing(begun: httpx.AsyncClient, desk: Desk) -> None:
    command = {"type": "report_deploy", "service": "web", "version": "1", "dry_run": True}
    response = await begun.post("/v1/rollouts/small/commands", json=command)
    assert response.json()["dry_run"] is True
    assert await desk.log.head() == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("refused", 409),
        ("changed", 409),
        ("already-exists", 409),
        ("command-id-reused", 409),
        ("forbidden", 403),
        ("unknown-rollout", 404),
        ("invalid", 422),
        ("too-large", 413),
        ("stopped", 503),
        ("unavailable", 503),
    ],
)
async def test_each_refusal_has_its_status(
    begun: httpx.AsyncClient, desk: Desk, code: RefusalCode, status: int
) -> None:
    desk.refusal = Refusal(code, ("the first reason", "the second"), "planned", 7)
    response = await begun.post("/v1/rollouts/small/commands", json={"type": "halt"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["reasons"] == ["the first reason", "the second"]
    assert (problem["phase"], problem["revision"]) == ("planned", 7)
    assert ("retry-after" in response.headers) == (code == "unavailable")


async def test_a_log_that_cannot_be_reached_is_no_internal_error(begun: httpx.AsyncClient, desk: Desk) -> None:
    desk.log.reachable = False
    response = await begun.post("/v1/rollouts/small/commands", json={"type": "halt"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    with pytest.raises(Unavailable):
        await desk.log.head()


# -- at least


@pytest.mark.parametrize(
    "path", ["/v1/rollouts", "/v1/rollouts/small", "/v1/rollouts/small/plan", "/v1/rollouts/small/audit", "/v1/audit"]
)
async def test_every_read_waits_for_the_revision_it_is_asked_for(
    begun: httpx.AsyncClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.api.freshness.PATIENCE", 0.05)
    assert (await begun.get(path, params={"at_least": 1})).status_code == 200
    behind = await begun.get(path, params={"at_least": 2})
    assert behind.status_code == 503
    assert behind.headers["retry-after"] == "1"
    assert behind.json()["detail"] == "revision 2 was asked for; 1 is held here"
    assert behind.json()["revision"] == 1


@pytest.mark.parametrize("asked", ["", "x", "-1", "1.5", "1e9", "9" * 30, "٣"])
async def test_at_least_must_be_a_number(begun: httpx.AsyncClient, asked: str) -> None:
    response = await begun.get("/v1/rollouts/small", params={"at_least": asked})
    assert response.status_code == 400
    assert "at_least must be a revision" in response.json()["detail"]
