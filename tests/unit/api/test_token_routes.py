"""Tokens over HTTP: made, listed and revoked by admins, shown once."""

from __future__ import annotations

import httpx
import pytest

from services.people.tokens import Tokens
from tests.unit.api.conftest import Client


@pytest.fixture
def admin(known_as: Client) -> httpx.AsyncClient:
    return known_as("alex", "admin")


async def test_a_token_is_made_shown_once_and_works(admin: httpx.AsyncClient) -> None:
    asked = {"name": "pat", "role": "approver", "titles": ["VAOS Product Owner"]}
    response = await admin.post("/v1/tokens", json=asked)
    assert response.status_code == 201
    made = response.json()
    assert {key: made[key] for key in asked} == asked
    listed = await admin.get("/v1/tokens")
    assert made["token"] not in listed.text
    assert listed.json()["items"][-1]["created_by"] == "alex"
    works = await admin.get("/v1/rollouts", headers={"Authorization": f"Bearer {made['token']}"})
    assert works.status_code == 200


async def test_a_revoked_token_lets_nobody_in(admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/v1/tokens", json={"name": "pat", "role": "reader"})).json()
    theirs = {"Authorization": f"Bearer {made['token']}"}
    assert (await admin.get("/v1/rollouts", headers=theirs)).status_code == 200
    response = await admin.delete("/v1/tokens/pat")
    assert response.json() == {"name": "pat", "revoked": 1}
    assert (await admin.get("/v1/rollouts", headers=theirs)).status_code == 401
    changes = (await admin.get("/v1/tokens/changes")).json()["items"]
    assert [(c["what"], c["name"], c["by"]) for c in changes[-2:]] == [
        ("added", "pat", "alex"),
        ("revoked", "pat", "alex"),
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "pat", "role": "boss"}, "there is no role 'boss'; the roles are admin"),
        ({"name": "pat", "role": "clock"}, "there is no role 'clock'"),
        ({"name": "pat doe", "role": "reader"}, "a name has 1 to 100"),
        ({"name": "pat"}, "the field 'role' is missing"),
        ({"name": "pat", "role": "reader", "title": ["x"]}, "there is no field 'title'; the nearest is 'titles'"),
        ({"name": "pat", "role": "reader", "titles": "x"}, 'titles: expected a list, found "x"'),
        ([], "expected an object"),
    ],
)
async def test_a_token_that_cannot_be_is_422(admin: httpx.AsyncClient, book: Tokens, asked: object, words: str) -> None:
    before = book.list()
    response = await admin.post("/v1/tokens", json=asked)
    assert response.status_code == 422
    assert words in response.json()["detail"]
    assert book.list() == before


async def test_a_second_person_of_one_name_is_409_and_an_unknown_one_404(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/tokens", json={"name": "pat", "role": "reader"})
    assert (await admin.post("/v1/tokens", json={"name": "pat", "role": "admin"})).status_code == 409
    response = await admin.delete("/v1/tokens/pta")
    assert response.status_code == 404
    assert "the nearest is 'pat'" in response.json()["detail"]


@pytest.mark.parametrize("role", ["release_manager", "approver", "auditor", "reader", "ci"])
async def test_only_admins_see_or_change_tokens(known_as: Client, book: Tokens, role: str) -> None:
    client = known_as("somebody", role)
    before = book.list()
    for response in (
        await client.get("/v1/tokens"),
        await client.get("/v1/tokens/changes"),
        await client.post("/v1/tokens", json={"name": "x", "role": "admin"}),
        await client.delete("/v1/tokens/root"),
    ):
        assert response.status_code == 403
        assert f"'somebody' has the role {role}" in response.json()["detail"]
    assert book.list() == before


async def test_nobody_gets_a_name_that_could_not_be_revoked(known_as: Client) -> None:
    admin = known_as("boss", "admin")
    answer = await admin.post("/v1/tokens", json={"name": "changes", "role": "reader"})
    assert answer.status_code == 422
    assert "not one of clock, herald, changes" in answer.json()["detail"]
