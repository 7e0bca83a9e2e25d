"""kill -9 of the whole service between telling people and writing that down: they are told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from tests.e2e.release import Release, small_plan
from tests.receivers import TOKEN, Mishap, Receivers, receiving
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults]

ROUTE = {"for": "the api", "github_labels": ["vaos_v2_prod"], "channel": "vaos-team", "title": "VAOS V2 Prod"}


@pytest.fixture
def there() -> Iterator[Receivers]:
    with receiving() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, there: Receivers) -> Iterator[ServiceProcess]:
    found = ServiceProcess(tmp_path / "data", environ=there.environ)
    found.start()
    try:
        yield found
    finally:
        found.close()


def announced(release: Release, count: int) -> list[dict[str, Any]]:
    """What the log says of telling people, once it says so much."""
    release._service.wait_until(lambda: len(release.facts("announced")) >= count, 30)
    return [row["data"] for row in release.facts("announced")]


def test_killed_after_github_opened_the_issue_and_before_that_was_recorded(
    service: ServiceProcess, there: Receivers
) -> None:
    release = Release(service, small_plan(report_issues=[ROUTE]))
    there.mishaps["POST issues"] = [Mishap(201, done=True, hangs=5)]
    release.do("report_issue", text="Requests are listed twice")
    service.wait_until(lambda: len(there.issues) == 1, 20)
    service.kill()
    service.start()
    github, slack = announced(release, 2)
    (issue,) = there.issues
    assert (github["outcome"], github["url"]) == ("sent", issue["html_url"])
    assert slack["outcome"] == "sent"
    assert [issue["html_url"] in post["text"] for post in there.posts] == [True]


def test_killed_again_and_again_everything_is_told_and_no_issue_is_opened_twice(
    service: ServiceProcess, there: Receivers
) -> None:
    release = Release(service, small_plan(report_issues=[ROUTE]))
    reported = 0
    for _ in range(3):
        for _ in range(3):
            reported += 1
            release.do("report_issue", text=f"Problem {reported}")
        service.wait_until(lambda: len(there.issues) > 0, 20)
        service.kill()
        service.start()
    found = announced(release, 2 * reported)
    assert {fact["outcome"] for fact in found} == {"sent"}
    titles = [issue["title"] for issue in there.issues]
    assert sorted(titles) == sorted(f"VAOS V2 Prod: Problem {n}" for n in range(1, reported + 1))
    assert len({post["client_msg_id"] for post in there.posts}) == reported
    assert TOKEN not in service.output()


def test_report_issue_shows_the_links_or_the_text_to_paste(service: ServiceProcess, there: Receivers) -> None:
    release = Release(service, small_plan(report_issues=[{**ROUTE, "notify": "@vaos-fe-all"}]))
    env = {"CUTOVER_URL": service.url, "CUTOVER_TOKEN": service.admin_token, "COLUMNS": "200"}
    done = CliRunner().invoke(app, ["report-issue", release.id, "It fails", "--for", "the api"], env=env)
    assert done.exit_code == 0, done.output
    assert "Told to GitHub: https://github.com/va/team/issues/1." in done.stdout
    assert "Told to Slack." in done.stdout
    there.mishaps["POST issues"] = [Mishap(404, body=json.dumps({"message": "Not Found"}))]
    done = CliRunner().invoke(app, ["report-issue", release.id, "It fails again"], env=env)
    assert "Not told to GitHub (answered 404: GitHub says 'Not Found'). To paste there:" in done.stdout
    assert "VAOS V2 Prod: It fails again\nLabels: vaos_v2_prod\n" in done.stdout
    shown = CliRunner().invoke(app, ["audit", release.id], env=env)
    assert "was not told to GitHub" in shown.stdout
    assert "Labels: vaos_v2_prod" in shown.stdout
