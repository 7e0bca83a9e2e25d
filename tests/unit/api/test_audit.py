"""The audit over HTTP: every filter, every wrong question, and the trail as a file."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import msgspec
import pytest

from projections.exported import COLUMNS
from services.api.audit_query import KNOWN
from services.projector.attempts import take_attempts
from services.views import exporting
from tests.unit.api.desk import Desk

CUT_OVER = {"type": "cut_over", "reason": "too early"}
CSV, JSONL = "text/csv", "application/jsonl"
EVENTS = "application/cloudevents-batch+json"


@pytest.fixture
async def told(begun: httpx.AsyncClient, desk: Desk) -> httpx.AsyncClient:
    """A small rollout with a few notes and a refused attempt."""
    for text in ("Überprüft with the help desk", "=HYPERLINK(1)", 'a, b\nand "c"'):
        await begun.post("/v1/rollouts/small/commands", json={"type": "note", "text": text, "reason": "-1"})
    assert (await begun.post("/v1/rollouts/small/commands", json=CUT_OVER)).status_code == 409
    await take_attempts(desk.log, desk.database)
    return begun


async def lines(client: httpx.AsyncClient, path: str = "/v1/audit", **asked: Any) -> list[dict[str, str]]:
    response = await client.get(path, params=asked)
    assert response.status_code == 200, response.text
    items: list[dict[str, str]] = response.json()["items"]
    return items


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        ({"subject": "morgan", "fact": "noted"}, ["noted"] * 3),
        ({"subject": "nobody"}, []),
        ({"role": "release_manager", "outcome": "accepted"}, ["plan_adopted", *["noted"] * 3]),
        ({"role": "auditor"}, []),
        ({"title": "Owner"}, []),
        ({"command": "note"}, ["noted"] * 3),
        ({"command": "cut_over"}, ["refused"]),
        ({"phase": "planned", "outcome": "refused"}, ["refused"]),
        ({"phase": "cutover"}, []),
        ({"toggle": "first_toggle", "command": "adopt"}, ["plan_adopted"]),
        ({"toggle": "first_toggle", "fact": "refused"}, ["refused"]),
        ({"toggle": "third_toggle"}, []),
        ({"text": "HELP überprüft"}, ["noted"]),
        ({"text": "help nowhere"}, []),
        ({"text": "early"}, ["refused"]),
        ({"from_revision": 2, "to_revision": 3}, ["noted"] * 2),
        ({"from_revision": 4}, ["noted"]),
        ({"rollout": "small", "text": "desk"}, ["noted"]),
        ({"since": "2022-07-29T12:00:00Z", "outcome": "accepted"}, ["plan_adopted", *["noted"] * 3]),
        ({"until": "2022-07-29T12:00:00Z"}, []),
        ({"since": "2022-07-29T14:00:00 02:00", "fact": "refused"}, ["refused"]),  # a `+` that was not escaped
        ({"until": "2022-07-29T14:00:00 02:00"}, []),
    ],
)
async def test_a_filter_finds_what_it_is_about(
    told: httpx.AsyncClient, asked: dict[str, Any], facts: list[str]
) -> None:
    assert [line["fact"] for line in await lines(told, **asked)] == facts
    newest = [line["fact"] for line in await lines(told, **asked, order="newest")]
    assert newest == facts[::-1]


async def test_a_line_says_where_and_which_way_it_came(told: httpx.AsyncClient) -> None:
    adopted = (await lines(told))[0]
    assert [adopted[name] for name in ("phase", "environment", "source")] == ["planned", "production", "command"]
    (refused,) = await lines(told, fact="refused")
    assert [refused[name] for name in ("phase", "environment", "source")] == ["planned", "production", "command"]
    (same,) = await lines(told, "/v1/rollouts/small/audit", command_id=refused["command_id"])
    assert same == refused


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("person=mia", "there is no filter 'person'; there are rollout, subject"),
        ("subject=a&subject=b", "subject: given twice"),
        ("role=boss", "role: expected one of admin"),
        ("fact=flipped", "fact: expected one of plan_adopted"),
        ("phase=testing", "phase: expected one of planned"),
        ("text=%21%21", "text: expected words, found '!!'"),
        ("rollout=No%20Such", "rollout: expected a rollout's id"),
        ("from_revision=0", "from_revision: expected a revision"),
        ("to_revision=99999999999999999999", "to_revision: expected a revision"),
        ("from_revision=3&to_revision=2", "to_revision: expected at least"),
        ("since=2022-08-01&until=2022-08-01", "until: expected an instant after"),
        ("format=xml", "format: expected one of json, csv, jsonl, cloudevents"),
        ("outcome=refused&from_revision=1", "outcome: a refused attempt has no revision"),
        ("outcome=refused&to_revision=1", "outcome: a refused attempt has no revision"),
        ("fact=refused&from_revision=1", "fact: a refused attempt has no revision"),
        ("fact=exposure_set&outcome=refused", "outcome: what was refused has the fact `refused`; found 'exposure_set'"),
        ("fact=refused&outcome=accepted", "outcome: what was refused has the fact `refused`; found 'accepted'"),
        ("since=2099-01-01", "since: 2099-01-01T00:00:00Z has not come yet"),
        *((f"{name}=", f"{name}: expected a value, found nothing") for name in KNOWN if name != "after"),
        ("after=OTk5OTk5OTk5OTk5OTk5OTk5OTkuMC4w", "not a cursor"),
    ],
)
async def test_a_question_that_can_find_nothing_is_said_to_be_wrong(
    told: httpx.AsyncClient, asked: str, words: str
) -> None:
    response = await told.get(f"/v1/audit?{asked}")
    assert response.status_code == 400
    assert words in response.json()["detail"]


async def test_the_path_names_the_rollout_and_no_parameter_does(told: httpx.AsyncClient) -> None:
    response = await told.get("/v1/rollouts/small/audit?rollout=other")
    assert "there is no filter 'rollout'" in response.json()["detail"]


async def test_csv_is_rfc_4180_and_no_cell_is_a_formula(told: httpx.AsyncClient) -> None:
    response = await told.get("/v1/rollouts/small/audit", headers={"Accept": "text/csv"})
    assert response.headers["content-type"] == f"{CSV}; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="audit-small.csv"'
    assert response.text.endswith("\r\n")
    header, *rows, end = csv.reader(io.StringIO(response.text, newline=""))
    assert tuple(header) == COLUMNS
    table = [dict(zip(header, row, strict=True)) for row in rows]
    whole = await lines(told)
    assert [row["line"] for row in table] == [str(n) for n in range(1, len(whole) + 1)]
    assert [row["says"] for row in table] == [line["says"] for line in whole]
    assert {row["reason"] for row in table if row["fact"] == "noted"} == {"'-1"}
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")]
    assert end[0] == "end"
    assert f"{len(whole)} lines, up to revision 4 and refused attempt 1" in end


async def test_json_lines_are_the_lines_of_the_pages_and_their_end(told: httpx.AsyncClient) -> None:
    response = await told.get("/v1/audit?format=jsonl&order=newest")
    assert response.headers["content-type"].startswith(JSONL)
    *found, end = [json.loads(line) for line in response.text.splitlines()]
    assert found == (await lines(told))[::-1]
    assert end == {"end": {"lines": len(found), "revision": 4, "attempt": 1}}


async def test_cloudevents_are_one_a_record_and_always_whole(
    told: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 1)  # every record is cut by a page
    response = await told.get("/v1/audit", headers={"Accept": EVENTS})
    assert response.headers["content-type"].startswith(EVENTS)
    events = response.json()
    assert [event["id"] for event in events] == ["1", "2", "3", "4", "attempt-1"]
    (adopted,) = (await told.get("/v1/audit?format=cloudevents&fact=plan_adopted")).json()
    assert adopted == events[0]
    assert (await told.get("/v1/audit?format=cloudevents&subject=nobody")).json() == []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
async def test_an_export_may_have_a_limit_and_a_beginning(told: httpx.AsyncClient, form: str) -> None:
    cursor = (await told.get("/v1/audit?limit=2")).json()["next"]
    response = await told.get("/v1/audit", params={"format": form, "after": cursor, "limit": 2})
    assert response.text.count("noted") >= 2
    assert "plan_adopted" not in response.text
    assert "2 lines" in response.text or '"lines":2' in response.text


@pytest.mark.parametrize("path", ["/v1/rollouts/nope/audit", "/v1/audit?rollout=nope"])
@pytest.mark.parametrize("form", ["json", "csv"])
async def test_a_trail_of_no_rollout_is_404_and_never_empty(told: httpx.AsyncClient, path: str, form: str) -> None:
    response = await told.get(path, params=httpx.QueryParams(httpx.URL(path).query).set("format", form))
    assert response.status_code == 404
    assert msgspec.json.decode(response.content)["type"] == "/problems/unknown-rollout"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("application/json;q=0.5, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ("text/csv;q=0, */*", "application/json"),
        ("text/csv;q=0", "application/json"),
        ("text/html, text/csv, */*;q=0.8", "text/csv; charset=utf-8"),
        ("application/x-ndjson, text/csv", "application/jsonl"),
        ("", "application/json"),
    ],
)
async def test_the_trail_comes_in_the_form_that_is_preferred(told: httpx.AsyncClient, accept: str, kind: str) -> None:
    response = await told.get("/v1/audit", headers={"Accept": accept})
    assert response.headers["content-type"] == kind
