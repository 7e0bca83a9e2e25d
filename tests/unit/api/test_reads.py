"""The trail, the flags and the state of the service, over HTTP."""

from __future__ import annotations

import logging
from datetime import timedelta

import httpx
import pytest

from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk

COMMANDS = "/v1/rollouts/small/commands"


async def deployed(client: httpx.AsyncClient) -> None:
    for command in (
        {"type": "note", "text": "a note"},
        {"type": "report_deploy", "service": "web", "version": "1"},
    ):
        assert (await client.post(COMMANDS, json=command)).status_code == 200


# -- the trail


async def test_the_trail_is_read_page_by_page_in_both_directions(begun: httpx.AsyncClient) -> None:
    await deployed(begun)
    whole = (await begun.get("/v1/rollouts/small/audit")).json()
    assert whole["next"] is None
    facts = [item["fact"] for item in whole["items"]]
    assert facts[:2] == ["plan_adopted", "noted"]
    for order, expected in (("asc", facts), ("desc", facts[::-1])):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            asked: dict[str, str | int] = {"limit": 2, "order": order, "after": cursor}
            page = (await begun.get("/v1/rollouts/small/audit", params=asked)).json()
            seen += [item["fact"] for item in page["items"]]
            cursor = page["next"]
        assert seen == expected


async def test_the_trail_of_all_rollouts_and_its_filters(begun: httpx.AsyncClient) -> None:
    await deployed(begun)
    everything = (await begun.get("/v1/audit")).json()["items"]
    assert everything == (await begun.get("/v1/rollouts/small/audit")).json()["items"]
    (note,) = (await begun.get("/v1/audit", params={"fact": "noted"})).json()["items"]
    assert note["subject"] == "morgan"
    assert (await begun.get("/v1/audit", params={"subject": "nobody"})).json()["items"] == []
    assert (await begun.get("/v1/audit", params={"until": "2022-07-29T12:00:00Z"})).json()["items"] == []
    assert len((await begun.get("/v1/audit", params={"since": "2022-07-29"})).json()["items"]) == len(everything)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"limit": "0"}, "limit: expected a number from 1 to 1000, found '0'"),
        ({"limit": "1001"}, "limit: expected a number from 1 to 1000"),
        ({"limit": "ten"}, "found 'ten'"),
        ({"order": "up"}, "order: expected one of oldest, asc, newest, desc; found 'up'"),
        ({"outcome": "maybe"}, "outcome: expected one of accepted, refused"),
        ({"after": "%%%"}, "not a cursor"),
        ({"since": "yesterday"}, "since: expected an instant"),
    ],
)
async def test_a_question_about_the_trail_that_is_wrong_is_400(
    begun: httpx.AsyncClient, asked: dict[str, str], words: str
) -> None:
    response = await begun.get("/v1/audit", params=asked)
    assert response.status_code == 400
    assert words in response.json()["detail"]


# -- the flags


async def test_the_flags_of_a_planned_rollout_are_off_for_everybody(begun: httpx.AsyncClient) -> None:
    found = (await begun.get("/v1/rollouts/small/flags", params={"user": "u1"})).json()
    assert found == {"revision": 1, "flags": {"first_toggle": False, "second_toggle": False}, "reason": "DISABLED"}


async def test_a_known_state_that_nothing_is_heard_of_is_answered_and_called_stale(
    begun: httpx.AsyncClient, desk: Desk
) -> None:
    desk.flags.silent_since = NOON - timedelta(seconds=9)
    found = (await begun.get("/v1/rollouts/small/flags")).json()
    assert found["stale_since"] == "2022-07-29T11:59:51Z"
    assert set(found["flags"].values()) == {False}


async def test_without_any_state_there_is_an_error_and_no_guess(begun: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.held = None
    response = await begun.get("/v1/rollouts/small/flags")
    assert response.status_code == 503
    assert response.json()["type"] == "/problems/cold"


async def test_flags_wait_for_the_flags_and_not_for_the_tables(begun: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.held = 0
    response = await begun.get("/v1/rollouts/small/flags", params={"at_least": 1})
    assert response.status_code == 503
    assert response.json()["detail"] == "revision 1 was asked for; 0 is held here"


async def test_a_cancelled_rollout_answers_for_no_toggle(begun: httpx.AsyncClient) -> None:
    await begun.post(COMMANDS, json={"type": "cancel", "reason": "not any more"})
    response = await begun.get("/v1/rollouts/small/flags")
    assert response.status_code == 404


# -- who may read


@pytest.mark.parametrize("role", ["reader", "auditor", "ci", "monitor"])
async def test_any_token_reads(known_as: Client, role: str) -> None:
    client = known_as("somebody", role)
    for path in ("/v1/rollouts", "/v1/audit"):
        assert (await client.get(path)).status_code == 200


async def test_a_reader_may_not_command(known_as: Client, desk: Desk) -> None:
    client = known_as("somebody", "reader")
    response = await client.post(COMMANDS, json={"type": "halt", "reason": "x"})
    assert response.status_code == 403
    assert response.json()["type"] == "/problems/forbidden"


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/rollouts/small", "/v1/audit", "/v1/tokens"])
@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Basic cm9vdDpyb290", "Bearer cut_unknown", "cut_x"])
async def test_nobody_reads_without_a_known_token(stranger: httpx.AsyncClient, path: str, header: str | None) -> None:
    response = await stranger.get(path, headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"


async def test_nobody_commands_without_a_token(stranger: httpx.AsyncClient, desk: Desk) -> None:
    assert (await stranger.post("/v1/rollouts", content=b"title: x")).status_code == 401
    assert (await stranger.post(COMMANDS, json={"type": "halt"})).status_code == 401
    assert desk.asked == []


# -- the service itself


async def test_alive_and_ready_are_asked_without_a_token(stranger: httpx.AsyncClient, unready: list[str]) -> None:
    assert (await stranger.get("/healthz")).status_code == 200
    assert (await stranger.get("/readyz")).status_code == 200
    unready += ["the log cannot be reached", "the flags are cold"]
    assert (await stranger.get("/healthz")).status_code == 200
    response = await stranger.get("/readyz")
    assert response.status_code == 503
    assert response.json()["reasons"] == unready


async def test_trouble_with_one_rollout_is_told_and_takes_nobodys_readiness(
    stranger: httpx.AsyncClient, troubles: list[str]
) -> None:
    assert (await stranger.get("/readyz")).json() == {"ready": True}
    troubles.append("the clock fails at rollout far: OverflowError: date value out of range")
    response = await stranger.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True, "troubles": troubles})


async def test_every_answer_forbids_caching_and_sniffing(begun: httpx.AsyncClient) -> None:
    for response in (
        await begun.get("/v1/rollouts"),
        await begun.get("/nope"),
        await begun.post("/v1/tokens", content=b" " * 100_000),
    ):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_failure_inside_says_nothing_outside_and_never_logs_the_query(
    begun: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk.flags, "time", lambda: 1 / 0)
    with caplog.at_level(logging.DEBUG):
        response = await begun.get("/v1/rollouts/small/flags", params={"user": "mrs-miller"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "division" not in response.text
    assert "GET /v1/rollouts/small/flags failed" in caplog.text
    assert "mrs-miller" not in "".join(r.getMessage() for r in caplog.records if not r.name.startswith("httpx"))
