"""The table of moves is the design's: from which phases, to which."""

from __future__ import annotations

import pytest

from events.facts import Phase
from services.rollout.blockers import next_move
from services.rollout.phases import MOVES, PHASES, RULES, TRANSITIONS, sources
from services.rollout.state import ACTIVE

from .scenario import HISTORIES, given, plan_of, watched

DESIGN: dict[str, dict[tuple[Phase, ...], str]] = {
    "report_deploy": {("planned", "rolled_back"): "code_deploy", ACTIVE: "="},
    "start_testing": {("code_deploy",): "veteran_testing"},
    "cut_over": {("code_deploy", "veteran_testing", "rolled_back"): "cutover"},
    "advance": {("cutover",): "="},
    "go_back": {("cutover",): "="},
    "go_live": {("cutover",): "go_live"},
    "close": {("go_live",): "closed"},
    "halt": {ACTIVE: "="},
    "resume": {ACTIVE: "="},
    "roll_back": {("code_deploy", "veteran_testing", "cutover", "go_live", "closed"): "rolled_back"},
    "cancel": {("planned", "code_deploy", "rolled_back"): "cancelled"},
}


def test_the_table_has_the_design_s_moves_and_no_other() -> None:
    table = {(move, source, to) for move, phases, to, _ in TRANSITIONS for source in phases}
    design = {(m, source, to) for m, rows in DESIGN.items() for phases, to in rows.items() for source in phases}
    assert table == design
    assert set(MOVES) == set(DESIGN)


def test_a_move_has_one_row_for_each_phase() -> None:
    seen = [(move, source) for move, phases, _, _ in TRANSITIONS for source in phases]
    assert len(seen) == len(set(seen))


def test_the_one_guard_stands_behind_every_promotion() -> None:
    promotions = {"start_testing", "cut_over", "advance", "go_live"}
    assert {move for move, _, _, guards in TRANSITIONS if "enter" in guards} == promotions
    assert all("enter" in guards for move, _, _, guards in TRANSITIONS if move in promotions)


def test_no_move_jumps_past_the_guards() -> None:
    assert not any(name.startswith("to_") for name in RULES.events)


def test_nothing_leads_out_of_cancelled() -> None:
    assert not any("cancelled" in sources(move) for move in MOVES)


@pytest.mark.parametrize("history", list(HISTORIES))
def test_the_next_move_is_one_that_the_table_allows(history: str) -> None:
    story = HISTORIES[history]()
    move = next_move(story.state)
    assert move == "" or story.state.phase in sources(move)
    assert (move == "") == (story.state.phase == "closed")


def test_phases_are_listed_in_order() -> None:
    assert sources("roll_back") == tuple(p for p in PHASES if p in sources("roll_back"))
    assert next_move(given(watched(plan_of())).state) == "cut_over"
