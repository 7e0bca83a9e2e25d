"""The live demo as a user starts it: Prometheus, a service with visitors, CI's events, and the wall's clock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_demo import ROOT, demo, in_order
from tests.prometheus_process import needs_prometheus

pytestmark = [pytest.mark.connected, pytest.mark.timeout(240)]
LIMIT = 200  # seconds; alone on a machine it takes a third of it


@needs_prometheus
def test_live_the_criteria_are_measured_and_the_release_is_carried_to_its_end() -> None:
    text = demo("--live", limit=LIMIT)
    in_order(
        text,
        "$ cutover adopt plans/live-demo.yaml",
        "$ cutover publish deployed --service vets-website",
        "report_deploy on live-demo",
        "$ cutover start-testing live-demo Refused:",
        "is inconclusive: the first 4 seconds since the step began",
        "seconds of waiting",
        "the monitor: Sum of Errors",
        "$ cutover start-testing live-demo Done.",
        "Sum of Errors for code_deploy: pass at 0",
        "Average VAOS Latency for code_deploy: pass at",
        "visits: toggles off",
        "The window has opened by itself",
        "visits: toggles on, status 200",
        "somebody-else visits: toggles off",
        "the window has closed by itself",
        "visits: toggles off",
        "everyone has all 4 toggles on, together",
        "$ cutover go-live live-demo Refused:",
        "$ cutover go-live live-demo Done.",
        "Sum of Errors for stage-1: pass at 0",
        "Result of 15 seconds: Number of unique users =",
        "$ cutover close live-demo keep",
        ": closed.",
    )
    assert "record-verdict" not in text
    assert "rolled back" not in text


@needs_prometheus
def test_live_a_breach_is_found_and_rolled_back_with_nobodys_help() -> None:
    text = demo("--live", "--breach", limit=LIMIT)
    in_order(
        text,
        "The whole toggle group is on for everyone",
        "Nobody touches anything",
        "the plan says: roll back",
        "the monitor: Sum of Errors for stage-1: fail at",
        "The whole toggle group is off for everyone",
        "somebody-else visits: toggles off, status 200",
        "[rolled back]",
        "$ cutover publish deployed --service vets-website --version 2022.08.02",
        "$ cutover start-testing live-demo Done.",
        "The whole toggle group is on for everyone",
        "$ cutover go-live live-demo Done.",
        ": closed.",
    )
    assert "record-verdict" not in text
    assert "cutover roll-back" not in text


def test_without_prometheus_it_says_how_to_install_it(tmp_path: Path) -> None:
    hidden = "import shutil; shutil.which = lambda *_a, **_k: None; from services.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "demo", "--live"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "is not installed here" in done.stderr
    assert "apt-get install --no-install-recommends prometheus" in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
