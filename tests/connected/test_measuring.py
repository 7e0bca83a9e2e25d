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
from services.analysis.prometheus import Answer, NoAnswer, Prometheus
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


def unseen(points: list[tuple[float, float]], since: float, until: float) -> list[tuple[float, float]]:
    """What is left where nobody looked between the two."""
    return [(at, value) for at, value in points if not since < at < until]


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
            "just_before_total": [(at, 300.0 if at >= T - 200 else 0.0) for at, _ in steady],
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
            "dead_errors": [(at, 0.0) for at, _ in steady if at <= T + HOUR],
            "away_total": unseen(steady, T + 290, T + 5400),
            "away_errors": [(at, 0.0) for at, _ in unseen(steady, T + 290, T + 5400)],
            "late_total": unseen(steady, 0, T + 5400),
            "blinked_total": unseen(steady, T + HOUR, T + HOUR + 375),
            "days_total": every(60, before, T + 26 * HOUR, 60),
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


NESTED = "max_over_time(sum(rate(just_before_total[5m]))[10m:30s])"


@pytest.mark.parametrize("query", [NESTED, f"max_over_time({NESTED}[SPAN:30s])"])
async def test_ranges_within_ranges_do_not_reach_back_before_the_phase_together(measurer: Measurer, query: str) -> None:
    one = criterion(below=0.1, query=query)
    early = await verdict(measurer, one, BEGAN + timedelta(seconds=640))
    assert early[0] == "inconclusive"
    assert "first 15 minutes" in early[1]
    assert (await verdict(measurer, one, BEGAN + timedelta(seconds=1000)))[0] == "pass"
    assert (await verdict(measurer, one))[0] == "pass"


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


def traffic_of(metric: str) -> dict[str, Any]:
    return {"traffic": f"sum(increase({metric}[SPAN]))", "traffic_at_least": 100}


@pytest.mark.parametrize(
    "fields",
    [
        {"query": "sum(rate(away_total[SPAN])) / sum(rate(requests_total[SPAN]))"},
        {"query": "sum(rate(requests_total[SPAN]))", **traffic_of("away_total")},
        {"query": "max_over_time(sum(increase(away_errors[10m]))[SPAN:30s])"},
        {"query": "sum(rate(away_errors[5m])) or vector(0)"},
        {"query": "sum(rate(never_born_total[5m])) or vector(0)", **traffic_of("away_total")},
        {"count": "never_born_total", "per": "any 10 minutes", **traffic_of("away_total")},
        {"count": "away_errors", "per": "any 10 minutes"},
        {"count": "away_errors", "per": "any 10 minutes", "exact": False},
    ],
)
async def test_a_phase_of_whose_middle_nobody_knows_anything_does_not_pass(
    measurer: Measurer, fields: dict[str, Any]
) -> None:
    found = await verdict(measurer, criterion(below=10, **fields))
    assert found == ("inconclusive", "there is no data from 2024-03-04 12:05:00 to 2024-03-04 13:29:30 UTC")


async def test_a_phase_whose_beginning_nobody_saw_does_not_pass(measurer: Measurer) -> None:
    found = await verdict(measurer, criterion(below=10, query="sum(rate(late_total[SPAN]))"))
    assert found == ("inconclusive", "there is no data from 2024-03-04 12:00:00 to 2024-03-04 13:29:30 UTC")


async def test_a_short_silence_is_borne_as_the_plan_says(measurer: Measurer) -> None:
    query = "sum(rate(blinked_total[SPAN]))"
    assert (await verdict(measurer, criterion(below=10, query=query)))[0] == "pass"
    assert (await verdict(measurer, criterion(below=10, query=query, errors_in_a_row=1)))[0] == "inconclusive"
    slow = {"errors_in_a_row": 1, "fresh": "10 minutes"}
    assert (await verdict(measurer, criterion(below=10, query=query, **slow)))[0] == "pass"


async def test_a_breach_is_a_breach_whatever_else_nobody_saw(measurer: Measurer) -> None:
    assert (await verdict(measurer, criterion(below=1, query="sum(rate(away_total[SPAN]))")))[0] == "fail"


async def test_what_was_measured_with_gaps_keeps_its_value_and_says_so(measurer: Measurer) -> None:
    taken = await measurer.over(criterion(below=10, query="sum(rate(away_total[SPAN]))"), "a-plan", BEGAN, AT)
    assert taken.judged.value is not None
    assert not taken.good
    assert taken.said == "2; there is no data from 2024-03-04 12:05:00 to 2024-03-04 13:29:30 UTC"
    assert taken.evidence[-1].query == "count(count_over_time(away_total[300s]))"
    assert "241 looks over the span: there is no data from" in taken.evidence[-1].text


@pytest.mark.parametrize(
    "fields",
    [
        {"count": "dead_errors", "per": "any 10 minutes"},
        {"count": "dead_errors", "per": "any 10 minutes", **traffic_of("requests_total")},
        {"query": "(sum(rate(dead_errors[5m])) or vector(0)) / sum(rate(requests_total[5m]))"},
        {
            "query": "(sum(rate(dead_errors[SPAN])) or vector(0)) / sum(rate(requests_total[SPAN]))",
            **traffic_of("requests_total"),
        },
        {"query": "sum(rate(dead_errors[SPAN])) / sum(rate(requests_total[SPAN]))"},
    ],
)
async def test_living_traffic_does_not_vouch_for_errors_that_died(measurer: Measurer, fields: dict[str, Any]) -> None:
    found = await verdict(measurer, criterion(below=10, **fields))
    assert found == ("inconclusive", "its newest sample is 1 hour old; at most 5 minutes is fresh")


async def test_errors_that_died_days_ago_are_not_taken_for_errors_that_never_were(measurer: Measurer) -> None:
    one = criterion(below=10, per="any 10 minutes", count="dead_errors", **traffic_of("days_total"))
    found = await verdict(measurer, one, BEGAN + timedelta(hours=26))
    assert found == ("inconclusive", "its newest sample is 25 hours old; at most 5 minutes is fresh")


async def test_a_server_that_does_not_say_whether_errors_ever_were_vouches_for_nothing(
    history: PrometheusProcess,
) -> None:
    class Forgetful(Prometheus):
        async def query(self, query: str, at: datetime) -> Answer:
            if "timestamp(" in query:
                raise NoAnswer("it has forgotten")
            return await super().query(query, at)

    server = Forgetful(history.url)
    one = criterion(below=10, per="any 10 minutes", count="dead_errors", **traffic_of("requests_total"))
    assert await verdict(Measurer(server, None), one) == ("error", "it has forgotten")
    await server.close()


async def test_a_long_phase_costs_no_more_questions_than_a_short_one(bad_server: BadServer) -> None:
    server = Prometheus(bad_server.url("fine"))
    one = criterion(below=10, query="sum(increase(up[SPAN]))", traffic="sum(up)", traffic_at_least=1)
    asked = []
    for days in (1, 90):
        await Measurer(server, None).over(one, "a-plan", BEGAN, BEGAN + timedelta(days=days))
        asked.append(len(bad_server.asked))
    await server.close()
    assert asked == [4, 8]


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
        taken = await Measurer(server, None).over(one, "a-plan", BEGAN, AT)
        assert taken.judged.value is not None
        await server.close()
    assert set(bad_server.authorizations) == {"Bearer a-token", "Basic bWU6c2VjcmV0"}
    assert set(bad_server.asked) == {"/fine/api/v1/query", "/fine/api/v1/query_range"}


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
