"""`cutover criteria test`: a day at 15 seconds against a real Prometheus, in time and with what it found when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from tests.prometheus_process import PrometheusProcess, needs_prometheus

pytestmark = [pytest.mark.connected, needs_prometheus]

PLAN = Path(__file__).parents[2] / "plans" / "vaos-service-integration.measured.yaml"
BEGAN = datetime(2024, 3, 4, tzinfo=UTC)
T = BEGAN.timestamp()
DAY = 5760  # looks of 15 s
BURST = T + 14 * 3600
LIMIT = 10.0  # seconds


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """A day and an hour of four pods; twelve errors from 14:00 on, a slow hour from 18:00 on."""
    server = PrometheusProcess(tmp_path_factory.mktemp("prometheus"))
    looks = [T - 3600 + n * 15 for n in range(DAY + 241)]
    series: dict[str, list[tuple[float, float]]] = {}
    for pod in range(4):
        where = f'pod="{pod}",controller="vaos/appointments"'
        errors = [(at, 3.0 * min(1.0, max(0.0, (at - BURST) // 15 + 1))) for at in looks]
        series[f'api_rack_request{{{where},status="500"}}'] = errors
        series[f'api_rack_request{{{where},status="200"}}'] = [(at, 5.0 * n) for n, at in enumerate(looks)]
        slow = [min(max(0.0, at - T - 18 * 3600), 3600.0) for at in looks]
        count = [(at, 10.0 * n) for n, at in enumerate(looks)]
        series[f'api_external_http_request_VAOS_time_count{{pod="{pod}"}}'] = count
        total = [(at, 10.0 * n + 60.0 * late) for n, (at, late) in enumerate(zip(looks, slow, strict=True))]
        series[f'api_external_http_request_VAOS_time_sum{{pod="{pod}"}}'] = total
        skipped = [(at, 0.0) for at in looks]
        series[f'api_external_http_request_VAOS_skipped{{pod="{pod}"}}'] = skipped
    server.fill(series)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def outcome(server: PrometheusProcess, end: str, plan: Path = PLAN) -> tuple[int, Any, str]:
    span = ["--from", "2024-03-04T00:00+00:00", "--to", end, "--json"]
    done = CliRunner().invoke(app, ["criteria", "test", str(plan), "--prometheus", server.url, *span])
    return done.exit_code, msgspec.json.decode(done.stdout), done.stderr


def test_a_day_at_15_seconds_is_tested_in_time_and_says_what_would_have_been_decided_when(
    day: PrometheusProcess,
) -> None:
    began = time.monotonic()
    code, found, _ = outcome(day, "2024-03-05T00:00+00:00")
    assert time.monotonic() - began < LIMIT
    assert code == 1
    of = {one["criterion"]: one for one in found["criteria"]}
    errors = of["Sum of Errors"]
    assert errors["looks"] == DAY - 40 + 1  # the first window of ten minutes has to be whole
    told = [(change["at"][11:19], change["verdict"]) for change in errors["changes"]]
    assert told == [("00:10:00", "pass"), ("14:00:00", "inconclusive")]
    assert (errors["verdict"], errors["why"]) == ("inconclusive", "12 is not below 10, within the stop limit")
    assert [change["verdict"] for change in of["Breaker Skipped Alert"]["changes"]] == ["pass"]
    latency = of["Average VAOS Latency"]
    assert [change["verdict"] for change in latency["changes"]] == ["pass", "fail", "pass"]  # over the day
    assert latency["changes"][1]["at"][11:13] == "18"
    assert any("no SPAN" not in doubt for doubt in errors["doubts"])


def test_a_quiet_morning_could_have_been_left(day: PrometheusProcess) -> None:
    code, found, _ = outcome(day, "2024-03-04T12:00+00:00")
    assert found["would_pass"], found
    assert code == 0


def test_queries_are_linted(day: PrometheusProcess, tmp_path: Path) -> None:
    plan = tmp_path / "doubtful.yaml"
    plan.write_text(
        "title: Doubtful\ncriteria:\n"
        "  Extrapolated:\n    below: 10\n"
        '    query: sum(increase(api_rack_request{status="500"}[10m])) or vector(0)\n'
        "  Several:\n    below: 10\n    query: rate(api_rack_request[SPAN])\n"
        "deploy: {criteria: [Extrapolated, Several]}\n"
    )
    _, found, _ = outcome(day, "2024-03-04T02:00+00:00", plan)
    of = {one["criterion"]: " ".join(one["doubts"]) for one in found["criteria"]}
    for words in ("has no SPAN", "looks back 600 seconds", "increase() extrapolates", "even when nobody reports"):
        assert words in of["Extrapolated"]
    assert "may give several series" in of["Several"]
    (several,) = [one for one in found["criteria"] if one["criterion"] == "Several"]
    assert several["verdict"] == "error"
    assert "8 series, expected exactly one" in several["why"]


def test_a_server_that_is_not_there_is_said_so() -> None:
    arguments = ["criteria", "test", str(PLAN), "--prometheus", "http://127.0.0.1:1", "--to", "2024-03-04T02:00Z"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "Prometheus cannot be reached" in " ".join(done.stdout.split())
