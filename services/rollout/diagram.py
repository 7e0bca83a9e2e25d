"""The picture of the phases, drawn by the `transitions` library from the table itself.

One rule: nobody draws it by hand; a test holds the documents to what this gives.
"""

from __future__ import annotations

from typing import Any

from transitions.extensions import GraphMachine

from services.rollout.phases import PHASES, TRANSITIONS
from services.rollout.state import ACTIVE


def mermaid() -> str:
    """A Mermaid state diagram of every move that leads to another phase, and of those that stay.

    The library's colours and its title are left out: the title is no front matter that Mermaid can read.
    """
    machine = GraphMachine(
        states=list(PHASES),
        transitions=_moves(),
        initial="planned",
        auto_transitions=False,
        graph_engine="mermaid",
    )
    graph: Any = machine.get_combined_graph()
    drawn = str(graph.source).splitlines()
    kept = [line.rstrip() for line in drawn if "-->" in line or line.startswith("stateDiagram")]
    return "\n".join(kept) + "\n"


def _moves() -> list[dict[str, Any]]:
    """The table's rows; moves that stay in their phase are drawn where they mean something (cutover's stages)."""
    staying = {"advance", "go_back"}
    return [
        {"trigger": move, "source": source, "dest": source if to == "=" else to}
        for move, sources, to, _ in TRANSITIONS
        for source in sources
        if to != "=" or (move in staying and source in ACTIVE)
    ]
