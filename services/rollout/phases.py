"""The phases and the moves between them: the table behind everything, run by the `transitions` library.

One rule: the table says what *may* happen; nothing happens here. The machine moves a throw-away `Move` (guards/),
whose guards collect every reason against it; the last condition of every row is that none was found.
"""

from __future__ import annotations

from typing import Any, get_args

from transitions import Machine

from events.facts import Phase
from services.rollout.state import ACTIVE

PHASES: tuple[Phase, ...] = get_args(Phase)

# move, phases it may be made from, phase it leads to ("=": none other), guards by name (methods of Move)
TRANSITIONS: tuple[tuple[str, tuple[Phase, ...], str, tuple[str, ...]], ...] = (
    ("report_deploy", ("planned", "rolled_back"), "code_deploy", ("ready_for_deploy",)),
    ("report_deploy", ACTIVE, "=", ()),
    ("start_testing", ("code_deploy",), "veteran_testing", ("testing_is_planned", "enter")),
    ("cut_over", ("veteran_testing",), "cutover", ("enter",)),
    ("cut_over", ("code_deploy",), "cutover", ("testing_is_waived", "enter")),
    ("cut_over", ("rolled_back",), "cutover", ("enter",)),
    ("advance", ("cutover",), "=", ("enter",)),
    ("go_back", ("cutover",), "=", ("reason_given",)),
    ("go_live", ("cutover",), "go_live", ("enter",)),
    ("close", ("go_live",), "closed", ("everything_answered",)),
    ("halt", ACTIVE, "=", ("reason_given",)),
    ("resume", ACTIVE, "=", ("reason_given", "prerequisites_hold")),
    ("roll_back", (*ACTIVE, "closed"), "rolled_back", ()),
    ("cancel", ("planned", "code_deploy", "rolled_back"), "cancelled", ("reason_given",)),
)


def _rows() -> list[dict[str, Any]]:
    return [
        {"trigger": move, "source": list(sources), "dest": to, "conditions": [*guards, "nothing_missing"]}
        for move, sources, to, guards in TRANSITIONS
    ]


RULES = Machine(
    model=None, states=list(PHASES), transitions=_rows(), initial="planned", auto_transitions=False, send_event=False
)
MOVES: tuple[str, ...] = tuple(RULES.events)


def sources(move: str) -> tuple[Phase, ...]:
    """The phases a move may be made from, in the order of the phases."""
    allowed = {phase for name, phases, _, _ in TRANSITIONS if name == move for phase in phases}
    return tuple(phase for phase in PHASES if phase in allowed)
