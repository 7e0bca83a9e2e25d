"""VA.gov's endpoint: both spellings, names echoed, who may ask for whom, and what is said when it is not known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from events.facts import EVERYONE, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window, bucket
from services.api.problems import TITLES
from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk

PATH = "/v0/feature_toggles"
CC = "va_online_scheduling_vaos_service_cc_appointments"
REQUESTS = "va_online_scheduling_vaos_service_requests"
OPEN = ("ofrep", "va.gov")
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", (CC, REQUESTS), EVERYONE, readers=OPEN)
HIDDEN = FlagSnapshot(2, "hidden", 5, NOON, "cutover", ("hidden_one",), EVERYONE, readers=("ofrep",))
HOUR = Window("s1", "t-1", NOON, NOON + timedelta(hours=1))


@pytest.fixture
def page(stranger: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """A page of VA.gov, without a token, and two rollouts."""
    desk.flags.hear(HIDDEN, 5)
    desk.flags.hear(VAOS, 7)
    return stranger


def values(answer: httpx.Response) -> dict[str, bool]:
    assert answer.status_code == 200, answer.text
    return {feature["name"]: feature["value"] for feature in answer.json()["data"]["features"]}


async def test_without_names_every_toggle_comes_twice_camel_then_snake(page: httpx.AsyncClient) -> None:
    answer = await page.get(PATH)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {
        "data": {
            "type": "feature_toggles",
            "features": [
                {"name": "vaOnlineSchedulingVAOSServiceCCAppointments", "value": True},
                {"name": CC, "value": True},
                {"name": "vaOnlineSchedulingVAOSServiceRequests", "value": True},
                {"name": REQUESTS, "value": True},
            ],
        }
    }
    assert (answer.headers["cutover-revision"], answer.headers["cutover-pin"]) == ("7", "r7@0")


async def test_names_are_echoed_exactly_as_sent_and_an_unknown_one_is_off(page: httpx.AsyncClient) -> None:
    sent = [CC, "vaOnlineSchedulingVAOSServiceRequests", "VaOnlineSchedulingVAOSServiceRequests", "what_is_this", "é"]
    answer = await page.get(PATH, params={"features": ",".join(sent)})
    assert list(values(answer).items()) == [(name, name not in ("what_is_this", "é")) for name in sent]


async def test_a_key_that_camel_case_does_not_bring_back_is_found_by_its_own_spelling_only(
    page: httpx.AsyncClient, desk: Desk
) -> None:
    desk.flags.hear(replace(VAOS, revision=8, toggles=("can_autofill_10_10cg_address",)), 8)
    names = "can_autofill_10_10cg_address,canAutofill1010cgAddress"
    found = values(await page.get(PATH, params={"features": names}))
    assert found == {"can_autofill_10_10cg_address": True, "canAutofill1010cgAddress": False}


async def test_a_stranger_sees_only_what_the_plan_shows_to_va_gov(page: httpx.AsyncClient, known_as: Client) -> None:
    assert values(await page.get(PATH, params={"features": f"hidden_one,{CC}"})) == {"hidden_one": False, CC: True}
    assert "hidden_one" not in values(await page.get(PATH))
    client = known_as("vets-api", "reader")
    assert values(await client.get(PATH, params={"features": "hiddenOne"})) == {"hiddenOne": True}
    assert "hidden_one" in values(await client.get(PATH))


async def test_a_wrong_token_is_not_taken_for_none(page: httpx.AsyncClient) -> None:
    answer = await page.get(PATH, headers={"Authorization": "Bearer cut_nobody"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ["?&cookie_id=c1", "?cookie_id=c1", "?cookie_id=c1&features=", "?features=,&cookie_id=c1", "?x=1&&cookie_id=c1"],
)
async def test_a_cookie_counts_where_cookies_are_the_plans_actors(
    page: httpx.AsyncClient, desk: Desk, query: str
) -> None:
    testing = {"exposure": TESTERS, "windows": (HOUR,), "testers": {"t-1": desk.vault.hmac("c1")}}
    desk.flags.hear(replace(VAOS, revision=8, actor="cookie", **testing), 8)
    assert set(values(await page.get(PATH + query)).values()) == {True}
    assert set(values(await page.get(PATH + "?cookie_id=c2")).values()) == {False}
    desk.flags.now = NOON + timedelta(hours=1)
    assert set(values(await page.get(PATH + query)).values()) == {False}


@pytest.mark.parametrize("actor", ["account", "email"])
async def test_a_stranger_learns_of_no_account_whether_it_tests(
    page: httpx.AsyncClient, desk: Desk, known_as: Client, actor: Any
) -> None:
    user = "wendy@example.org"
    testing = {"exposure": TESTERS, "windows": (HOUR,), "testers": {"t-1": desk.vault.hmac(user)}}
    desk.flags.hear(replace(VAOS, revision=8, actor=actor, **testing), 8)
    assert set(values(await page.get(PATH, params={"cookie_id": user})).values()) == {False}
    assert (await page.get(PATH, params={"user": user})).status_code == 401
    assert (await page.get(PATH, headers={"Cutover-User": user})).status_code == 401
    client = known_as("vets-api", "reader")
    assert values(await client.get(PATH, params={"user": user}))[CC] is True
    assert values(await client.get(PATH, headers={"Cutover-User": user}))[CC] is True
    assert values(await client.get(PATH, params={"user": "Wendy@Example.org"}))[CC] is (actor == "email")


async def test_a_token_may_say_attributes_and_a_stranger_may_not(
    page: httpx.AsyncClient, desk: Desk, known_as: Client
) -> None:
    site = Exposure("cohort", (Audience(100, "site", "facility", ("983",)),))
    desk.flags.hear(replace(VAOS, revision=8, exposure=site), 8)
    asked = {"attribute.facility": "983", "user": "u1"}
    assert (await page.get(PATH, params={"attribute.facility": "983"})).status_code == 401
    assert values(await known_as("vets-api", "reader").get(PATH, params=asked))[CC] is True


async def test_a_percentage_of_cookies_is_the_published_hash(page: httpx.AsyncClient, desk: Desk) -> None:
    half = Exposure("percentage", (Audience(50),))
    desk.flags.hear(replace(VAOS, revision=8, actor="cookie", exposure=half), 8)
    for cookie in ("c1", "c2", "c3", "c4", "c5"):
        found = set(values(await page.get(PATH, params={"cookie_id": cookie})).values())
        assert found == {bucket(VAOS, cookie) < 50_000}
    assert set(values(await page.get(PATH)).values()) == {False}


async def test_the_last_known_state_is_served_and_said_to_be_so(page: httpx.AsyncClient, desk: Desk) -> None:
    assert "cutover-stale-since" not in (await page.get(PATH)).headers
    desk.flags.silent_since = NOON
    answer = await page.get(PATH)
    assert values(answer)[CC] is True
    assert answer.headers["cutover-stale-since"] == NOON.isoformat()


async def test_cold_is_an_error_and_never_a_guess(page: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.held = None
    answer = await page.get(PATH, params={"features": CC})
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/cold"
    assert answer.headers["retry-after"] == "1"


async def test_at_least_and_pins_hold_here_too(page: httpx.AsyncClient, desk: Desk) -> None:
    pin = (await page.get(PATH)).headers["cutover-pin"]
    desk.flags.hear(replace(VAOS, revision=8, phase="rolled_back"), 8)
    assert values(await page.get(PATH, params={"at_least": "8"}))[CC] is False
    assert values(await page.get(PATH, params={"at": pin}))[CC] is True
    behind = await page.get(PATH, params={"at_least": "9"})
    assert (behind.status_code, behind.json()["type"]) == (503, "/problems/behind")
    assert (await page.get(PATH, params={"at": "r1"})).status_code == 410
    assert (await page.get(PATH, params={"at_least": "soon"})).status_code == 400


async def test_pages_may_ask_with_credentials_and_the_headers_that_va_gov_sends(page: httpx.AsyncClient) -> None:
    headers = {
        "Origin": "https://www.va.gov",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "source-app-name,x-csrf-token,x-key-inflection",
    }
    answer = await page.options(PATH, headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://www.va.gov"
    assert answer.headers["access-control-allow-credentials"] == "true"
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert allowed >= {"source-app-name", "x-csrf-token", "x-key-inflection"}
    found = await page.get(PATH, headers={"Origin": "https://www.va.gov", "Cookie": "api_session=x"})
    assert found.headers["access-control-allow-origin"] == "https://www.va.gov"
    assert found.headers["access-control-allow-credentials"] == "true"
    assert found.headers["vary"] == "origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_is_switched_here(page: httpx.AsyncClient, method: str) -> None:
    answer = await page.request(method, PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_another_path_that_begins_alike_is_not_there(page: httpx.AsyncClient) -> None:
    assert (await page.get(PATH + "/x")).status_code == 404
    assert (await page.get(PATH + "x")).status_code == 404
    assert (await page.get(PATH + "/")).status_code == 200


@pytest.mark.parametrize(
    ("query", "slug"),
    [("?user=u1", "unauthorized"), ("?at=x", "malformed"), ("?at=r1@0", "gone"), ("?at_least=99", "behind")],
)
async def test_a_problem_has_the_title_of_its_kind_and_words_of_its_own(
    page: httpx.AsyncClient, desk: Desk, query: str, slug: str
) -> None:
    desk.flags.ticks += 301
    desk.flags.hear(replace(VAOS, revision=8), 8)
    desk.flags.ticks += 301
    desk.flags.hear(VAOS, 9)
    answer = await page.get(PATH + query)
    status, title = TITLES[slug]
    said = answer.json()
    assert (answer.status_code, said["type"], said["title"]) == (status, f"/problems/{slug}", title)
    assert said["detail"] != title
