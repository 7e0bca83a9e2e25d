"""OFREP as its clients ask: one flag, all flags, and everything that can be wrong with the asking."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from events.facts import EVERYONE, TESTERS, Actor, Audience, Exposure
from projections.flags import FlagSnapshot, Window
from services.people import tokens
from services.people.tokens import Tokens
from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk

FLAGS = "/ofrep/v1/evaluate/flags"
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("a", "b"), EVERYONE)
OTHER = FlagSnapshot(2, "other", 5, NOON, "planned", ("c",))


@pytest.fixture
def reader(known_as: Client, desk: Desk) -> httpx.AsyncClient:
    """A reader's token, and two rollouts."""
    desk.flags.hear(OTHER, 5)
    desk.flags.hear(VAOS, 7)
    return known_as("vets-website", "reader")


async def one(client: httpx.AsyncClient, key: str, context: object = None, **params: Any) -> httpx.Response:
    return await client.post(f"{FLAGS}/{key}", json={"context": context or {}}, params=params)


async def bulk(client: httpx.AsyncClient, context: object = None, etag: str = "", **params: Any) -> httpx.Response:
    headers = {"If-None-Match": etag} if etag else {}
    return await client.post(FLAGS, json={"context": context or {}}, params=params, headers=headers)


async def test_one_flag_says_value_reason_variant_and_where_it_comes_from(reader: httpx.AsyncClient) -> None:
    answer = await one(reader, "a", {"targetingKey": "u1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "key": "a",
        "value": True,
        "reason": "STATIC",
        "variant": "on",
        "metadata": {"rollout": "vaos", "revision": 7, "version": "r7", "pin": "r7@0"},
    }


async def test_all_flags_come_with_one_revision(reader: httpx.AsyncClient) -> None:
    answer = await bulk(reader)
    assert answer.status_code == 200
    assert [(flag["key"], flag["value"], flag["reason"]) for flag in answer.json()["flags"]] == [
        ("c", False, "DISABLED"),
        ("a", True, "STATIC"),
        ("b", True, "STATIC"),
    ]
    assert answer.json()["metadata"] == {"version": "r7", "revision": 7, "pin": "r7@0"}
    assert answer.headers["etag"].startswith('"r7-')


async def test_an_unknown_flag_is_not_found_in_the_clients_words(reader: httpx.AsyncClient) -> None:
    answer = await one(reader, "nothing")
    assert answer.status_code == 404
    assert answer.json() == {
        "key": "nothing",
        "errorCode": "FLAG_NOT_FOUND",
        "errorDetails": "no rollout has the toggle 'nothing'",
    }


async def test_a_polling_client_gets_304_until_its_answer_changes(reader: httpx.AsyncClient, desk: Desk) -> None:
    etag = (await bulk(reader)).headers["etag"]
    assert (await bulk(reader, etag=etag)).status_code == 304
    desk.flags.hear(replace(OTHER, revision=8), 8)  # a note
    assert (await bulk(reader, etag=etag)).status_code == 304
    desk.flags.hear(replace(OTHER, revision=9, phase="cutover", exposure=EVERYONE), 9)
    changed = await bulk(reader, etag=etag)
    assert (changed.status_code, changed.json()["metadata"]["revision"]) == (200, 9)


async def test_a_window_opens_and_closes_for_its_tester_without_a_record(reader: httpx.AsyncClient, desk: Desk) -> None:
    hour = (NOON.replace(hour=13), NOON.replace(hour=14))
    window = Window("s1", "t-1", *hour)
    hmac = desk.vault.hmac("u1")
    testing = replace(
        VAOS, revision=9, phase="veteran_testing", exposure=TESTERS, windows=(window,), testers={"t-1": hmac}
    )
    desk.flags.hear(testing, 9)
    before = await bulk(reader, {"targetingKey": "u1"})
    etag, values = before.headers["etag"], []
    for desk.flags.now in hour:
        answer = await bulk(reader, {"targetingKey": "u1"}, etag)
        etag = answer.headers["etag"]
        values.append(answer.json()["flags"][1]["value"])
    assert values == [True, False]
    assert etag == before.headers["etag"]


async def test_what_another_process_has_told_is_never_answered_older(reader: httpx.AsyncClient) -> None:
    for answer in (
        await bulk(reader, etag='"r8-0123456789abcdef"'),
        await bulk(reader, flagConfigEtag='"r8@0"'),
        await bulk(reader, at_least="8"),
        await one(reader, "a", at="r8@0"),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["errorCode"] == "GENERAL"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "PARSE_ERROR"),
        (b"[]", 400, "PARSE_ERROR"),
        (b"[" * 30_000, 400, "PARSE_ERROR"),
        (b'{"context":' + b"[" * 30_000, 400, "PARSE_ERROR"),
        (b'{"context":{"targetingKey":"\\ud800"}}', 400, "PARSE_ERROR"),
        (b'{"context":[]}', 400, "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":7}}', 400, "INVALID_CONTEXT"),
        (b'{"context":{}}' + b" " * 70_000, 413, "GENERAL"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_cannot_be_read_is_said_to_be_wrong(
    reader: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    for path, key in ((f"{FLAGS}/a", "a"), (FLAGS, "")):
        answer = await reader.post(path, content=body)
        assert (answer.status_code, answer.json()["key"], answer.json()["errorCode"]) == (status, key, code)
        assert answer.json()["errorDetails"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"context":null}', b'{"context":{}}', b'{"context":{"targetingKey":""}}']
)
async def test_nobody_in_particular_has_on_what_everybody_has(
    reader: httpx.AsyncClient, desk: Desk, body: bytes
) -> None:
    assert (await reader.post(f"{FLAGS}/a", content=body)).json()["value"]
    desk.flags.hear(replace(VAOS, revision=8, exposure=Exposure("percentage", (Audience(99.9),))), 8)
    assert not (await reader.post(f"{FLAGS}/a", content=body)).json()["value"]


async def test_attributes_of_the_context_are_those_that_groups_name(reader: httpx.AsyncClient, desk: Desk) -> None:
    audience = Audience(100.0, group="pilots", attribute="facility", any_of=("983",))
    desk.flags.hear(replace(VAOS, revision=8, exposure=Exposure("cohort", (audience,))), 8)
    for facility, value in (("983", True), ("984", False), (983, False)):
        answer = await one(reader, "a", {"targetingKey": "u1", "facility": facility, "nested": {"x": [1]}})
        assert answer.json()["value"] is value


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic x"}])
async def test_a_stranger_is_told_so_in_the_clients_words(stranger: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await stranger.post(f"{FLAGS}/a", json={}, headers=headers)
    assert (answer.status_code, answer.json()["key"]) == (401, "a")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_may_come_as_an_api_key(reader: httpx.AsyncClient) -> None:
    token = reader.headers.pop("Authorization").removeprefix("Bearer ")
    assert (await reader.post(f"{FLAGS}/a", json={}, headers={"X-API-Key": token})).status_code == 200


async def test_a_trailing_slash_in_the_clients_base_url_does_no_harm(reader: httpx.AsyncClient) -> None:
    assert (await reader.post(f"http://cutover.test/{FLAGS}/a", json={})).status_code == 200


async def test_other_methods_are_refused_and_told_what_is_allowed(reader: httpx.AsyncClient) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        answer = await reader.request(method, f"{FLAGS}/a")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


async def test_a_page_of_another_origin_may_ask_and_read_the_etag(stranger: httpx.AsyncClient) -> None:
    asks = {
        "Origin": "https://www.va.gov",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,if-none-match",
    }
    preflight = await stranger.options(FLAGS, headers=asks)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert {"authorization", "content-type", "if-none-match"} <= set(
        preflight.headers["access-control-allow-headers"].split(", ")
    )
    refused = await stranger.post(FLAGS, json={}, headers={"Origin": "https://www.va.gov"})
    assert refused.status_code == 401
    assert "ETag" in refused.headers["access-control-expose-headers"]


async def test_without_any_state_there_is_an_error_and_never_a_guess(reader: httpx.AsyncClient, desk: Desk) -> None:
    desk.flags.held = None
    answer = await one(reader, "a")
    assert (answer.status_code, answer.json()["errorCode"]) == (503, "GENERAL")


async def test_last_known_state_is_answered_and_said_to_be_stale(reader: httpx.AsyncClient, desk: Desk) -> None:
    fresh = (await bulk(reader)).headers["etag"]
    desk.flags.silent_since = NOON
    answer = (await one(reader, "a")).json()
    assert (answer["value"], answer["reason"]) == (True, "STALE")
    assert answer["metadata"]["staleSince"] == NOON.isoformat()
    assert answer["metadata"]["lastReason"] == "STATIC"
    stale = await bulk(reader, etag=fresh)
    assert (stale.status_code, stale.json()["metadata"]["staleSince"]) == (200, NOON.isoformat())


async def test_who_was_known_goes_on_reading_while_the_database_is_away(
    reader: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await one(reader, "a")).status_code == 200
    monkeypatch.setattr(tokens, "FRESH_FOR", 0.0)
    with desk.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE tokens")
    assert (await one(reader, "a")).status_code == 200
    reader.headers["Authorization"] = "Bearer somebody-else"
    answer = await one(reader, "a")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    reader.headers["Authorization"] = ""
    assert (await one(reader, "a")).status_code == 401


async def test_many_requests_with_an_old_token_book_read_it_once(
    reader: httpx.AsyncClient, book: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, asked = book.who, []

    def counted(token: str) -> Actor | None:
        asked.append(token) if not book.fresh() else None
        return read(token)

    monkeypatch.setattr(book, "who", counted)
    answers = await asyncio.gather(*(one(reader, "a") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert asked == [""]
