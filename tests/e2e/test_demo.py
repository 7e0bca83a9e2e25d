"""The demo, from curtain to curtain, as a user starts it: a process of its own, no question asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.connected

ROOT = Path(__file__).parents[2]


def demo(*options: str, limit: float = 100) -> str:
    """What the demo prints; it must end well and in time."""
    command = [sys.executable, "-m", "services.cli", "demo", "--pace", "0", *options]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"\nClosed\. \d+ records", done.stdout)
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def in_order(text: str, *parts: str) -> None:
    """Each part comes somewhere after the one before it."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} does not come after the part before it"
        at = found + len(part)


def test_the_demo_carries_the_plan_from_adoption_to_closed() -> None:
    text = demo()
    in_order(
        text,
        "$ cutover adopt plans/vaos-service-integration.yaml",
        "What blocks report-deploy (2)",
        "$ cutover report-deploy vaos-service-integration vets-website",
        "Everything is deployed; the watch begins",
        "$ cutover start-testing vaos-service-integration Refused:",
        "is not attested by Business Stakeholders",
        "$ cutover attest",
        "the time of code deployment is over",
        "revision 14: veteran testing",
        "the window of veteran-1 opens",
        "on va_online_scheduling_vaos_service_cc_appointments",
        "the window of veteran-1 closes",
        "off va_online_scheduling_vaos_service_cc_appointments",
        "$ cutover cut-over vaos-service-integration Refused:",
        "the plan says 'TBD' at 'rollout / criteria'",
        "VAOS Product Owner has not decided go",
        "$ cutover revise-plan",
        "$ cutover decide vaos-service-integration go",
        "everyone has all 4 toggles on, together",
        "The whole toggle group is on for everyone",
        "$ cutover go-live",
        "Results after 1 week",
        "Results after 1 month",
        "$ cutover close vaos-service-integration keep Refused:",
        "$ cutover answer-question",
        "$ cutover close vaos-service-integration keep --reason",
        "$ cutover audit",
    )
    assert "rolled back" not in text


def test_in_a_breach_it_rolls_back_and_succeeds_at_the_second_try() -> None:
    in_order(
        demo("--breach"),
        "The whole toggle group is on for everyone",
        "Sum of Errors for stage-1: fail at 23",
        "$ cutover halt",
        "$ cutover roll-back",
        "The whole toggle group is off for everyone",
        "[rolled back]",
        "$ cutover report-deploy",
        "$ cutover start-testing",
        "$ cutover decide",
        "The whole toggle group is on for everyone",
        "$ cutover go-live",
        ": closed.",
    )
