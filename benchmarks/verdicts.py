"""How fast what was measured is judged: windows over readings, and a day's data at 15 seconds on a real Prometheus.

One rule: as in `benchmarks.measure`; beside each stands the least that anybody must do, a bare deque or a bare query.
"""

from __future__ import annotations

import functools
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec

from benchmarks.measure import Row, bulk
from events.plan.schema import Criterion, Quantity
from projections.windows import Point, windows
from services.analysis.backtest import back_test
from services.analysis.judging import Sample, judged, over_samples
from services.analysis.measure import Measurer
from services.analysis.prometheus import Prometheus
from services.analysis.promql import query_of
from tests.prometheus_process import INSTALLED, PrometheusProcess, every

READINGS = 100_000
WINDOW = 600.0
STEP = 15.0
DAY = 86_400
BEGAN = datetime(2024, 3, 4, tzinfo=UTC)
DEQUE, SUMS, VERDICTS = "a bare deque: sums over windows", "sums over sliding windows", "sliding-window verdicts"
BARE, COUNTED, SPANNED = (
    "a bare query_range, looks",
    "back-test of a count, looks",
    "back-test of a growing SPAN, looks",
)
ERRORS = Criterion(
    "errors",
    below=Quantity(10.0),
    per="any 10 minutes",
    per_seconds=600,
    count='requests{status="500"}',
    breaches="2 of 3",
    breaches_needed=2,
    breaches_of=3,
)
LATENCY = Criterion(
    "latency", below=Quantity(5.0, "s"), query="sum(rate(time_sum[SPAN])) / sum(rate(time_count[SPAN]))"
)


async def judging() -> list[Row]:
    """A reading a second, a window of ten minutes that ends at each."""
    points = [(float(n), float(n % 97 == 0)) for n in range(READINGS)]
    rows = []
    for name, work in ((DEQUE, _bare), (SUMS, _sums), (VERDICTS, _verdicts)):
        rows.append(Row(name, await bulk(functools.partial(work, points)), against="" if name == DEQUE else DEQUE))
    return rows


async def _bare(points: list[Point]) -> int:
    held: deque[Point] = deque()
    total = 0.0
    for at, value in points:
        held.append((at, value))
        total += value
        while held[0][0] <= at - WINDOW:
            total -= held.popleft()[1]
    return len(points)


async def _sums(points: list[Point]) -> int:
    return sum(1 for _ in windows(points, WINDOW, "sum"))


async def _verdicts(points: list[Point]) -> int:
    """What the monitor makes of a value: held against the limit, then two of the last three."""
    samples: deque[Sample] = deque(maxlen=8)
    found = 0
    for at, value in windows(points, WINDOW, "sum"):
        samples.append(judged(ERRORS, value, BEGAN + timedelta(seconds=at)))
        found += over_samples(ERRORS, samples) is not None
    return found


async def back_testing() -> list[Row]:
    """A day at 15 seconds; nothing where Prometheus is not installed."""
    if not INSTALLED:
        return []
    end = BEGAN + timedelta(days=1)
    with past() as url:
        server = Prometheus(url, timeout=30.0)
        try:
            measurer = Measurer(server, None)

            async def tested(one: Criterion) -> int:
                await back_test(measurer, one, BEGAN, end, STEP, lambda _name, _share: None)
                return int(DAY // STEP)

            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
                rows = [Row(BARE, await bulk(functools.partial(bare, client)))]
            for name, one in ((COUNTED, ERRORS), (SPANNED, LATENCY)):
                rows.append(Row(name, await bulk(functools.partial(tested, one)), against=BARE))
            return rows
        finally:
            await server.close()


async def bare(client: httpx.AsyncClient) -> int:
    """The inner query of the count, asked once for the whole day and decoded."""
    inner = query_of(ERRORS).removeprefix("max_over_time(").rpartition("[SPAN")[0]
    begin = BEGAN.timestamp()
    asked: dict[str, str | float] = {"query": inner, "start": begin, "end": begin + DAY, "step": STEP}
    answer = msgspec.json.decode((await client.get("/api/v1/query_range", params=asked)).content)
    assert answer["status"] == "success", answer
    return len(answer["data"]["result"][0]["values"])


@contextmanager
def past() -> Iterator[str]:
    """A Prometheus that knows a day and an hour of four pods."""
    begin, end = BEGAN.timestamp() - 3600, BEGAN.timestamp() + DAY
    series = {}
    for pod in range(4):
        series[f'requests{{status="500",pod="{pod}"}}'] = every(STEP, begin, end, 0.01)
        series[f'time_count{{pod="{pod}"}}'] = every(STEP, begin, end, 10.0)
        series[f'time_sum{{pod="{pod}"}}'] = every(STEP, begin, end, 7.0)
    with tempfile.TemporaryDirectory(prefix="cutover-bench-prometheus-") as folder:
        server = PrometheusProcess(Path(folder))
        server.fill(series)
        server.start()
        try:
            yield server.url
        finally:
            server.kill()
