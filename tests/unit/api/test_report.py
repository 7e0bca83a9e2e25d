"""The filled-in plan, the KPIs and a criterion's history over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from events.plan.schema import After, GoLive, Plan, RolloutPlan, Stage
from events.readings import Reading
from projections.kpis import KpiRow
from services.analysis.readings import MemoryReadings
from services.api.app import Service
from services.api.kpis import _kpis as listed
from services.people.tokens import Tokens
from services.rollout.state import Rollout
from services.views.views import Views
from tests.unit.api.conftest import Client
from tests.unit.api.desk import NOON, Desk
from tests.unit.api.test_testers import VETERAN, send

MARKDOWN, PAGE = "text/markdown; variant=GFM; charset=utf-8", "text/html; charset=utf-8"
REPORT = "/v1/rollouts/small/report"
PLAN = """\
id: small
title: A small release
toggles: {first_toggle: the first}
prerequisites: [The other service is live]
go_no_go: {decided_by: [Owner]}
criteria:
  Errors / minute:
    below: 10
deploy:
  services: [web]
  criteria: [Errors / minute]
  watch:
  - until: 1 day
    results: [Types of errors logged]
testing:
  workflows: [Look at it]
go_live:
  kpis: [{name: Requests that arrive, at_least: 99%}]
"""


@pytest.fixture
def readings() -> MemoryReadings:
    return MemoryReadings()


@pytest.fixture
def service(desk: Desk, book: Tokens, readings: MemoryReadings) -> Service:
    """The service with its log, by the desk's clock."""
    return Service(
        desk.ask,
        Views(desk.database),
        desk.flags,
        book,
        desk.vault,
        lambda: desk.flags.now,
        tuple,
        readings=readings,
        log=desk.log,
        link="https://cutover.test",
    )


@pytest.fixture
async def watched(manager: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """The manager of a release that was deployed at noon, and watched for a day."""
    answer = await manager.post("/v1/rollouts", content=PLAN, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    await send(manager, "report_deploy", service="web", version="1")
    await send(manager, "attest", item="The other service is live")
    desk.flags.now = NOON + timedelta(hours=25)
    await send(manager, "record_verdict", criterion="Errors / minute", value="4")
    await send(manager, "record_result", item="Types of errors logged", value="timeouts")
    return manager


@pytest.fixture
async def tested(watched: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """The same after a session in which Mrs Miller said something."""
    await send(watched, "start_testing")
    start = desk.flags.now + timedelta(hours=1)
    await send(watched, "schedule_session", session="s1", tester=VETERAN, at=start.isoformat())
    desk.flags.now = start + timedelta(hours=1)
    tried = {"workflow": "Look at it", "done": True, "load_times": [1.2], "comments": "Mrs Miller said so"}
    await send(watched, "record_session", session="s1", workflows=[tried], comments="Mrs Miller came")
    return watched


async def text(client: httpx.AsyncClient, **asked: str) -> str:
    answer = await client.get(REPORT, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.text


# -- the report


async def test_the_report_is_markdown_unless_a_page_is_preferred(watched: httpx.AsyncClient) -> None:
    for accept, kind in (
        ("*/*", MARKDOWN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PAGE),
        ("text/markdown,text/html;q=0.5", MARKDOWN),
        ("text/html;q=nonsense", MARKDOWN),
    ):
        answer = await watched.get(REPORT, headers={"Accept": accept})
        assert answer.headers["content-type"] == kind, accept
        assert answer.headers["vary"] == "Accept, Authorization"
        assert answer.headers["cache-control"] == "no-store"
    page = await watched.get(REPORT, params={"format": "html"})
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "<h1>A small release</h1>" in page.text


async def test_every_value_leads_to_its_record_in_the_trail(watched: httpx.AsyncClient) -> None:
    said = await text(watched)
    assert (
        "- Types of errors logged: timeouts (morgan (release manager), Sat 2022-07-30 13:00 UTC, [record 5][r5])"
        in said
    )
    assert "[r5]: <https://cutover.test/v1/rollouts/small/audit?from_revision=5&to_revision=5>" in said


async def test_the_report_is_as_of_a_time_or_a_revision(watched: httpx.AsyncClient) -> None:
    assert "- Types of errors logged: **not recorded yet**" in await text(watched, as_of="2022-07-30T12:59:00Z")
    assert "- Types of errors logged: **not recorded yet**" in await text(watched, as_of="4")
    assert "- Types of errors logged: timeouts" in await text(watched, as_of="5")


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"format": "pdf"}, 400, "expected md or html; found 'pdf'"),
        ({"as_of": "yesterday"}, 400, "as_of: expected a revision, or an instant"),
        ({"as_of": "99"}, 400, "revision 99"),
        ({"as_of": "2022-07-01"}, 404, "it began with revision 1"),
    ],
)
async def test_what_cannot_be_reported_says_why(
    watched: httpx.AsyncClient, asked: dict[str, str], status: int, says: str
) -> None:
    answer = await watched.get(REPORT, params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]
    assert (await watched.get("/v1/rollouts/nobody/report")).status_code == 404


async def test_what_a_tester_said_is_opened_for_those_who_work_with_them_alone(
    tested: httpx.AsyncClient, known_as: Client, desk: Desk
) -> None:
    for role, title in (("admin", ()), ("release_manager", ()), ("facilitator", ())):
        for shape in ("md", "html"):
            assert "Mrs Miller said so" in await text(known_as(f"one-{role}-{shape}", role, *title), format=shape)
    for role in ("auditor", "reader", "approver", "ci"):
        for shape in ("md", "html"):
            said = await text(known_as(f"one-{role}-{shape}", role), format=shape)
            assert "Miller" not in said
            assert VETERAN not in said
            assert "enc:" not in said
            assert "kept encrypted" in said


async def test_of_an_erased_tester_nobody_reads_anything(
    tested: httpx.AsyncClient, known_as: Client, desk: Desk
) -> None:
    assert desk.vault.erase(VETERAN)
    for role in ("admin", "auditor"):
        said = await text(known_as(f"one-{role}", role))
        assert "Comments in session s1: erased" in said
        assert "Miller" not in said


async def test_a_broken_chain_gives_no_report(watched: httpx.AsyncClient, desk: Desk) -> None:
    entry = await desk.log.at(3)
    assert entry is not None
    desk.log._of["small"][2] = entry._replace(data=entry.data.replace(b"the", b"teh").replace(b"attest", b"attesT"))
    answer = await watched.get(REPORT)
    assert answer.status_code == 503
    assert "revision" in answer.json()["detail"]


# -- KPIs


async def test_kpis_show_each_value_beside_its_target_with_its_record(watched: httpx.AsyncClient) -> None:
    found = (await watched.get("/v1/rollouts/small/kpis")).json()
    rows = {(row["of"], row["item"]): row for row in found["items"]}
    assert rows["code_deploy", "Errors / minute"] == {
        "of": "code_deploy",
        "item": "Errors / minute",
        "value": "4",
        "target": "below 10",
        "verdict": "pass",
        "revision": 4,
        "late": False,
        "frozen": None,
    }
    assert rows["code_deploy", "Types of errors logged"]["value"] == "timeouts"
    assert found["snapshots"] == []


async def test_kpis_are_as_of_a_revision(watched: httpx.AsyncClient) -> None:
    found = (await watched.get("/v1/rollouts/small/kpis", params={"as_of": "4"})).json()
    assert (found["revision"], [row["item"] for row in found["items"]]) == (4, ["Errors / minute"])
    assert (await watched.get("/v1/rollouts/nobody/kpis")).status_code == 404


# -- a criterion's history

HISTORY = "/v1/rollouts/small/criteria/history"


async def history(client: httpx.AsyncClient, **asked: Any) -> Any:
    answer = await client.get(HISTORY, params={"name": "Errors / minute", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def measured(at: datetime, value: float) -> Reading:
    return Reading("small", "Errors / minute", at, value, step="code_deploy", verdict="pass", source="monitor")


async def test_the_history_of_a_criterion_has_its_verdicts_and_what_was_measured(
    watched: httpx.AsyncClient, readings: MemoryReadings
) -> None:
    readings.all = [measured(NOON + timedelta(minutes=n), n) for n in range(10)]
    readings.all.append(replace(readings.all[0], verdict=None))  # published, not measured
    found = await history(watched)
    assert (found["name"], found["target"]) == ("Errors / minute", "below 10")
    assert found["limits"] == [{"words": "below 10", "value": {"value": 10.0}}]
    assert [(one["verdict"], one["value"]["value"], one["revision"]) for one in found["verdicts"]] == [("pass", 4.0, 4)]
    assert [one["value"] for one in found["readings"]] == list(range(10))
    assert not found["more"]


async def test_a_long_history_comes_in_parts(watched: httpx.AsyncClient, readings: MemoryReadings) -> None:
    readings.all = [measured(NOON + timedelta(minutes=n), n) for n in range(10)]
    first = await history(watched, limit=6)
    assert (len(first["readings"]), first["more"]) == (6, True)
    rest = await history(watched, limit=6, since=first["readings"][-1]["at"])
    assert ([one["value"] for one in rest["readings"]], rest["more"]) == ([6, 7, 8, 9], False)
    some = await history(watched, until=readings.all[2].at.isoformat())
    assert len(some["readings"]) == 3


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"name": ""}, 400, "name: expected the name of a criterion"),
        ({"name": "Nothing"}, 404, "it has: Errors / minute"),
        ({"limit": "0"}, 400, "limit: expected a number from 1 to 5000"),
        ({"since": "7"}, 400, "since: expected an instant"),
        ({"since": "2022-07-30", "until": "2022-07-29"}, 400, "until: expected an instant after `since`"),
        ({"since": "2022-07-29", "until": "2022-07-29"}, 400, "until: expected an instant after `since`"),
    ],
)
async def test_what_has_no_history_says_why(
    watched: httpx.AsyncClient, asked: dict[str, str], status: int, says: str
) -> None:
    answer = await watched.get(HISTORY, params={"name": "Errors / minute", **asked})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("asked", [{"until": "0001-01-20"}, {"since": "0001-01-01"}])
async def test_a_history_may_be_asked_for_from_the_beginning_of_time(
    watched: httpx.AsyncClient, readings: MemoryReadings, asked: dict[str, str]
) -> None:
    readings.all = [measured(NOON, 1.0)]
    found = await history(watched, **asked)
    assert found["since"] == "1970-01-01T00:00:00Z"  # nothing was measured before
    assert [one["value"] for one in found["readings"]] == ([1.0] if "since" in asked else [])


def test_kpis_come_in_the_order_of_the_plans_steps() -> None:
    plan = Plan(
        title="Small",
        id="small",
        rollout=RolloutPlan(stages=tuple(Stage() for _ in range(10))),
        go_live=GoLive(results_after=(After("1 week", 604_800), After("1 month", 2_592_000))),
    )
    order = ["code_deploy", "veteran_testing", "stage-2", "stage-10", "go_live", "1 week", "1 month", "1 year"]
    state = Rollout("small", plan, NOON, NOON)
    rows = [KpiRow("small", of, item) for of in sorted(order) for item in ("a", "b")]
    assert [(kpi.of, kpi.item) for kpi in listed(state, rows).items] == [(of, i) for of in order for i in ("a", "b")]
