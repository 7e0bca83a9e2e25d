"""One id is one thing, also in plans that come in their stored form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.plan.checks import check
from events.plan.reading import read_plan
from events.plan.schema import Criterion, GoLive, GoNoGo, Item, Plan, Question, RolloutPlan, Stage


def plan(**parts: Any) -> Plan:
    """A plan as a sender may store it: nobody gave it ids."""
    return replace(read_plan({"title": "A plan", "toggles": {"a": "A"}}, default_id="a-plan"), **parts)


def errors(plan: Plan) -> list[str]:
    return [finding.words() for finding in check(plan) if finding.level == "error"]


def test_two_things_with_one_id_are_an_error_wherever_they_stand() -> None:
    easy, stakeholders = Item("easy", id="e"), Item("Stakeholders approved", attested_by="Stakeholders", id="e")
    words = "'e' is the id of something else in this plan already"
    assert errors(plan(prerequisites=(easy, stakeholders))) == [f"prerequisites / 2 / id: {words}"]
    staged = RolloutPlan(stages=(Stage("everyone", before=(stakeholders,)),))
    assert errors(plan(prerequisites=(easy,), rollout=staged)) == [f"rollout / stages / 1 / before / 1 / id: {words}"]
    asked = GoNoGo(questions=(Question("Ready?", id="e"),))
    assert errors(plan(prerequisites=(easy,), go_no_go=asked)) == [f"go_no_go / questions / 1 / id: {words}"]


def test_an_empty_id_is_an_error() -> None:
    assert errors(plan(prerequisites=(Item("easy"),))) == [
        "prerequisites / 1 / id: expected small letters, digits and hyphens, found ''"
    ]


def test_the_ids_of_what_is_attested_where_toggles_are_elsewhere_are_taken() -> None:
    (error,) = errors(plan(prerequisites=(Item("easy", id="switched-stage-1"),)))
    assert "'switched-stage-1' is the id of what is attested" in error
    assert not errors(plan(prerequisites=(Item("easy", id="switched-stage-by-stage"),)))


def test_a_result_is_not_called_as_a_kpi_is() -> None:
    live = GoLive(kpis=(Criterion("calls"),), results=(Question("How many calls?", id="calls"),))
    (error,) = errors(plan(go_live=live))
    assert error == "go_live / results / 1 / id: 'calls' is the name of a KPI, which is recorded by it"


@pytest.mark.parametrize("stored", [False, True])
def test_a_plan_that_was_read_has_ids_of_its_own(stored: bool) -> None:
    written = {"title": "A plan", "toggles": {"a": "A"}, "prerequisites": ["Same", "Same"], "go_no_go": {}}
    read = read_plan(written, default_id="a-plan")
    assert not errors(msgspec.convert(msgspec.to_builtins(read), Plan) if stored else read)
