"""The blanks a plan's author leaves, and the step that each of them blocks.

One rule: a placeholder is never a value. It is recorded where it stands and blocks entering its own step only.
"""

from __future__ import annotations

import re
from typing import Literal

from events.plan.schema import Plan

Path = tuple[str | int, ...]

_WHOLE = re.compile(
    r"""^(?:
      (?:TBD|TBC|TODO|FIXME)\b.*           # "TBD by Office of Community Care"
    | (?:xx+\s*)?lorem\s+ipsum.*
    | \\?\[ [^\[\]()]* \]                  # "[FILL_IN]", "\[link here\]"
    | <\s*[A-Za-z][A-Za-z _-]*\s*>         # "<your team>"
    | (?:mm|m|xx)/(?:dd|d|xx)(?:/(?:yyyy|yy|xxxx|xx))?
    | yyyy-mm-dd
    | x+ | \?+ | _+ | \.\.\.+ | …
    | (?:x+|\?+)\s*%
    )$""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_PART = re.compile(  # [SPAN] belongs to a query
    r"\b(?:TBD|TBC|TODO|FIXME|FILL_IN)\b|\[(?!SPAN\])[A-Z][A-Z _-]+\](?!\()|\b[Ll]orem ipsum\b|\bmm/dd/yy|\?\?\?"
)


def placeholder(text: str) -> Literal["", "whole", "part"]:
    """Whether nothing is written here yet ("whole"), or something around a blank ("part")."""
    bare = re.sub(r"\\([\[\]])", r"\1", text.strip().strip("_*").strip())
    if _WHOLE.match(bare):
        return "whole"
    return "part" if _PART.search(text) else ""


def step_of(path: Path, plan: Plan) -> str:
    """The step that a blank at this path blocks: "code_deploy", ..., "stage-2", "go_live", "close"."""
    part = str(path[0]) if path else ""
    name = str(path[1]) if len(path) > 1 else ""
    plain = {
        "deploy": "code_deploy",
        "testing": "veteran_testing",
        "go_live": "go_live",
        "post_launch_questions": "close",
        "tasks": "close",
        "links": "close",
    }
    if part in plain:
        return plain[part]
    if part == "rollout" and name == "stages" and len(path) > 2 and isinstance(path[2], int):
        return f"stage-{path[2] + 1}"
    if part == "criteria":
        return _first_use(name, plan)
    if part == "groups":
        return next((f"stage-{n}" for n, s in enumerate(plan.rollout.stages, 1) if s.group == name), "stage-1")
    if part == "go_no_go":
        return _first_decision(plan.go_no_go.before)
    return "stage-1"


def _first_use(criterion: str, plan: Plan) -> str:
    watched = {name for watch in plan.deploy.watch for name in watch.criteria}
    uses = [("code_deploy", {*plan.deploy.criteria, *watched}), ("veteran_testing", set(plan.testing.criteria))]
    uses.append(("stage-1", set(plan.rollout.criteria)))
    uses += [(f"stage-{n}", set(stage.criteria)) for n, stage in enumerate(plan.rollout.stages, 1)]
    uses.append(("go_live", set(plan.go_live.criteria)))
    return next((step for step, names in uses if criterion in names), "stage-1")


def _first_decision(before: tuple[str, ...]) -> str:
    if "testing" in before:
        return "veteran_testing"
    return "go_live" if before == ("go live",) else "stage-1"
