"""The plans in plans/ are read, checked and stored without loss."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from events.plan.checks import check
from events.plan.reading import PlanError, read_plan
from events.plan.schema import Plan
from services.plan.file import parse

PLANS = sorted((Path(__file__).parents[3] / "plans").glob("*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_an_example_plan_has_no_errors_and_survives_storing(path: Path) -> None:
    plan = parse(path.read_bytes(), default_id=path.stem)
    assert [finding.words() for finding in check(plan) if finding.level == "error"] == []
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_the_examples_are_as_different_as_they_claim() -> None:
    plans = {path.stem: parse(path.read_bytes(), default_id=path.stem) for path in PLANS}
    canary = plans["travel-pay-canary"]
    assert canary.criteria["Claim errors"].stop_above is not None
    assert canary.before_release_again
    assert canary.rollout.stages[1].up_to == 25
    facilities = plans["check-in-by-facility"]
    assert facilities.groups["Riverbend"].any_of == ("983",)
    assert facilities.groups["Lakeside and Northfield"].any_of == ("0984", "985GA")
    assert (facilities.rollout.stages[1].group, facilities.rollout.stages[1].percentage) == ("Riverbend", 10)
    experiment = plans["refill-reminder-experiment"]
    assert not experiment.toggles
    assert experiment.testing.waived
    assert experiment.go_live.experiment is not None


WRITTEN: dict[Path, Any] = {path: yaml.load(path.read_text(), yaml.BaseLoader) | {"draft": True} for path in PLANS}


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container of the data with every key in it."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    return [place for key in keys for place in [(data, key), *places(data[key])]]


ODDITIES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["TBD", "x", "???", "everyone", "25%", "5% to 25%", "10% of Staff", "1 week", "0-24 hrs", "2022-02-30"]
    ),
    st.just([]),
    st.just({}),
    st.just(["TBD"]),
    st.just({"TBD": "TBD"}),
    st.just({"text": "TBD"}),
)


@pytest.mark.timeout(1_800)
@given(st.sampled_from(PLANS), st.data())
def test_one_odd_value_gives_a_plan_that_stores_or_a_plan_error(path: Path, data: st.DataObject) -> None:
    written = copy.deepcopy(WRITTEN[path])
    container, key = data.draw(st.sampled_from(places(written)))
    container[key] = data.draw(ODDITIES)
    try:
        plan = read_plan(written, default_id="a-plan")
    except PlanError as error:
        assert error.problems  # noqa: PT017
        return
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    check(plan)
