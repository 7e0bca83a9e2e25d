"""CI's side of the whole service: told while it is down, by the command line, answered with the rollout's word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.nats.connection import connect_nats
from tests.cdevents import deploy, structured
from tests.e2e.release import Release, small_plan
from tests.nats_process import NatsProcess
from tests.service_process import ROOT, ServiceProcess

pytestmark = pytest.mark.connected

SHA = "3f1c9a"


@pytest.fixture
def service(nats_server: NatsProcess, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service on a nats-server of its own, which CI can reach while the service is down."""
    service = ServiceProcess(tmp_path / "data", environ={"CUTOVER_NATS": nats_server.url})
    service.start()
    try:
        yield service
    finally:
        service.close()


def cutover(service: ServiceProcess, *words: str, run: str = "", token: str = "") -> subprocess.CompletedProcess[str]:
    """The command line, as a step of a CI's run."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CUTOVER_", "GITHUB_", "CI_"))}
    environ |= {"CUTOVER_URL": service.url, "CUTOVER_TOKEN": token or service.admin_token, "COLUMNS": "200"}
    if run:
        environ |= {"GITHUB_RUN_ID": run, "GITHUB_REPOSITORY": "example/api"}
    command = [sys.executable, "-m", "services.cli", *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False)


def signals(service: ServiceProcess) -> list[dict[str, Any]]:
    answer = service.client().get("/v1/signals", params={"last": 1000})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def worked_on(service: ServiceProcess, count: int) -> list[dict[str, Any]]:
    service.wait_until(lambda: len(signals(service)) >= count, 30)
    return signals(service)


async def test_what_ci_publishes_while_everything_is_down_is_done_in_order_after_the_start(
    service: ServiceProcess, nats_server: NatsProcess
) -> None:
    release = Release(service, small_plan())
    service.stop()
    versions = [f"v{n}" for n in range(25)]
    connection = await connect_nats(nats_server.url, name="CI")
    for version in versions:
        headers = {"Content-Type": "application/cloudevents+json"}
        body = structured(deploy(version, id_=version))
        await connection.jetstream().publish("rollouts.signals.ci.example", body, headers=headers)
    await connection.close()
    nats_server.restart()
    service.start()
    found = worked_on(service, len(versions))
    release.reader = service.client()
    release.revision = max(effect["revision"] for item in found for effect in item["effects"])
    assert [fact["data"]["version"] for fact in release.facts("deploy_reported")] == versions
    assert [item["result"] for item in found] == ["done"] * len(versions)


def test_a_published_deploy_ends_with_what_the_rollout_says(service: ServiceProcess) -> None:
    Release(service, small_plan())
    told = ("publish", "deployed", "--service", "api", "--version", SHA)
    done = cutover(service, *told, run="4711")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "report_deploy on small: revision 2" in done.stdout
    again = cutover(service, *told, run="4711")
    assert "Told before, as signal 1" in again.stdout
    assert cutover(service, *told, run="4712", token=service.admin_token).returncode == 0
    listed = cutover(service, "signals", "--last", "5")
    assert "done: report_deploy on small: revision 2" in listed.stdout
    assert f"api {SHA} is deployed in production" in listed.stdout
    assert json.loads(cutover(service, "signals", "--json").stdout)["waiting"] == 0


def test_a_refused_deploy_fails_the_step_with_the_reason(service: ServiceProcess) -> None:
    Release(service, small_plan(deploy={"services": ["api"], "before": ["the database is migrated"]}))
    refused = cutover(service, "publish", "deployed", "--service", "api", "--version", SHA)
    assert refused.returncode == 1
    assert "the database is migrated" in refused.stderr


def test_a_deploy_that_no_plan_has_fails_the_step_until_one_has_it(service: ServiceProcess) -> None:
    told = ("publish", "deployed", "--service", "api", "--version", SHA)
    missed = cutover(service, *told, run="4711")
    assert missed.returncode == 1
    assert "No rollout takes this deploy" in missed.stderr
    assert "matches no rollout: no plan deploys api in production" in missed.stderr
    Release(service, small_plan())
    assert cutover(service, *told, "--environment", "prod", run="4711").returncode == 1
    found = cutover(service, *told, run="4711")
    assert (found.returncode, found.stderr) == (0, "")
    assert "report_deploy on small: revision 2" in found.stdout


def test_a_deploy_that_its_rollout_asks_for_no_more_is_no_failure(service: ServiceProcess) -> None:
    Release(service, small_plan()).do("cancel", reason="not now")
    done = cutover(service, "publish", "deployed", "--service", "api", "--version", SHA)
    assert (done.returncode, done.stderr) == (0, "")
    assert "rollout small is cancelled: its deploys are over" in done.stdout


def test_the_same_deploy_told_by_hand_after_a_rollback_counts_again(service: ServiceProcess) -> None:
    release, told = Release(service, small_plan()), ("publish", "deployed", "--service", "api", "--version", SHA)
    assert "revision 2" in cutover(service, *told).stdout
    release.do("roll_back", reason="errors")
    again = cutover(service, *told)
    assert "report_deploy on small: revision 4" in again.stdout, again
    release.revision = 4
    assert release.status()["phase"] == "code_deploy"


def test_a_dry_run_prints_the_event_and_sends_nothing(service: ServiceProcess) -> None:
    words = ("publish", "deployed", "--service", "api", "--version", SHA, "--chain", "c-1", "--dry-run")
    first, second = (json.loads(cutover(service, *words, run="4711").stdout) for _ in range(2))
    assert first["id"] == second["id"]
    assert first["source"] == "https://github.com/example/api/actions/runs/4711/attempts/1"
    assert first["data"]["context"]["chainId"] == "c-1"
    assert signals(service) == []


def test_a_publisher_that_nobody_lets_in_says_so(service: ServiceProcess) -> None:
    refused = cutover(service, "publish", "deployed", "--service", "api", "--version", SHA, token="cut_nobody")
    assert refused.returncode == 2
    assert "token" in refused.stderr


# -- the GitHub Action


def step(name: str) -> dict[str, Any]:
    action = yaml.safe_load((ROOT / "ci" / "action.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = next(step for step in action["runs"]["steps"] if step["name"] == name)
    return found


def run_action(service: ServiceProcess, folder: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """The action's publishing step, as a runner runs it: its script in bash, its inputs in the environment."""
    publishing = step("Publish")
    program = folder / "cutover"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m services.cli "$@"\n')
    program.chmod(0o755)
    values = {"CUTOVER": str(program), "CUTOVER_URL": service.url, "CUTOVER_TOKEN": service.admin_token}
    values |= {"ENVIRONMENT": "production", "CHAIN": "", "PATIENCE": "60", "DRY_RUN": "false", **given}
    assert set(publishing["env"]) == set(values)
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", publishing["run"]]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **values}, capture_output=True, text=True, timeout=100, check=False
    )


def test_the_action_tells_the_deploy_and_fails_where_the_rollout_refuses(
    service: ServiceProcess, tmp_path: Path
) -> None:
    Release(service, small_plan())
    Release(service, small_plan("strict", ("strict_one",), deploy={"services": ["web"], "before": ["it is reviewed"]}))
    done = run_action(service, tmp_path, SERVICE="api", VERSION='v1 "$(touch /tmp/never)"')
    assert done.returncode == 0, done.stderr
    assert "report_deploy on small" in done.stdout
    refused = run_action(service, tmp_path, SERVICE="web", VERSION=SHA)
    assert refused.returncode == 1
    assert "it is reviewed" in refused.stderr


def test_no_input_of_the_action_becomes_part_of_a_script() -> None:
    assert all("${{" not in step(name)["run"] for name in ("Install", "Publish"))
