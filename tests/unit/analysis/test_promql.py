"""Queries read as text: series, windows, spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plan.schema import Criterion
from services.analysis import promql

SEED = {
    'max_over_time(sum(increase(rack{controller=~"vaos/.*",status=~"5.."}[10m]))[SPAN:30s])': (
        ('rack{controller=~"vaos/.*",status=~"5.."}',),
        600,
    ),
    'sum(increase(skipped[SPAN])) or max_over_time((count(ALERTS{a="b"}) or vector(0))[SPAN:15s])': (
        ("skipped", 'ALERTS{a="b"}'),
        0,
    ),
    "sum(rate(time_sum[SPAN])) / sum(rate(time_count[SPAN]))": (("time_sum", "time_count"), 0),
    "sum(x) - (sum(x offset 10m) or vector(0))": (("x",), 600),
    "histogram_quantile(0.95, sum by (le) (rate(seconds_bucket[30m] offset 1h)))": (("seconds_bucket",), 5400),
    'topk by (pod) (5, {__name__="a"}) * on (pod) group_left (x) b': (('{__name__="a"}', "b"), 0),
    "sum without (pod) (rate(a:b{c='[x]'}[5m:30s])) > bool 1e3 # and [1h]": (("a:b{c='[x]'}",), 300),
    "a @ 1609746000 + b @ start()": (("a", "b"), 0),
    "max_over_time(sum(rate(err[5m]))[10m:30s])": (("err",), 900),
    "max_over_time(max_over_time(sum(rate(err[5m]))[10m:30s])[SPAN:30s])": (("err",), 900),
    "max_over_time((sum(rate(a[15m])) / sum(rate(b[5m])))[10m:])": (("a", "b"), 1500),
    "max_over_time(rate(a[5m] offset 1h)[10m:30s] offset 2h)": (("a",), 11700),
    "max_over_time((sum(x) - sum(x offset 10m))[5m:15s]) + sum(rate(x[20m]))": (("x",), 1200),
    "rate(a[5m])[10m:30s]": (("a",), 900),
    'a{b="("} offset 5m + rate(a[10m])': (('a{b="("}', "a"), 600),
    "sum(rate(a[5m]) or b[1m])": (("a", "b"), 300),
    "max_over_time(rate(a[5m])[10m:30s]) / max_over_time(b[30m])": (("a", "b"), 1800),
    "sum(rate(a[5m] @ end() offset 1m))": (("a",), 360),
    "deriv(rate(a[1m])[5m:1m])[SPAN:30s] offset -5m": (("a",), 360),
}


@pytest.mark.parametrize("query", SEED)
def test_a_querys_series_and_its_own_window_are_found(query: str) -> None:
    assert (promql.selectors(query), promql.reach(query)) == SEED[query]


@given(st.text())
def test_any_text_is_read_without_an_error(query: str) -> None:
    promql.selectors(query)
    promql.reach(query)
    promql.over_time(query)


def test_span_stands_for_seconds_in_ranges_alone() -> None:
    assert promql.with_span("a[SPAN] + b[SPAN:15s] + SPAN", 60) == "a[60s] + b[60s:15s] + SPAN"


def test_counting_exactly_compares_the_counter_with_itself() -> None:
    one = Criterion(count="e_total", per_seconds=600)
    assert promql.query_of(one) == "max_over_time((sum(e_total) - (sum(e_total offset 600s) or vector(0)))[SPAN:15s])"
    extrapolated = Criterion(count="e_total", per_seconds=600, exact=False)
    assert promql.query_of(extrapolated) == "max_over_time((sum(increase(e_total[600s])))[SPAN:15s])"


def test_an_extreme_over_the_span_is_taken_apart() -> None:
    assert promql.over_time("max_over_time((sum(a))[SPAN:15s])") == ("max", "(sum(a))", 15)
    assert promql.over_time("max_over_time(a[SPAN:15s]) + max_over_time(b[SPAN:15s])") is None
    assert promql.over_time("max_over_time(sum(rate(a[SPAN]))[SPAN:15s])") is None
    assert promql.over_time("sum(rate(a[SPAN]))") is None


def test_what_has_to_be_there_is_what_the_plan_does_not_say_is_0() -> None:
    assert promql.series_of(Criterion(query='sum(a) / sum(b) + count(ALERTS{x="y"})')) == (("a", "b"), ())
    assert promql.series_of(Criterion(query="sum(a) / sum(b)", traffic="sum(b) + c")) == (("a", "b", "c"), ())
    assert promql.series_of(Criterion(query="(sum(a) or vector(0)) / sum(b)", traffic="sum(b)")) == (("b",), ("a",))
    assert promql.series_of(Criterion(query="sum(a) or vector(0)")) == (("a",), ())
    assert promql.series_of(Criterion(count="a", per_seconds=60, traffic="sum(b)")) == (("b",), ("a",))
    assert promql.series_of(Criterion(count="a", per_seconds=60)) == (("a",), ())
