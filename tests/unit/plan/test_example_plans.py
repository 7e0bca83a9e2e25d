"""The plans in plans/ are read, checked and stored without loss."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from events.plan.checks import check
from events.plan.schema import Plan
from services.plan_file import parse

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
