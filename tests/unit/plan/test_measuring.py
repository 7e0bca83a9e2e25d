"""How a plan says what is measured: fields, defaults, and what `plan check` finds wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from events.plan.checks import check
from events.plan.problems import PlanError
from events.plan.reading import read_plan
from events.plan.schema import Criterion, Plan, Quantity


def plan(**fields: Any) -> Plan:
    return read_plan(
        {
            "title": "A plan",
            "toggles": ["a"],
            "criteria": {"Errors": {"below": 10, **fields}},
            "deploy": {"criteria": ["Errors"]},
            "go_no_go": {"decided_by": ["PO"]},
        }
    )


def errors(found: Plan) -> list[str]:
    return [finding.words() for finding in check(found) if finding.level == "error"]


def test_what_is_measured_is_read_with_its_defaults() -> None:
    one = plan(count='errors{code="5"}', per="any 10 minutes").criteria["Errors"]
    assert (one.count, one.exact, one.per_seconds) == ('errors{code="5"}', True, 600)
    assert (one.fresh, one.every, one.errors_in_a_row) == (300, 30, 3)
    assert (one.breaches_needed, one.breaches_of) == (1, 1)


def test_the_words_of_a_plan_become_numbers() -> None:
    fields = {"query": "sum(rate(a[SPAN]))", "traffic": "sum(b[SPAN])", "traffic_at_least": "1,000"}
    one = plan(**fields, fresh="2 minutes", every="1 minute", breaches="2 of 3").criteria["Errors"]
    assert (one.fresh, one.every) == (120, 60)
    assert (one.breaches, one.breaches_needed, one.breaches_of) == ("2 of 3", 2, 3)
    assert one.traffic_at_least == Quantity(1000)
    assert errors(plan(**fields)) == []


def test_the_span_of_a_query_is_no_blank() -> None:
    assert plan(query="sum(rate(a[SPAN]))").gaps == ()
    assert [gap.text for gap in plan(query="TBD").gaps] == ["TBD"]


@pytest.mark.parametrize("written", ["3 of 2", "0 of 3", "often", "2 of 1000"])
def test_breaches_that_cannot_be_counted_are_refused(written: str) -> None:
    with pytest.raises(PlanError, match="such as '2 of 3'"):
        plan(query="a", breaches=written)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"query": "a", "reading": "a"}, "is measured in 2 ways (query, reading)"),
        ({"count": "a"}, "needs per:"),
        ({"count": "sum(a)", "per": "any 10 minutes"}, "expected one counter"),
        ({"query": "a", "exact": False}, "belongs to count:"),
        ({"query": "a", "traffic": "b"}, "traffic: and traffic_at_least: belong together"),
        ({"query": "a", "take": "sum"}, "belongs to reading:"),
        ({"query": "a", "baseline": "1 week"}, "needs trend:"),
        ({"query": "a", "baseline": "1 week", "trend": "no higher", "than": 4}, "is already said by than:"),
        ({"query": "a", "every": "1 second"}, "expected at least 5 seconds"),
        ({"breaches": "2 of 3"}, "a person records this one"),
    ],
)
def test_what_does_not_belong_together_is_an_error(fields: dict[str, Any], words: str) -> None:
    assert any(words in found for found in errors(plan(**fields))), errors(plan(**fields))


def test_results_are_measured_one_way_and_as_numbers() -> None:
    results = [
        {"text": "Users", "query": "max(users)"},
        {"text": "Both", "query": "a", "reading": "a"},
        {"text": "Fine? yes/no", "query": "a"},
        {"text": "Kinds", "by": "type"},
    ]
    found = errors(read_plan({"title": "A plan", "toggles": ["a"], "go_live": {"results": results}}))
    assert [text.partition(": ")[2] for text in found] == [
        "is measured in 2 ways (query, reading); keep one",
        "is answered by yes/no, and a measurement is a number",
        "needs query: or reading:",
    ]


def test_a_criterion_that_is_not_measured_is_stored_as_before() -> None:
    assert Criterion(name="a") == Criterion(name="a", fresh=300, every=30, errors_in_a_row=3)
