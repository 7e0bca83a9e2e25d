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


# -- once a tester is erased

OTHER = "veteran-0043@example.org"


async def keyed(client: httpx.AsyncClient, key: str, type_: str, **fields: Any) -> httpx.Response:
    return await client.post(COMMANDS, json={"type": type_, **fields}, headers={"Idempotency-Key": key})


async def held(client: httpx.AsyncClient, desk: Desk) -> list[tuple[str, str, dict[str, Any]]]:
    """A session scheduled, moved, recorded, waived and closed, with words everywhere; the commands by their keys."""
    start = desk.flags.now + timedelta(hours=1)
    words = {
        "reason": "Mrs Miller asked",
        "note": "call Mrs Miller",
        "evidence": [{"kind": "answer", "text": "Mrs Miller's mail"}],
    }
    tried = [{"workflow": "Look", "done": False, "comments": "Mrs Miller", "errors": "a 502", "load_times": [1.0, 2.0]}]
    commands: list[tuple[str, str, dict[str, Any]]] = [
        ("k1", "schedule_session", {"session": "s1", "tester": VETERAN, "at": start.isoformat(), **words}),
        ("k2", "move_session", {"session": "s1", "length": "20 minutes", **words}),
        ("k3", "record_session", {"session": "s1", "workflows": tried, "comments": "Mrs Miller", **words}),
        ("k4", "waive_workflow", {"session": "s1", "workflow": "Look", **words}),
        ("k5", "close_window", {"session": "s1", **words}),
    ]
    for key, type_, fields in commands:
        if type_ == "record_session":
            desk.flags.now = start
        response = await keyed(client, key, type_, **fields)
        assert response.status_code == 200, response.text
    return commands


async def test_a_repeated_command_about_an_erased_tester_gets_its_first_answer(
    testing: httpx.AsyncClient, desk: Desk
) -> None:
    commands = await held(testing, desk)
    first = [(await keyed(testing, key, type_, **fields)).json() for key, type_, fields in commands]
    head = await desk.log.head()
    desk.vault.erase(VETERAN)
    again = [(await keyed(testing, key, type_, **fields)).json() for key, type_, fields in commands]
    assert again == first
    assert await desk.log.head() == head
    assert desk.vault.known(VETERAN) == ""


async def test_the_id_of_a_command_about_an_erased_tester_is_still_not_free_for_another(
    testing: httpx.AsyncClient, desk: Desk
) -> None:
    commands = await held(testing, desk)
    desk.vault.erase(VETERAN)
    for key, type_, fields in commands:
        for changed in ({**fields, "reason": ""}, {**fields, "session": "s2"}, {**fields, "evidence": []}):
            response = await keyed(testing, key, type_, **changed)
            assert response.status_code == 409, (type_, response.text)
            assert response.json()["type"] == "/problems/command-id-reused"
    assert desk.vault.known(VETERAN) == ""


async def test_the_reasons_and_notes_of_session_commands_are_nowhere_in_clear(
    testing: httpx.AsyncClient, desk: Desk
) -> None:
    await held(testing, desk)
    refused = await keyed(testing, "k9", "cancel_session", session="s1", reason="Mrs Miller is ill")
    assert refused.status_code == 409
    attempts = b"".join(entry.data for entry in await desk.log.attempts(0))
    answers = [await testing.get(path) for path in ("/v1/audit", "/v1/rollouts/small/audit?fact=refused")]
    for text in ((await everything_kept(desk)).decode(), attempts.decode(), *(answer.text for answer in answers)):
        assert "Miller" not in text
    (kept,) = (entry.data for entry in await desk.log.attempts(0))
    assert b'"reason":"enc:' in kept


async def test_who_may_not_schedule_makes_nobody_known(testing: httpx.AsyncClient, known_as: Any, desk: Desk) -> None:
    stranger = known_as("rita", "reader")
    fields = {"session": "s1", "tester": VETERAN, "at": desk.flags.now.isoformat(), "reason": "Mrs Miller asked"}
    response = await keyed(stranger, "k1", "schedule_session", **fields)
    assert response.status_code == 403
    assert desk.vault.known(VETERAN) == ""
    assert b"Miller" not in b"".join(entry.data for entry in await desk.log.attempts(0))
