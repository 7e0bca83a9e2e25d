"""The past over HTTP: what stood, what blocked, and what a user got, at an instant or up to a revision."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.api.app import Service
from services.people.tokens import Tokens
from services.views.views import Views
from tests.unit.api.conftest import SMALL, Client
from tests.unit.api.desk import NOON, Desk
from tests.unit.api.test_testers import TESTED, VETERAN, send

SMALL_URL = "/v1/rollouts/small"


@pytest.fixture
def service(desk: Desk, book: Tokens) -> Service:
    """The service whose clock is the desk's."""
    return Service(desk.ask, Views(desk.database), desk.flags, book, desk.vault, lambda: desk.flags.now, tuple)


def later(desk: Desk, **by: float) -> datetime:
    desk.flags.now += timedelta(**by)
    return desk.flags.now


@pytest.fixture
async def released(begun: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """The manager of the small release, a day on: deployed at one o'clock, attested at two, halted at three."""
    later(desk, hours=1)
    await send(begun, "report_deploy", service="web", version="1")
    later(desk, hours=1)
    await send(begun, "attest", item="The other service is live")
    later(desk, hours=1)
    await send(begun, "halt", reason="look at that")
    later(desk, days=1)
    return begun


async def asked(client: httpx.AsyncClient, path: str, as_of: object, **more: str) -> Any:
    response = await client.get(path, params={"as_of": str(as_of), **more})
    assert response.status_code == 200, response.text
    return response.json()


# -- where it stood


async def test_a_rollout_is_seen_and_judged_as_it_was_at_an_instant(released: httpx.AsyncClient) -> None:
    then = await asked(released, SMALL_URL, "2022-07-29T12:30:00Z")
    assert (then["phase"], then["halted"], then["revision"]) == ("planned", False, 1)
    assert then["as_of"] == "2022-07-29T12:30:00Z"
    then = await asked(released, SMALL_URL, "2022-07-29T13:30:00+00:00")
    assert (then["phase"], then["halted"], then["revision"]) == ("code_deploy", False, 2)
    assert any("The other service is live" in each for each in then["blockers"])
    then = await asked(released, SMALL_URL, "2022-07-29T14:00:00")
    assert not any("The other service is live" in each for each in then["blockers"])
    now = (await released.get(SMALL_URL)).json()
    assert now["halted"]
    assert "as_of" not in now


async def test_a_revision_is_seen_and_judged_as_of_when_it_was_written(released: httpx.AsyncClient) -> None:
    then = await asked(released, SMALL_URL, 2)
    assert (then["phase"], then["revision"], then["as_of"]) == ("code_deploy", 2, "2022-07-29T13:00:00Z")


async def test_the_list_and_the_plan_are_seen_as_they_were(released: httpx.AsyncClient) -> None:
    assert await asked(released, "/v1/rollouts", "2022-07-29T11:00:00Z") == {"items": []}
    (then,) = (await asked(released, "/v1/rollouts", "2022-07-29T12:30:00Z"))["items"]
    assert (then["phase"], then["revision"]) == ("planned", 1)
    now = (await released.get("/v1/rollouts")).json()
    assert await asked(released, "/v1/rollouts", now["items"][0]["revision"]) == now
    plan = (await released.get(f"{SMALL_URL}/plan")).json()
    revised = SMALL.replace("A small release", "A smaller release")
    done = await send(released, "revise_plan", plan=revised)
    assert (await asked(released, f"{SMALL_URL}/plan", done["revision"]))["title"] == "A smaller release"
    assert await asked(released, f"{SMALL_URL}/plan", done["revision"] - 1) == plan


async def test_what_has_not_happened_is_not_answered(released: httpx.AsyncClient) -> None:
    expected = "as_of: expected a revision, or an instant such as 2022-07-29T12:00:00Z"
    for as_of, status, words in (
        ("2030-01-01", 400, "as_of: 2030-01-01T00:00:00Z has not come yet, it is 2022-07-30T15:00:00Z"),
        ("99", 400, "as_of: revision 99 is not known here: the last one is 4"),
        ("yesterday", 400, f"{expected}; found 'yesterday'"),
        ("", 400, expected),
        ("0", 404, "there was no rollout 'small' then: it began with revision 1, 2022-07-29T12:00:00Z"),
        ("2022-01-01", 404, "there was no rollout 'small' then"),
    ):
        for path in (SMALL_URL, f"{SMALL_URL}/plan", f"{SMALL_URL}/flags"):
            response = await released.get(path, params={"as_of": as_of})
            assert response.status_code == status, (path, as_of)
            assert words in response.json()["detail"]


async def test_there_was_never_a_rollout_by_another_name(released: httpx.AsyncClient) -> None:
    response = await released.get("/v1/rollouts/other", params={"as_of": "1"})
    assert (response.status_code, response.json()["detail"]) == (404, "there is no rollout 'other'")


async def test_a_list_of_the_future_is_not_answered(released: httpx.AsyncClient) -> None:
    assert (await released.get("/v1/rollouts", params={"as_of": "99"})).status_code == 400


# -- what a user got


@pytest.fixture
async def tested(manager: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """Testing since noon the day after; a Veteran's window was from 13:30 to 14:30, and it is a day later."""
    await begin_testing(manager, desk, VETERAN, TESTED)
    return manager


async def begin_testing(manager: httpx.AsyncClient, desk: Desk, tester: str, plan: str) -> None:
    await manager.post("/v1/rollouts", content=plan, headers={"Content-Type": "application/yaml"})
    await send(manager, "report_deploy", service="web", version="1")
    await send(manager, "attest", item="The other service is live")
    later(desk, days=1)
    for question in (await manager.get(f"{SMALL_URL}/plan")).json()["deploy"]["watch"][0].get("results", ()):
        await send(manager, "record_result", item=question["id"], value="yes")
    await send(manager, "start_testing")
    await send(manager, "schedule_session", session="s1", tester=tester, at="2022-07-30T14:00:00Z", reason="asked")
    later(desk, days=1)


async def explained(client: httpx.AsyncClient, at: object = "", user: str = VETERAN, **more: Any) -> Any:
    body = {"toggle": "first_toggle", "user": user, "at": at, **more}
    response = await client.post("/v1/explain", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_flags_of_the_past_follow_a_window_without_a_record(tested: httpx.AsyncClient) -> None:
    for at, expected in (("13:29", False), ("13:30", True), ("14:29", True), ("14:30", False)):
        then = await asked(tested, f"{SMALL_URL}/flags", f"2022-07-30T{at}:00Z", user=VETERAN)
        assert then["flags"] == {"first_toggle": expected, "second_toggle": expected}
        assert (await asked(tested, f"{SMALL_URL}/flags", f"2022-07-30T{at}:00Z"))["flags"]["first_toggle"] is False


async def test_what_a_tester_got_is_explained_by_their_window_and_the_record_that_set_it(
    tested: httpx.AsyncClient,
) -> None:
    found = await explained(tested, "2022-07-30T14:03:00Z")
    assert (found["value"], found["reason"], found["variant"], found["why"]) == (
        True,
        "TARGETING_MATCH",
        "on",
        "window",
    )
    assert found["windows"] == [{"session": "s1", "opens": "2022-07-30T13:30:00Z", "closes": "2022-07-30T14:30:00Z"}]
    record = found["record"]
    assert (record["command"], record["subject"], record["when"]) == (
        "schedule_session",
        "morgan",
        "2022-07-30T12:00:00Z",
    )
    assert found["revision"] == found["known_to"] == record["revision"]
    assert record["says"] == [
        "Session s1 scheduled: the group is on from 2022-07-30 13:30 UTC until 2022-07-30 14:30 UTC"
    ]
    assert VETERAN not in str(found)
    assert not re.search(r"\bt-[0-9a-f]", str(found)), "who is asked about is not named by their reference too"
    stranger = await explained(tested, "2022-07-30T14:03:00Z", user="somebody else")
    assert (stranger["value"], stranger["record"]["command"]) == (False, "start_testing")


async def test_an_email_address_got_the_same_however_it_is_written(manager: httpx.AsyncClient, desk: Desk) -> None:
    await begin_testing(manager, desk, "Wendy@Example.org", f"{TESTED}actor: email\n")
    for user in ("wendy@example.org", "Wendy@example.ORG"):
        found = await explained(manager, "2022-07-30T14:03:00Z", user=user)
        assert (found["value"], found["why"]) == (True, "window")
        then = await asked(manager, f"{SMALL_URL}/flags", "2022-07-30T14:03:00Z", user=user)
        assert then["flags"]["first_toggle"] is True


async def test_a_moved_session_is_explained_as_it_stood_at_each_time(tested: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.now = NOON + timedelta(days=1, hours=1)
    await send(tested, "move_session", session="s1", at="2022-07-30T18:00:00Z", reason="ill")
    desk.flags.now = NOON + timedelta(days=1, hours=6)
    await send(tested, "roll_back", reason="errors")
    desk.flags.now = NOON + timedelta(days=2)
    off = await explained(tested, "2022-07-30T14:03:00Z")
    assert (off["value"], off["why"], off["record"]["command"]) == (False, "outside", "move_session")
    on = await explained(tested, "2022-07-30T17:45:00Z")
    assert (on["value"], on["why"], on["record"]["command"]) == (True, "window", "move_session")
    off = await explained(tested, "2022-07-30T18:00:00Z")
    assert (off["value"], off["why"], off["record"]["command"]) == (False, "phase", "roll_back")
    assert off["record"]["reason"] == "errors"


async def test_a_window_that_a_halt_kept_shut_is_explained_by_the_halt(tested: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.now = NOON + timedelta(days=1, hours=1)
    await send(tested, "halt", reason="look at that")
    desk.flags.now = NOON + timedelta(days=1, hours=2)
    await send(tested, "resume", reason="fine")
    desk.flags.now = NOON + timedelta(days=2)
    halted = await explained(tested, "2022-07-30T13:45:00Z")
    assert (halted["value"], halted["why"], halted["record"]["command"]) == (False, "halted", "halt")
    resumed = await explained(tested, "2022-07-30T14:00:00Z")
    assert (resumed["value"], resumed["why"], resumed["record"]["command"]) == (True, "window", "resume")


async def test_an_erased_testers_window_makes_every_strangers_past_unknown(
    tested: httpx.AsyncClient, desk: Desk
) -> None:
    assert desk.vault.erase(VETERAN)
    for user in (VETERAN, "somebody else"):
        found = await explained(tested, "2022-07-30T14:03:00Z", user=user)
        assert (found["value"], found["reason"], found["why"]) == (None, "UNKNOWN", "erased")
        assert "has been erased" in found["says"]
        assert (await explained(tested, "2022-07-30T15:03:00Z", user=user))["value"] is False
    visitor = await explained(tested, "2022-07-30T14:03:00Z", user="")
    assert visitor["value"] is False
    path, as_of = f"{SMALL_URL}/flags", "2022-07-30T14:03:00Z"
    response = await tested.get(path, params={"as_of": as_of, "user": VETERAN})
    assert (response.status_code, response.json()["type"]) == (410, "/problems/erased")
    assert VETERAN not in response.text


async def test_a_toggle_is_explained_by_the_rollout_that_had_it_then(released: httpx.AsyncClient, desk: Desk) -> None:
    await send(released, "roll_back", reason="no")
    await send(released, "cancel", reason="another way")
    cancelled = desk.flags.now
    later(desk, hours=1)
    other = SMALL.replace("id: small", "id: other")
    await released.post("/v1/rollouts", content=other, headers={"Content-Type": "application/yaml"})
    before = await explained(released, "2022-07-29T11:00:00Z")
    assert (before["value"], before["rollout"], before["record"]) == (None, "", None)
    assert before["says"] == "no rollout listed this toggle then; small lists it from revision 1 on"
    found = await explained(released, "2022-07-29T12:30:00Z")
    assert (found["rollout"], found["value"], found["why"]) == ("small", False, "phase")
    found = await explained(released, cancelled.isoformat())
    assert (found["rollout"], found["value"], found["record"]["command"]) == ("small", None, "cancel")
    assert "its rollout had been cancelled" in found["says"]
    found = await explained(released)
    assert (found["rollout"], found["value"], found["why"]) == ("other", False, "phase")


async def test_a_toggle_that_nobody_ever_had_was_never_answered_for(released: httpx.AsyncClient) -> None:
    response = await released.post("/v1/explain", json={"toggle": "third_toggle"})
    found = response.json()
    assert (found["value"], found["reason"], found["says"]) == (
        None,
        "FLAG_NOT_FOUND",
        "no rollout listed this toggle then",
    )


async def test_a_question_that_cannot_be_understood_says_why(released: httpx.AsyncClient) -> None:
    for body, status, words in (
        ([], 422, "expected an object"),
        ({}, 422, "the field 'toggle' is missing"),
        ({"toggle": "first_toggle", "usr": "x"}, 422, "there is no field 'usr'; the nearest is 'user'"),
        ({"toggle": "first_toggle", "at": "2030-01-01"}, 400, "at: 2030-01-01T00:00:00Z has not come yet"),
        ({"toggle": "first_toggle", "at": 99}, 400, "at: revision 99 is not known here"),
        ({"toggle": "first_toggle", "at": -1}, 400, "at: expected a revision"),
    ):
        response = await released.post("/v1/explain", json=body)
        assert response.status_code == status, body
        assert words in response.json()["detail"]


async def test_only_those_who_may_know_of_testers_are_told_what_one_user_got(known_as: Client) -> None:
    for role, status in (("auditor", 200), ("facilitator", 200), ("reader", 403), ("ci", 403), ("approver", 403)):
        client = known_as(role, role)
        response = await client.post("/v1/explain", json={"toggle": "first_toggle"})
        assert response.status_code == status, role
        past = await client.get("/v1/rollouts/small/flags", params={"user": "vera", "as_of": "0"})
        assert past.status_code == (status if status == 403 else 404), role  # there was no rollout then
        assert (await client.get("/v1/rollouts/small/flags", params={"as_of": "0"})).status_code == 404
