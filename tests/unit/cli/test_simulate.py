"""A plan on an imagined clock: what happens when, who is waited for, and which holes it has."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.plan.file import parse
from services.plan.simulate import Simulation, simulate

PLANS = Path(__file__).parents[3] / "plans"
START = datetime(2022, 7, 29, 13, tzinfo=UTC)

SMALL = """
title: A small release
toggles: {new_form: the new form}
prerequisites: [{text: The form is accessible, attested_by: Accessibility Lead}]
go_no_go: {decided_by: [Product Owner]}
deploy: {services: [web], watch: [{until: 24 hours}]}
testing: {waived: Tested in staging}
go_live: {kpis: [Completion], results_after: [1 week]}
"""


def simulated(text: str, *changes: tuple[str, str]) -> Simulation:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return simulate(parse(text, default_id="release"), START)


def deeds(found: Simulation) -> list[str]:
    return [f"{line.who} {line.what}".strip() for line in found.timeline]


def test_a_sound_plan_reaches_closed_and_every_person_acts_in_turn() -> None:
    found = simulated(SMALL)
    assert found.sound
    assert found.holes == ()
    said = deeds(found)
    parts = ("CI reports web as deployed", "Accessibility Lead attests: The form is accessible")
    moves = ("Product Owner decides go", "release manager cuts over", "release manager declares it live")
    at = [next(i for i, line in enumerate(said) if line.startswith(part)) for part in (*parts, *moves)]
    assert at == sorted(at)


def test_the_clock_jumps_to_what_is_waited_for() -> None:
    found = simulated(SMALL)
    assert found.ends - found.begins == timedelta(hours=24, weeks=1)
    waits = [line.what for line in found.timeline if line.kind == "wait"]
    assert [what.split(" until ")[0].split(" at ")[0] for what in waits] == [
        "code deployment lasts",
        "the 1 week results are due",
    ]


def test_nobody_has_the_group_on_before_the_cutover_and_then_everyone() -> None:
    exposures = [line.exposure for line in simulated(SMALL).timeline]
    assert list(dict.fromkeys(exposures)) == ["nobody", "everyone"]


def test_the_seeds_plan_waits_at_its_seven_blanks_and_is_sound_with_the_example_values() -> None:
    draft = simulate(parse((PLANS / "vaos-service-integration.yaml").read_bytes(), default_id="vaos"), START)
    assert draft.phase == "closed"
    assert not draft.sound
    assert len(draft.holes) == 7
    filled = (PLANS / "vaos-service-integration.example-values.yaml").read_bytes()
    assert simulate(parse(filled, default_id="vaos"), START).sound


@pytest.mark.parametrize("file", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_plan_reaches_closed_once_its_holes_are_filled(file: Path) -> None:
    assert simulate(parse(file.read_bytes(), default_id="example"), START).phase == "closed"


def test_a_plan_that_names_nobody_to_decide_has_a_hole() -> None:
    found = simulated(SMALL, ("go_no_go: {decided_by: [Product Owner]}", ""))
    assert len(found.holes) == 1
    assert "nobody is named to decide go" in found.holes[0]
    assert found.phase == "closed"


def test_a_plan_that_contradicts_itself_cannot_be_adopted() -> None:
    found = simulated(SMALL, ("deploy:", "criteria: {Odd: {below: 5, above: 9}}\ndeploy:"))
    assert found.phase == "planned"
    assert "can never pass" in found.holes[0]


def test_go_or_no_go_questions_are_answered_before_the_go() -> None:
    said = deeds(simulated(SMALL, ("[Product Owner]}", "[Product Owner], questions: ['Is support ready? yes/no']}")))
    answered = said.index("release manager answers: Is support ready?")
    assert answered < next(i for i, line in enumerate(said) if "decides go" in line)


def test_a_freeze_is_waited_out() -> None:
    text = SMALL + "freezes: [{first: 2022-07-30, last: 2022-08-02, why: Fiscal year}]\n"
    found = simulated(text)
    assert found.sound
    assert found.ends - found.begins > timedelta(days=4, weeks=1)


def test_the_command_prints_the_timeline_and_ends_1_where_the_plan_has_holes(tmp_path: Path) -> None:
    plan = tmp_path / "release.yaml"
    plan.write_text(SMALL)
    sound = CliRunner().invoke(app, ["simulate", str(plan), "--start", "2022-07-29"])
    assert sound.exit_code == 0
    assert "Fri 2022-07-29 09:00 UTC: planned, on for nobody" in sound.stdout
    assert "The plan reaches closed" in sound.stdout
    plan.write_text(SMALL.replace("go_no_go: {decided_by: [Product Owner]}", ""))
    holed = CliRunner().invoke(app, ["simulate", str(plan), "--json"])
    assert holed.exit_code == 1
    assert json.loads(holed.stdout)["sound"] is False


def test_a_start_that_is_no_day_is_exit_2(tmp_path: Path) -> None:
    plan = tmp_path / "release.yaml"
    plan.write_text(SMALL)
    assert CliRunner().invoke(app, ["simulate", str(plan), "--start", "soon"]).exit_code == 2
