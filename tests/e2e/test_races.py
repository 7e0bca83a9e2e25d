"""Many at once: one wins, and everybody else is told how it stands."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = pytest.mark.connected

CLIENTS = 50


async def _all_at_once(client: httpx.Client, paths: list[str], bodies: list[object]) -> list[httpx.Response]:
    headers = {"Authorization": client.headers["Authorization"]}
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(base_url=client.base_url, headers=headers, limits=limits, timeout=60) as racing:
        return await asyncio.gather(*(racing.post(path, json=body) for path, body in zip(paths, bodies, strict=True)))


async def test_fifty_clients_cut_over_and_one_record_is_written(running_service: ServiceProcess) -> None:
    plan = small_plan("race", ("race_one", "race_two"), testing={"waived": "a test of races"})
    release = await asyncio.to_thread(Release, running_service, plan)
    await asyncio.to_thread(release.ready_to_cut_over)

    path = "/v1/rollouts/race/commands"
    answers = await _all_at_once(release.manager, [path] * CLIENTS, [{"type": "cut_over"}] * CLIENTS)

    outcomes = Counter(answer.status_code for answer in answers)
    written = [a.json() for a in answers if a.status_code == 200 and not a.json().get("already")]
    assert len(written) == 1
    assert outcomes[200] + outcomes[409] == CLIENTS
    assert {answer.json()["phase"] for answer in answers} == {"cutover"}
    release.revision = written[0]["revision"]
    records = await asyncio.to_thread(release.facts, "exposure_set")
    assert [row["data"]["exposure"]["to"] for row in records] == ["everyone"]
    assert await asyncio.to_thread(release.flags) == {"race_one": True, "race_two": True}


async def test_of_two_adoptions_of_one_toggle_key_one_wins(running_service: ServiceProcess) -> None:
    manager = running_service.person("manager-of-adoptions", "release_manager")
    names = [f"claim-{n}" for n in range(10)]
    plans: list[object] = [small_plan(name, ("claimed", f"own_{n}")) for n, name in enumerate(names)]
    answers = await _all_at_once(manager, ["/v1/rollouts"] * len(plans), plans)

    outcomes = Counter(answer.status_code for answer in answers)
    assert outcomes == {201: 1, 409: len(plans) - 1}
    winner = next(a.json()["id"] for a in answers if a.status_code == 201)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["reasons"] == [f"toggle 'claimed' belongs to rollout '{winner}'"]
