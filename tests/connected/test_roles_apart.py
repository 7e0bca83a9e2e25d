"""The roles as processes of their own on a cluster, each with its own account, as compose.yaml runs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.up import ROLES
from tests.cdevents import deploy, structured
from tests.nats_cluster import Cluster, free_ports, start_cluster

pytestmark = [pytest.mark.connected, pytest.mark.timeout(150)]

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60.0  # seconds for everything to be ready on a busy machine


class Apart:
    """A process for each role, one data folder, one cluster."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        [self.port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, account: str, *arguments: str) -> subprocess.Popen[bytes]:
        """`cutover ARGUMENTS`, connected by that account."""
        environ = os.environ | {
            "CUTOVER_NATS": self.cluster.url(account),
            "CUTOVER_DATA": str(self.folder / "data"),
            "CUTOVER_REPLICAS": "3",
            "CUTOVER_PORT": str(self.port),
        }
        with (self.folder / f"{account}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "services.cli", *arguments], cwd=ROOT, env=environ, stdout=log, stderr=log
            )

    def start(self, role: str) -> None:
        self.processes[role] = self.command(role, "run", role)

    def kill(self, role: str) -> None:
        self.processes[role].kill()
        self.processes.pop(role).wait()

    def said(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))

    def wait_until(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + LIMIT
        while not true():
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def ready(self) -> bool:
        """HTTP answers, and every role has said that it runs: reads need none but their own."""
        logs = [self.folder / f"{role}.log" for role in self.processes]
        if not all("is running" in log.read_text() for log in logs):
            return False
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def client(self) -> httpx.Client:
        token = (self.folder / "data" / "admin.token").read_text().strip()
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    """The cluster, the streams made by `init`, and every role started."""
    cluster = start_cluster(tmp_path)
    roles = Apart(cluster, tmp_path)
    try:
        roles.wait_until(lambda: roles.command("init", "init").wait(30) == 0)
        for role in ROLES:
            roles.start(role)
        roles.wait_until(roles.ready)
        yield roles
    finally:
        for started in list(roles.processes):
            roles.kill(started)
        cluster.kill_all()


def test_a_rollout_is_adopted_read_and_stepped_through_by_roles_apart(apart: Apart) -> None:
    plan = (ROOT / "plans" / "first-rollout.yaml").read_bytes()
    with apart.client() as client:
        begun = client.post("/v1/rollouts?id=apart", content=plan, headers={"Content-Type": "application/yaml"})
        assert begun.status_code == 201, begun.text + apart.said()
        deployed = client.post(
            "/v1/rollouts/apart/commands", json={"type": "report_deploy", "service": "web", "version": "v1"}
        )
        assert deployed.status_code == 200, deployed.text
        revision = deployed.json()["revision"]
        flags = client.get(f"/v1/rollouts/apart/flags?user=u-1&at_least={revision}")
        assert flags.json()["flags"] == {"darker_buttons_web": False, "darker_buttons_mail": False}, flags.text
        refused = client.post("/v1/rollouts/apart/commands", json={"type": "cut_over"})
        assert refused.status_code == 409

        def reminded() -> bool:  # the clock's own command went through the engine and into the tables
            items = client.get("/v1/rollouts/apart/audit", params={"at_least": revision}).json()["items"]
            return any(item["subject"] == "clock" for item in items) and any(
                item["outcome"] == "refused" for item in items
            )

        apart.wait_until(reminded)
        hear_measure_and_tell(apart, client)

        apart.kill("engine")
        halted = {"type": "halt", "reason": "the engine is gone"}
        assert client.post("/v1/rollouts/apart/commands", json=halted).status_code == 503
        apart.start("engine")
        apart.wait_until(lambda: client.post("/v1/rollouts/apart/commands", json=halted).status_code == 200)


def hear_measure_and_tell(apart: Apart, client: httpx.Client) -> None:
    """What intake, monitor and herald do on a cluster, each by its own account."""
    plan = {
        "title": "Heard, measured, told",
        "toggles": {"apart_one": "one"},
        "deploy": {"services": ["api"], "watch": [{"title": "Deployed", "until": "1 hour"}], "criteria": ["Load"]},
        "criteria": {"Load": {"below": "5s", "reading": "load", "fresh": "1 hour", "every": "5 seconds"}},
        "testing": {"waived": "a small change"},
        "report_issues": [{"for": "everything", "channel": "the-team"}],
    }
    begun = client.post("/v1/rollouts?id=inputs", json=plan)
    assert begun.status_code == 201, begun.text
    headers = {"Content-Type": "application/cloudevents+json"}
    sent = client.post("/v1/signals", content=structured(deploy("v1", id_="d-1")), headers=headers)
    assert sent.status_code == 202, sent.text + apart.said()

    def facts(name: str) -> list[dict[str, Any]]:
        seen = {"fact": name, "at_least": begun.json()["revision"]}  # the tables are another process's work
        items = client.get("/v1/rollouts/inputs/audit", params=seen).json()["items"]
        return [item for item in items if item["outcome"] != "refused"]

    apart.wait_until(lambda: len(facts("deploy_reported")) == 1)
    assert client.get("/v1/signals").json()["items"][0]["result"] == "done"
    said = client.post("/v1/rollouts/inputs/readings", json={"name": "load", "value": "250 ms"})
    assert said.status_code == 202, said.text + apart.said()
    apart.wait_until(lambda: any(fact["data"]["verdict"] == "pass" for fact in facts("verdict_recorded")))
    assert {fact["subject"] for fact in facts("verdict_recorded")} == {"monitor"}
    reported = client.post("/v1/rollouts/inputs/commands", json={"type": "report_issue", "text": "it is slow"})
    assert reported.status_code == 200, reported.text
    apart.wait_until(lambda: any(fact["data"]["outcome"] == "not sent" for fact in facts("announced")))
    assert {fact["subject"] for fact in facts("announced")} == {"herald"}
