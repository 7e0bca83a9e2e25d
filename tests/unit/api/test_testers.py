"""Testers over HTTP: their toggles go on for them, and nothing that is kept or answered says who they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.unit.api.conftest import SMALL
from tests.unit.api.desk import NOON, Desk

VETERAN = "veteran-0042@example.org"
COMMANDS = "/v1/rollouts/small/commands"
TESTED = SMALL.replace("testing:\n  waived: nothing to test\n", "testing:\n  workflows: [Look at it]\n")


async def send(client: httpx.AsyncClient, type_: str, **fields: Any) -> dict[str, Any]:
    response = await client.post(COMMANDS, json={"type": type_, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def on(client: httpx.AsyncClient, user: str) -> set[bool]:
    found = (await client.get("/v1/rollouts/small/flags", params={"user": user})).json()
    return set(found["flags"].values())


@pytest.fixture
async def testing(manager: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """The manager of a release whose watch is over and whose testing has begun."""
    await manager.post("/v1/rollouts", content=TESTED, headers={"Content-Type": "application/yaml"})
    await send(manager, "report_deploy", service="web", version="1")
    await send(manager, "attest", item="The other service is live")
    desk.flags.now = NOON + timedelta(hours=25)
    for question in (await manager.get("/v1/rollouts/small/plan")).json()["deploy"]["watch"][0].get("results", ()):
        await send(manager, "record_result", item=question["id"], value="yes")
    await send(manager, "start_testing")
    return manager


async def everything_kept(desk: Desk) -> bytes:
    entries = [await desk.log.at(n) for n in range(1, await desk.log.head() + 1)]
    return b"".join(entry.data for entry in entries if entry)


async def test_a_testers_window_opens_and_closes_for_them_alone(testing: httpx.AsyncClient, desk: Desk) -> None:
    start = desk.flags.now + timedelta(hours=1)
    done = await send(testing, "schedule_session", session="s1", tester=VETERAN, at=start.isoformat())
    (scheduled,) = (fact for fact in done["facts"] if fact["fact"] == "session_scheduled")
    assert scheduled["tester"] == desk.vault.reference(VETERAN)
    seen = {}
    for minutes in (-31, -30, 0, 29, 30):
        desk.flags.now = start + timedelta(minutes=minutes)
        seen[minutes] = await on(testing, VETERAN)
        assert await on(testing, "somebody else") == {False}
    assert seen == {-31: {False}, -30: {True}, 0: {True}, 29: {True}, 30: {False}}


async def test_nothing_kept_or_answered_names_a_tester(testing: httpx.AsyncClient, desk: Desk) -> None:
    start = desk.flags.now + timedelta(hours=1)
    await send(testing, "schedule_session", session="s1", tester=VETERAN, at=start.isoformat())
    desk.flags.now = start + timedelta(hours=1)
    tried = {"workflow": "Look at it", "done": True, "load_times": [1.2], "comments": "Mrs Miller said so"}
    recorded = {"session": "s1", "workflows": [tried], "comments": "Mrs Miller came"}
    done = await send(testing, "record_session", **recorded)
    kept = await everything_kept(desk)
    answers = [await testing.get(path) for path in ("/v1/audit", "/v1/rollouts/small", "/v1/rollouts/small/audit")]
    for text in (kept.decode(), str(done), *(answer.text for answer in answers)):
        assert VETERAN not in text
        assert "Miller" not in text
    (fact,) = (fact for fact in done["facts"] if fact["fact"] == "session_recorded")
    assert desk.vault.open_text(desk.vault.reference(VETERAN), fact["comments"]) == "Mrs Miller came"


async def test_text_about_an_erased_tester_is_refused_in_words(testing: httpx.AsyncClient, desk: Desk) -> None:
    start = desk.flags.now + timedelta(hours=1)
    await send(testing, "schedule_session", session="s1", tester=VETERAN, at=start.isoformat())
    desk.flags.now = start + timedelta(hours=1)
    desk.vault.erase(VETERAN)
    before = await desk.log.head()
    command = {"type": "record_session", "session": "s1", "comments": "Mrs Miller came"}
    response = await testing.post(COMMANDS, json=command)
    assert response.status_code == 409
    assert "was erased" in response.json()["reasons"][0]
    assert await desk.log.head() == before
    await send(testing, "record_session", session="s1", outcome="no_show")
