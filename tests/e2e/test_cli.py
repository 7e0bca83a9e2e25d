"""The command line against a service that `cutover up` started, as people and scripts use both."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from services.cli import app
from tests.service_process import ROOT, ServiceProcess

pytestmark = pytest.mark.connected

ID = "vaos-service-integration"
PLAN = str(ROOT / "plans" / "vaos-service-integration.yaml")


class Ended(NamedTuple):
    """How a command line ended, and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """Command lines against a running service."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.data = service.data

    def run(self, *words: str, token: str = "") -> Ended:
        """One command line, with the local admin's token unless another is given."""
        env = {"CUTOVER_URL": self.service.url, "CUTOVER_DATA": str(self.data), "CUTOVER_TOKEN": token, "COLUMNS": "80"}
        result = CliRunner().invoke(app, list(words), env=env)
        return Ended(result.exit_code, result.stdout, result.stderr)

    def done(self, *words: str, token: str = "") -> Any:
        """The JSON answer of a command line that must succeed."""
        ended = self.run(*words, "--json", token=token)
        assert ended.code == 0, ended
        return ended.json()


@pytest.fixture(scope="module")
def adopted(running_service: ServiceProcess) -> Desk:
    desk = Desk(running_service)
    assert desk.done("adopt", PLAN, "--command-id", "adopt-it")["revision"] == 1
    return desk


def test_a_repeated_command_id_gets_the_first_answer(adopted: Desk) -> None:
    assert adopted.done("adopt", PLAN, "--command-id", "adopt-it")["revision"] == 1
    again = adopted.run("note", ID, "something else", "--command-id", "adopt-it")
    assert again.code == 1
    assert "command id" in again.err


def test_what_is_refused_is_exit_1_with_every_reason(adopted: Desk) -> None:
    refused = adopted.run("cut-over", ID, "--json")
    assert refused.code == 1
    assert refused.json()["reasons"] != []
    assert all(reason.split()[0] in refused.err for reason in refused.json()["reasons"])


def test_a_rollout_that_is_not_there_is_exit_1(adopted: Desk) -> None:
    for words in (("status", "nothing"), ("flags", "nothing"), ("note", "nothing", "x")):
        ended = adopted.run(*words)
        assert (ended.code, ended.out) == (1, "")
        assert "'nothing'" in ended.err


def test_the_past_is_asked_about_by_revision_and_by_time(adopted: Desk) -> None:
    adopted.done("note", ID, "something later")
    assert adopted.done("status", ID, "--as-of", "1")["revision"] == 1
    assert [row["revision"] for row in adopted.done("list", "--as-of", "1")] == [1]
    assert set(adopted.done("flags", ID, "--as-of", "1", "--user", "u1")["flags"].values()) == {False}
    toggle = adopted.done("status", ID)["toggles"][0]
    found = adopted.done("explain", toggle, "--user", "u1", "--at", "1", "--attribute", "facility=983")
    assert (found["value"], found["why"], found["record"]["command"]) == (False, "phase", "adopt")
    shown = adopted.run("explain", toggle, "--user", "u1").out
    assert shown.startswith(f"{toggle} was OFF for u1\n")
    assert "Made so by  revision 1, " in shown
    panel = adopted.run("status", ID, "--as-of", "1").out
    assert "AS OF" in panel
    assert "What blocked report-deploy" in panel
    future = adopted.run("status", ID, "--as-of", "2199-01-01")
    assert (future.code, future.out) == (2, "")
    assert "has not come yet" in future.err


def test_the_report_is_written_whole_in_the_form_that_its_ending_names(adopted: Desk, tmp_path: Path) -> None:
    said = adopted.run("report", ID).out
    assert said.startswith("# VAOS Service Integration - Release Plan\n")
    assert "- Post-launch KPI 1: **not filled in yet (the plan says: TBD)**" in said
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    assert adopted.run("report", ID, "-o", str(page)).out.split() == ["Written", "to", f"{page}."]
    assert "</html>" in page.read_text()
    assert adopted.done("report", ID, "-o", str(text), "--as-of", "1") == {"format": "md", "file": str(text)}
    assert ", [record 1][r1]" in text.read_text()
    assert adopted.done("report", ID, "--format", "html")["report"].startswith("<!DOCTYPE html>")
    unclear = adopted.run("report", ID, "-o", str(tmp_path / "report.pdf"))
    assert (unclear.code, unclear.out) == (2, "")
    assert "which form?" in " ".join(unclear.err.split())
    nowhere = adopted.run("report", ID, "-o", str(tmp_path / "nowhere" / "report.md"))
    assert (nowhere.code, "cannot be written" in " ".join(nowhere.err.split())) == (2, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html", "report.md"]
    assert adopted.run("report", "nobody").code == 1


def test_kpis_say_what_has_been_measured_and_recorded(adopted: Desk) -> None:
    assert adopted.done("kpis", ID, "--as-of", "1")["items"] == []
    assert adopted.run("kpis", ID, "--as-of", "1").out == "Nothing has been measured or recorded by revision 1.\n"


def test_a_dry_run_says_what_would_happen_and_writes_nothing(adopted: Desk) -> None:
    before = adopted.done("status", ID)["revision"]
    ended = adopted.run("report-deploy", ID, "vets-api", "1", "--dry-run")
    assert ended.code == 0
    assert ended.out.startswith(f"Nothing written. At revision {before} this would happen:\n")
    assert "code_deploy" in ended.out
    assert adopted.done("status", ID)["revision"] == before


def test_a_plan_can_be_tried_before_it_is_adopted(adopted: Desk) -> None:
    tried = adopted.run("adopt", str(ROOT / "plans" / "travel-pay-canary.yaml"), "--dry-run")
    assert tried.code == 0
    assert tried.out.startswith("Nothing written.")
    assert adopted.run("status", "travel-pay-canary").code == 1


def test_who_looked_at_nothing_yet_is_told_that_something_has_changed(adopted: Desk) -> None:
    refused = adopted.run("start-testing", ID, "--seen", "0", "--json")
    assert refused.code == 1
    assert refused.json()["type"].endswith("/changed")


def test_a_plan_is_revised_from_stdin(adopted: Desk) -> None:
    filled = (ROOT / "plans" / f"{ID}.example-values.yaml").read_text()
    env = {"CUTOVER_URL": adopted.service.url, "CUTOVER_TOKEN": adopted.service.admin_token}
    result = CliRunner().invoke(app, ["revise-plan", ID, "-", "--dry-run"], input=filled, env=env)
    assert result.exit_code == 0, result.output


def test_who_is_not_known_or_may_not_is_exit_2(adopted: Desk) -> None:
    stranger = adopted.run("list", token="cut_" + "x" * 43)
    assert stranger.code == 2
    assert "token" in stranger.err
    reader = adopted.done("token", "add", "rita", "--role", "reader")["token"]
    assert adopted.run("list", token=reader).code == 0
    assert adopted.run("note", ID, "x", token=reader).code == 2
    assert adopted.run("token", "list", token=reader).code == 2


def test_a_token_works_until_it_is_revoked(adopted: Desk) -> None:
    made = adopted.run("token", "add", "pia", "--role", "approver", "--title", "VAOS Product Owner")
    token = next(line for line in made.out.splitlines() if line.startswith("cut_"))
    item = "VAOS Product Owner approved Veteran-facing launch"
    assert adopted.run("attest", ID, item, token=token).code == 0
    rows = adopted.done("token", "list")
    assert [row["titles"] for row in rows if row["name"] == "pia"] == [["VAOS Product Owner"]]
    assert token not in json.dumps(rows)
    adopted.done("token", "revoke", "pia")
    assert adopted.run("list", token=token).code == 2


def test_reads_wait_for_the_revision_of_the_last_command(adopted: Desk) -> None:
    revision = adopted.done("note", ID, "read me", "--note", "aside", "--evidence", "https://example.gov/1")["revision"]
    assert adopted.done("status", ID, "--at-least", str(revision))["revision"] >= revision
    line = adopted.done("audit", ID, "--last", "1", "--at-least", str(revision))[0]
    assert (line["fact"], line["note"]) == ("noted", "aside")
    assert line["evidence"] == [{"kind": "link", "source": "https://example.gov/1"}]
    flags = adopted.done("flags", ID, "--user", "user-1", "--at-least", str(revision))
    assert set(flags["flags"].values()) == {False}


def test_a_filter_of_the_trail_without_a_value_is_no_filter_that_all_lines_match(adopted: Desk) -> None:
    for option in ("--person", "--command", "--since"):
        ended = adopted.run("audit", ID, option, "")
        assert (ended.code, ended.out) == (2, "")


def test_everything_is_readable_in_80_columns_and_without_colour(adopted: Desk) -> None:
    for words in (
        ("list",),
        ("status", ID),
        ("flags", ID),
        ("audit",),
        ("audit", ID, "--last", "3"),
        ("token", "list"),
    ):
        ended = adopted.run(*words)
        assert ended.code == 0
        assert "\x1b" not in ended.out
        assert all(len(line) <= 80 for line in ended.out.splitlines())
        assert ended.out.strip() != ""


def test_a_rebuild_beside_the_running_service_leaves_what_is_read_as_it_was(adopted: Desk) -> None:
    before = adopted.done("status", ID)
    ended = adopted.run("rebuild", "--data", str(adopted.data), "--json")
    assert ended.code == 0, ended.err
    assert ended.json()["records"] >= before["revision"]
    assert adopted.done("status", ID) == before


def test_init_does_no_harm_where_everything_is_there(adopted: Desk) -> None:
    assert adopted.run("init", "--data", str(adopted.data)).code == 0
    assert adopted.done("status", ID)["id"] == ID


def test_up_says_where_it_is_and_ends_well_when_told_to(tmp_path: Path) -> None:
    service = ServiceProcess(tmp_path / "data")
    command = [sys.executable, "-m", "services.cli", "up", "--port", str(service.port), "--data", str(service.data)]
    with subprocess.Popen([*command, "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stdout.read() == ""
    assert said == {"url": service.url, "data": str(service.data)}


def test_what_cannot_start_says_why_and_is_exit_2(adopted: Desk, tmp_path: Path) -> None:
    port = str(adopted.service.port)
    taken = adopted.run("up", "--port", port, "--data", str(tmp_path / "data"))
    assert (taken.code, f"port {port}" in taken.err) == (2, True)
    free = str(ServiceProcess(tmp_path / "other").port)
    in_use = adopted.run("up", "--port", free, "--data", str(adopted.data))
    assert (in_use.code, "data folder" in in_use.err) == (2, True)
    alone = adopted.run("run", "engine")
    assert (alone.code, "--nats" in alone.err) == (2, True)


def test_watching_shows_every_change_until_it_is_told_to_stop(adopted: Desk) -> None:
    env = {**os.environ, "CUTOVER_URL": adopted.service.url, "CUTOVER_TOKEN": adopted.service.admin_token}
    command = [sys.executable, "-m", "services.cli", "status", ID, "--watch", "--json"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        before = json.loads(process.stdout.readline())["revision"]
        adopted.done("note", ID, "seen by whoever watches")
        assert json.loads(process.stdout.readline())["revision"] > before
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_events_are_every_record_a_line_each(adopted: Desk) -> None:
    adopted.done("note", ID, "so that there are two")
    told = [json.loads(line) for line in adopted.run("events", ID, "--json").out.splitlines()]
    assert [event["id"] for event in told] == [str(n) for n in range(1, len(told) + 1)]
    assert told[0]["type"] == "dev.cdeventsx.cutover-rollout.adopted.0.1.0"
    shown = adopted.run("events", "--after", "1")
    assert "Note: so that there are two" in shown.out
    assert "is adopted" not in shown.out
    assert adopted.run("events", "nothing").code == 1


def test_events_and_the_trail_say_an_item_in_the_plans_words(adopted: Desk) -> None:
    item = "HSRM is launched and live in Production, and ready to manage appointment requests"
    revision = adopted.done("attest", ID, item)["revision"]
    for asked in (("events", ID, "--after", str(revision - 1)), ("audit", ID, "--from-revision", str(revision))):
        assert f"Attested: {item}" in " ".join(adopted.run(*asked).out.split())


def test_events_are_followed_as_they_come(adopted: Desk) -> None:
    command = [sys.executable, "-m", "services.cli", "events", ID, "--follow", "--json"]
    env = {**os.environ, "CUTOVER_URL": adopted.service.url, "CUTOVER_DATA": str(adopted.data)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        texts = list[str]()
        while not texts:  # from when it listens on
            adopted.done("note", ID, "while somebody listens")
            if select.select([following.stdout], [], [], 0.2)[0]:
                texts += [fact["text"] for fact in _facts(json.loads(following.stdout.readline()))]
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=20)
    assert texts == ["while somebody listens"]
    assert following.returncode == 0


def _facts(event: dict[str, Any]) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = event["data"]["subject"]["content"]["facts"]
    return facts
