"""Criteria measured by a real Prometheus: the seed's three, their edges, and every kind of bad data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.plan.reading import read_plan
from events.plan.schema import Criterion
from services.analysis.afresh import Afresh
from services.analysis.measure import Measurer
from services.analysis.prometheus import Prometheus
from services.analysis.readings import MemoryReadings
from tests.bad_server import BadServer
from tests.prometheus_process import PrometheusProcess, every, needs_prometheus

pytestmark = [pytest.mark.connected, needs_prometheus]

BEGAN = datetime(2024, 3, 4, 12, tzinfo=UTC)  # the phase
T = BEGAN.timestamp()
HOUR = 3600.0
AT = BEGAN + timedelta(hours=2)
VAOS = 'controller="vaos/appointments",status="500"'


def burst(errors: int, at: float, step: float = 15.0) -> list[tuple[float, float]]:
    """A counter at 100 that grows by so many errors within the 9.5 minutes after `at`, then rests."""
    points = []
    for n in range(int(3 * HOUR / step) + 1):
        when = T - HOUR + n * step
        grown = min(errors, int(max(0.0, when - at) // (570 / errors) + (when >= at))) if errors else 0
        points.append((when, 100.0 + grown))
    return points


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusProcess]:
    """An hour before a phase of two hours, at a scrape of 15 s."""
    server = PrometheusProcess(tmp_path_factory.mktemp("prometheus"))
    before, end = T - HOUR, T + 2 * HOUR
    steady = every(15, before, end, 30)
    server.fill(
        {
            f'nine{{{VAOS},pod="a"}}': burst(9, T + HOUR),
            f'ten{{{VAOS},pod="a"}}': burst(10, T + HOUR),
            f"sparse{{{VAOS}}}": [(before + n * 60, 100.0 + min(9, max(0, n - 120))) for n in range(181)],
            f"earlier{{{VAOS}}}": burst(50, T - 700),
            "requests_total": steady,
            "few_total": every(15, before, end, 0.01),
            "vaos_skipped": [(at, 0.0) for at, _ in steady],
            "quick_sum": every(15, before, end, 60),
            "quick_count": every(15, before, end, 30),
            "slow_sum": every(15, before, end, 150),
            "slow_count": every(15, before, end, 30),
            "idle_sum": [(at, 7.0) for at, _ in steady],
            "idle_count": [(at, 3.0) for at, _ in steady],
            "grew_sum": every(15, before, end, 30),
            'ALERTS{alertname="skipped",alertstate="firing",team="b"}': [(T + HOUR + n * 15, 1.0) for n in range(5)],
            'ALERTS{alertname="skipped",alertstate="firing",team="before"}': [
                (T - 600 + n * 15, 1.0) for n in range(5)
            ],
            "stopped_total": every(15, before, T + HOUR, 1),
            'kinds_total{type="timeout"}': every(15, before, end, 2),
            'kinds_total{type="refused"}': every(15, before, end, 1),
        }
    )
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
async def measurer(history: PrometheusProcess) -> AsyncIterator[Measurer]:
    server = Prometheus(history.url)
    yield Measurer(server, MemoryReadings())
    await server.close()


@pytest.fixture
def bad_server() -> Iterator[BadServer]:
    server = BadServer()
    yield server
    server.close()


def criterion(**fields: Any) -> Criterion:
    """As a plan would have it, checked."""
    plan = read_plan({"title": "A plan", "criteria": {"It": fields}, "deploy": {"criteria": ["It"]}})
    return plan.criteria["It"]


async def verdict(measurer: Measurer, one: Criterion, at: datetime = AT) -> tuple[str, str]:
    taken = await measurer.over(one, "a-plan", BEGAN, at)
    assert taken.evidence
    assert all(len(proof.raw.encode()) <= 2048 * 3 and proof.query for proof in taken.evidence)
    return taken.judged.verdict, taken.judged.why


def errors(metric: str, **fields: Any) -> Criterion:
    selector = f'{metric}{{controller=~"vaos/.*",status=~"5.."}}'
    return criterion(below=10, per="any 10 minutes", count=selector, **fields)


def breaker(team: str) -> Criterion:
    alerts = f'count(ALERTS{{alertstate="firing",team="{team}"}}) or vector(0)'
    query = f"max_over_time(({alerts})[SPAN:15s]) + sum(increase(vaos_skipped[SPAN]))"
    return criterion(at_most=0, query=query)


def latency(name: str) -> Criterion:
    return criterion(below="5s", query=f"sum(rate({name}_sum[SPAN])) / sum(rate({name}_count[SPAN]))")


async def test_nine_errors_in_ten_minutes_pass_and_ten_fail(measurer: Measurer) -> None:
    assert (await verdict(measurer, errors("nine")))[0] == "pass"
    failed = await verdict(measurer, errors("ten"))
    assert failed == ("fail", "10 is not below 10")


async def test_errors_from_before_the_phase_do_not_count(measurer: Measurer) -> None:
    one = errors("earlier")
    assert (await verdict(measurer, one))[0] == "pass"
    early = await verdict(measurer, one, BEGAN + timedelta(minutes=9))
    assert early[0] == "inconclusive"
    assert "first 10 minutes" in early[1]


async def test_the_seeds_three_criteria_pass(measurer: Measurer) -> None:
    traffic = {"traffic": "sum(increase(requests_total[SPAN]))", "traffic_at_least": 1000}
    for one in (errors("nine", **traffic), breaker("nobody"), latency("quick")):
        assert (await verdict(measurer, one))[0] == "pass", one


async def test_a_latency_of_five_seconds_fails(measurer: Measurer) -> None:
    assert await verdict(measurer, latency("slow")) == ("fail", "5 s is not below 5 s")


async def test_an_alert_that_fired_for_a_minute_in_the_span_fails_and_one_from_before_does_not(
    measurer: Measurer,
) -> None:
    assert (await verdict(measurer, breaker("b")))[0] == "fail"
    assert (await verdict(measurer, breaker("before")))[0] == "pass"


async def test_at_a_scrape_of_a_minute_increase_breaks_a_limit_that_the_exact_form_keeps(measurer: Measurer) -> None:
    assert (await verdict(measurer, errors("sparse")))[0] == "pass"
    assert await verdict(measurer, errors("sparse", exact=False)) == ("fail", "10 is not below 10")


@pytest.mark.parametrize(
    ("fields", "at", "kind", "words"),
    [
        ({"query": "sum(rate(nothing_total[5m]))"}, AT, "inconclusive", "found no data"),
        ({"query": "sum(rate(idle_sum[5m])) / sum(rate(idle_count[5m]))"}, AT, "error", "NaN, which is no number"),
        ({"query": "sum(rate(grew_sum[5m])) / sum(rate(idle_count[5m]))"}, AT, "error", "+Inf, which is no finite"),
        ({"query": "rate(kinds_total[5m])"}, AT, "error", "2 series, expected exactly one"),
        ({"query": "sum(increase(stopped_total[SPAN]))"}, AT, "inconclusive", "sample is 1 hour old"),
        ({"query": "sum(rate(stopped_total[5m]))"}, AT, "inconclusive", "sample is 1 hour old"),
        ({"query": "sum(rate("}, AT, "error", "refused the query (400): bad_data"),
        (
            {
                "count": "never_born_total",
                "per": "any 10 minutes",
                "traffic": "sum(increase(few_total[SPAN]))",
                "traffic_at_least": 100,
            },
            AT,
            "inconclusive",
            "too little traffic to judge",
        ),
        (
            {
                "query": "sum(never_born_total) or vector(0)",
                "traffic": "sum(increase(stopped_total[SPAN]))",
                "traffic_at_least": 100,
            },
            AT,
            "inconclusive",
            "sample is 1 hour old",
        ),
        ({"query": "sum(never_born_total) or vector(0)"}, AT, "inconclusive", "no sample of it in the last 5 minutes"),
    ],
)
async def test_each_kind_of_bad_data_has_its_own_words_and_never_passes(
    measurer: Measurer, fields: dict[str, Any], at: datetime, kind: str, words: str
) -> None:
    found = await verdict(measurer, criterion(below=10, **fields), at)
    assert found[0] == kind
    assert words in found[1]


async def test_a_counter_never_born_is_no_error_when_there_is_traffic(measurer: Measurer) -> None:
    one = criterion(
        below=10,
        per="any 10 minutes",
        count="never_born_total",
        traffic="sum(increase(requests_total[SPAN]))",
        traffic_at_least=1000,
    )
    assert (await verdict(measurer, one))[0] == "pass"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hang", "no answer within 0.3 s"),
        ("html", "expected JSON from Prometheus, found text/html with status 200"),
        ("latin-1", "expected JSON from Prometheus, found application/json with status 200"),
        ("refuses", "refused the query (400): bad_data: 1:5: parse error"),
        ("warns", "warns about the query: a remote read failed"),
        ("down", "found text/plain with status 503"),
    ],
)
async def test_a_server_that_misbehaves_is_an_error_with_its_own_words(
    bad_server: BadServer, kind: str, words: str
) -> None:
    server = Prometheus(bad_server.url(kind), timeout=0.3)
    found = await verdict(Measurer(server, None), criterion(below=10, query="sum(up)"))
    await server.close()
    assert found[0] == "error"
    assert words in found[1]


async def test_a_token_or_a_password_goes_in_a_header_and_queries_in_the_body(bad_server: BadServer) -> None:
    one = criterion(below=10, query="sum(increase(up[SPAN]))")
    with_password = bad_server.url("fine").replace("http://", "http://me:secret@")
    for server in (Prometheus(bad_server.url("fine"), "a-token"), Prometheus(with_password)):
        assert (await verdict(Measurer(server, None), one))[0] == "pass"
        await server.close()
    assert set(bad_server.authorizations) == {"Bearer a-token", "Basic bWU6c2VjcmV0"}
    assert set(bad_server.asked) == {"/fine/api/v1/query"}


async def test_no_server_at_all_is_an_error(measurer: Measurer) -> None:
    server = Prometheus("http://127.0.0.1:1", timeout=0.3)
    found = await verdict(Measurer(server, None), criterion(below=10, query="sum(up)"))
    await server.close()
    assert found[0] == "error"
    assert "Prometheus cannot be reached" in found[1]


async def test_a_query_without_span_is_looked_at_over_the_whole_phase(measurer: Measurer) -> None:
    one = criterion(below=10, query="sum(ten) - sum(ten offset 10m)")
    found = await verdict(measurer, one)
    assert found[0] == "fail"
    assert "10 is not below 10, at 2024-03-04 13:" in found[1]
    assert (await verdict(measurer, one, BEGAN + timedelta(minutes=40)))[0] == "pass"


async def test_breaches_are_confirmed_as_often_as_the_plan_says(measurer: Measurer) -> None:
    fields = {"below": 1, "query": 'sum(count(ALERTS{team="b"}) or vector(0)) + 0 * sum(requests_total)'}
    seconds = {"every": "60 seconds"}
    assert (await verdict(measurer, criterion(**fields, **seconds, breaches="2 of 3")))[0] == "fail"
    assert (await verdict(measurer, criterion(**fields, **seconds, breaches="9 of 10")))[0] == "pass"


async def test_a_trend_is_held_against_the_same_query_before_the_phase(measurer: Measurer) -> None:
    one = criterion(trend="no higher", baseline="30 minutes", tolerance="10%", query="sum(rate(requests_total[SPAN]))")
    assert (await verdict(measurer, one))[0] == "pass"
    worse = criterion(trend="no higher", baseline="30 minutes", query="max_over_time(sum(ten)[SPAN:15s])")
    assert await verdict(measurer, worse) == ("fail", "110 is not no higher than 100")


async def test_results_are_measured_as_a_number_or_by_type(measurer: Measurer) -> None:
    plan = read_plan(
        {
            "title": "A plan",
            "rollout": {
                "results": [
                    {"text": "Requests", "query": "max(requests_total)"},
                    {"text": "Types of errors", "query": "sum by (type) (increase(kinds_total[SPAN]))", "by": "type"},
                ]
            },
        }
    )
    number, kinds = [await measurer.result(q, "a-plan", BEGAN, AT) for q in plan.rollout.results]
    assert number.said == "21600"
    assert kinds.said == "timeout: 960, refused: 480"


def test_afresh_is_made_of_a_measurer() -> None:
    assert Afresh(Measurer(None, None))
