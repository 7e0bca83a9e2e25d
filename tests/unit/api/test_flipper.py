"""Flipper's API as its Ruby adapter calls it: shapes, keys, ETags, what is not told, and to whom testers are."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import product
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy.exc import OperationalError

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window
from services.api.reads import flipper
from services.api.reads.flipper import asked_keys
from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk

READERS = ("flipper", "va.gov")
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("one", "two"), EVERYONE, readers=READERS)
HIDDEN = FlagSnapshot(2, "hidden", 5, NOON, "cutover", ("hidden_one",), EVERYONE, readers=("ofrep",))
STAFF = Exposure("cohort", (Audience(100, "Staff", users=("u1", "u2")),))
SHARE = Exposure("percentage", (Audience(25),))
SITE = Exposure("cohort", (Audience(100, "Site", "facility", ("983",)),))
VETERAN = "5f0c1a2e"
ALL = "/flipper/features?exclude_gate_names=true"


@pytest.fixture
def told(desk: Desk) -> None:
    desk.flags.hear(HIDDEN, 5)
    desk.flags.hear(VAOS, 7)


@pytest.fixture
def application(told: None, known_as: Client) -> httpx.AsyncClient:
    """An application with the Flipper gem, whose token may not see testers."""
    return known_as("vets-api", "reader")


@pytest.fixture
def trusted(told: None, known_as: Client) -> httpx.AsyncClient:
    """The same, let in for testers too."""
    return known_as("vets-api", "reader", "Sees testers")


def gates(**values: Any) -> list[dict[str, Any]]:
    default: dict[str, Any] = {"boolean": None, "expression": None, "actors": [], "percentage_of_actors": None}
    default |= {"percentage_of_time": None, "groups": []}
    return [{"key": key, "value": value} for key, value in (default | values).items()]


def window_of(desk: Desk, user: str = VETERAN, revision: int = 8, **parts: Any) -> FlagSnapshot:
    """Testers only, with the window of one of them open for an hour; their id is kept."""
    reference = desk.vault.reference(user)
    desk.vault.keep_id(reference, user)
    window = Window("s1", reference, NOON, NOON + timedelta(hours=1))
    known = {reference: desk.vault.hmac(user)}
    snapshot = replace(VAOS, revision=revision, exposure=TESTERS, windows=(window,), testers=known, **parts)
    desk.flags.hear(snapshot, revision)
    return snapshot


async def test_all_features_come_as_the_gem_reads_them(application: httpx.AsyncClient) -> None:
    answer = await application.get(ALL)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    on = gates(boolean="true")
    assert answer.json() == {
        "features": [{"key": "one", "state": "on", "gates": on}, {"key": "two", "state": "on", "gates": on}]
    }


async def test_one_feature_comes_unwrapped_with_the_gates_names(application: httpx.AsyncClient) -> None:
    answer = await application.get("/flipper/features/one")
    found = answer.json()
    assert (answer.status_code, found["key"], found["state"]) == (200, "one", "on")
    names = [(gate["key"], gate["name"], gate["value"]) for gate in found["gates"]]
    assert names == [
        ("boolean", "boolean", "true"),
        ("expression", "expression", None),
        ("actors", "actor", []),
        ("percentage_of_actors", "percentage_of_actors", None),
        ("percentage_of_time", "percentage_of_time", None),
        ("groups", "group", []),
    ]
    bare = (await application.get("/flipper/features/one?exclude_gate_names=true")).json()
    assert bare["gates"] == gates(boolean="true")
    assert "gates" not in (await application.get("/flipper/features/one?exclude_gates=true")).json()


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("keys=two,one,nothing", ["two", "one"]),
        ("keys=", []),
        ("keys=,", []),
        ("keys[]=one&keys[]=with%2Ccomma", ["one"]),
        ("keys%5B%5D=one", ["one"]),
        ("keys=one%2Ctwo", ["one", "two"]),
        ("keys=hidden_one,two", ["two"]),
        ("_cb=1659096000", ["one", "two"]),
        ("exclude_gates=true", ["one", "two"]),
    ],
)
async def test_keys_are_asked_for_in_every_way_the_gem_does(
    application: httpx.AsyncClient, query: str, keys: list[str]
) -> None:
    answer = await application.get(f"/flipper/features?{query}")
    assert [feature["key"] for feature in answer.json()["features"]] == keys


def test_a_comma_that_is_encoded_belongs_to_its_key_where_others_are_not() -> None:
    assert asked_keys(b"keys=a%2Cb,c&exclude_gate_names=true") == ["a,b", "c"]
    assert asked_keys(b"exclude_gate_names=true") is None


@pytest.mark.parametrize("key", ["nothing", "hidden_one", "one/boolean"])
async def test_what_flipper_is_not_told_of_is_404_in_flippers_words(application: httpx.AsyncClient, key: str) -> None:
    answer = await application.get(f"/flipper/features/{key}")
    assert answer.status_code == 404
    assert (answer.json()["code"], answer.json()["message"]) == (1, "Feature not found.")
    assert answer.json()["more_info"]


async def test_every_write_is_405(application: httpx.AsyncClient) -> None:
    paths = ("features", "features/one", "features/one/boolean", "features/one/clear", "import")
    for method, path in product(("POST", "DELETE", "PUT", "PATCH"), paths):
        answer = await application.request(method, f"/flipper/{path}", json={"name": "one"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert set(answer.json()) == {"code", "message", "more_info"}


async def test_nothing_is_told_without_a_token(stranger: httpx.AsyncClient, told: None) -> None:
    for path in ("features", "features/one", "actors/u1"):
        answer = await stranger.get(f"/flipper/{path}")
        assert answer.status_code == 401
        assert set(answer.json()) == {"code", "message", "more_info"}


async def test_a_slash_at_the_end_of_the_adapters_url_does_no_harm(application: httpx.AsyncClient) -> None:
    assert (await application.get("/flipper//features/one")).status_code == 200
    assert (await application.get("/flipper/features/")).status_code == 200


@pytest.mark.parametrize(
    ("parts", "state", "expected"),
    [
        ({}, "on", gates(boolean="true")),
        ({"exposure": STAFF}, "conditional", gates(actors=["u1", "u2"])),
        ({"exposure": NOBODY, "phase": "code_deploy"}, "off", gates()),
        ({"exposure": TESTERS, "phase": "veteran_testing"}, "off", gates()),
        ({"phase": "rolled_back"}, "off", gates()),
        ({"phase": "planned"}, "off", gates()),
    ],
)
async def test_the_whole_group_has_one_state_and_one_set_of_gates(
    application: httpx.AsyncClient, desk: Desk, parts: dict[str, Any], state: str, expected: list[dict[str, Any]]
) -> None:
    desk.flags.hear(replace(VAOS, revision=8, **parts), 8)
    found = (await application.get(ALL)).json()["features"]
    assert found == [{"key": key, "state": state, "gates": expected} for key in ("one", "two")]


@pytest.mark.parametrize("exposure", [SHARE, SITE, Exposure("cohort", (*STAFF.audiences, Audience(5)))])
async def test_an_exposure_that_gates_cannot_say_is_not_told_at_all(
    application: httpx.AsyncClient, desk: Desk, exposure: Exposure
) -> None:
    desk.flags.hear(replace(VAOS, revision=8, exposure=exposure), 8)
    assert (await application.get(ALL)).json() == {"features": []}
    assert (await application.get("/flipper/features/one")).status_code == 404
    assert (await application.get("/flipper/actors/u1?keys=one")).json()["features"] == {"one": {"enabled": False}}


async def test_an_actor_has_all_of_the_group_or_none(application: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.hear(replace(VAOS, revision=8, exposure=STAFF), 8)
    on = (await application.get("/flipper/actors/u1")).json()
    assert on == {"flipper_id": "u1", "features": {"one": {"enabled": True}, "two": {"enabled": True}}}
    asked = (await application.get("/flipper/actors/a%40b.c%2Fd?keys=two,nothing,hidden_one")).json()
    off = {key: {"enabled": False} for key in ("two", "nothing", "hidden_one")}
    assert asked == {"flipper_id": "a@b.c/d", "features": off}


async def test_a_poller_gets_304_until_a_record_or_a_window_changes_its_answer(
    trusted: httpx.AsyncClient, desk: Desk
) -> None:
    window_of(desk)
    first = await trusted.get(ALL)
    assert first.json()["features"][0]["gates"] == gates(actors=[VETERAN])
    etag = first.headers["etag"]

    async def again(etag: str) -> httpx.Response:
        return await trusted.get(ALL, headers={"If-None-Match": etag})

    assert ((await again(etag)).status_code, (await again(etag)).content) == (304, b"")
    assert (await again(f"W/{etag}")).status_code == 304
    desk.flags.hear(replace(HIDDEN, revision=9), 9)
    assert (await again(etag)).status_code == 304
    desk.flags.now = NOON + timedelta(hours=1)
    closed = await again(etag)
    assert (closed.status_code, closed.json()["features"][0]["state"]) == (200, "off")


async def test_an_etag_of_a_revision_that_has_not_arrived_is_never_answered_with_an_older_one(
    application: httpx.AsyncClient,
) -> None:
    answer = await application.get(ALL, headers={"If-None-Match": '"r9-0123456789abcdef"'})
    assert (answer.status_code, answer.json()["code"]) == (503, 503)


async def test_testers_ids_go_only_to_a_token_that_may_see_them(known_as: Client, told: None, desk: Desk) -> None:
    window_of(desk)
    for role, titles, sees in (
        ("reader", (), False),
        ("reader", ("sees testers",), True),
        ("auditor", ("sees testers",), False),
        ("ci", (), False),
        ("approver", (), False),
        ("facilitator", (), True),
        ("release_manager", (), True),
        ("admin", (), True),
    ):
        client = known_as(f"{role}-{len(titles)}", role, *titles)
        for path in (ALL, "/flipper/features/one", "/flipper/features?keys=one"):
            assert (VETERAN in (await client.get(path)).text) is sees, (role, path)
        found = (await client.get(ALL)).json()["features"][0]
        assert found["state"] == ("conditional" if sees else "off")


async def test_an_erased_tester_is_told_of_for_a_second_at_most(
    trusted: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flipper.REMEMBERED <= 1.0
    window_of(desk)
    assert VETERAN in (await trusted.get(ALL)).text
    desk.vault.erase(VETERAN)
    assert VETERAN in (await trusted.get(ALL)).text
    monkeypatch.setattr(flipper, "now", lambda: time.monotonic() + flipper.REMEMBERED)
    assert VETERAN not in (await trusted.get(ALL)).text
    assert VETERAN not in (await trusted.get("/flipper/features/one")).text


async def test_a_tester_whose_id_was_never_kept_is_left_out_of_the_gates(
    trusted: httpx.AsyncClient, desk: Desk
) -> None:
    reference = desk.vault.reference("known by reference")
    window = Window("s1", reference, NOON, NOON + timedelta(hours=1))
    desk.flags.hear(replace(VAOS, revision=8, exposure=TESTERS, windows=(window,)), 8)
    assert (await trusted.get(ALL)).json()["features"][0]["state"] == "off"


async def test_while_the_vault_cannot_be_read_testers_are_not_silently_off(
    trusted: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    window_of(desk)

    def away(_references: object) -> dict[str, str]:
        raise OperationalError("select", {}, Exception("away"))

    assert (await trusted.get(ALL)).status_code == 200
    monkeypatch.setattr(desk.vault._ids, "given_back", away)
    monkeypatch.setattr(flipper, "now", lambda: time.monotonic() + flipper.REMEMBERED)
    answer = await trusted.get(ALL)
    assert (answer.status_code, answer.json()["code"]) == (503, 503)


async def test_an_email_address_is_asked_for_in_any_case_where_it_is_the_actor(
    application: httpx.AsyncClient, desk: Desk
) -> None:
    window_of(desk, "wendy@example.org", actor="email")
    for asked in ("wendy@example.org", "Wendy@Example.org"):
        found = (await application.get(f"/flipper/actors/{asked}")).json()
        assert (found["flipper_id"], found["features"]["one"]) == (asked, {"enabled": True})


async def test_cold_and_stale_are_said(application: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.silent_since = NOON
    stale = await application.get(ALL)
    assert (stale.status_code, stale.headers["cutover-stale-since"]) == (200, NOON.isoformat())
    desk.flags.held = None
    desk.flags.silent_since = None
    cold = await application.get(ALL)
    assert (cold.status_code, cold.json()["code"]) == (503, 503)


async def test_a_path_of_flippers_that_is_not_read_is_404(application: httpx.AsyncClient) -> None:
    for path in ("/flipper/gates", "/flipper/features_of", "/flipper/"):
        assert (await application.get(path)).status_code == 404
