"""The generated parts of the documents: `make docs` writes them, a test says when they are not up to date.

One rule: what can be read off the code is not typed twice. Benchmarks are the exception: `make bench ARGS=--save`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from events.plan import schema
from events.plan.written import starter
from services import asyncapi
from services.rollout.diagram import mermaid
from services.rollout.phases import TRANSITIONS

ROOT = Path(__file__).resolve().parents[1]
PICTURE = re.compile(r"<!-- phases -->.*?<!-- /phases -->", re.DOTALL)
MADE = "<!-- Made by `make docs`. Do not edit. -->"
GUARDS = {
    "enter": "`enter`",
    "ready_for_deploy": "no gaps in the plan's `deploy`, its `before` attested",
    "testing_is_planned": "the plan does not waive testing",
    "testing_is_waived": "the plan waives testing",
    "everything_answered": "every result and question of the plan answered, snapshots taken",
    "reason_given": "a reason",
    "prerequisites_hold": "the prerequisites hold, once anybody may have the toggles on",
}


def pages() -> dict[Path, str]:
    """Each file that is generated, wholly or in part, and what it should be."""
    readme = ROOT / "README.md"
    return {
        readme: PICTURE.sub(lambda _: picture(), readme.read_text(encoding="utf-8")),
        ROOT / "docs/reference/phases.md": phases(),
        ROOT / "docs/reference/plan.md": plan_words(),
        ROOT / "docs/reference/asyncapi.json": nats(),
    }


def nats() -> str:
    """The NATS side, as AsyncAPI."""
    return msgspec.json.format(msgspec.json.encode(asyncapi.document()), indent=2).decode() + "\n"


def picture() -> str:
    """The phases, drawn from the table, between the marks that a document keeps."""
    return f"<!-- phases -->\n```mermaid\n{mermaid()}```\n<!-- /phases -->"


def phases() -> str:
    """The table of moves, and its picture."""
    rows = [
        f"| `{move}` | {', '.join(sources)} | {'same' if to == '=' else to} | {_needs(guards)} |"
        for move, sources, to, guards in TRANSITIONS
    ]
    parts = [
        MADE,
        "# Phases and moves",
        picture(),
        "Drawn, like the table below, from the one in `services/rollout/phases.py`, which is what runs.",
        "\n".join(["| move | from | to | needs |", "|---|---|---|---|", *rows]),
        "`enter` is the one guard of all promotions. To leave a step: its length is over, its criteria passed on data "
        "of its full time, its answers are recorded; of testing also its sessions and workflows. To enter the next: no "
        "gaps in the plan for it, its `before` (for the first exposure: the prerequisites) attested, a standing go "
        "where the plan asks for one, not halted, not frozen.",
        "A move that is refused names everything that is missing. `cutover status` and `GET /v1/rollouts/{id}` list "
        "the same for the next move without trying. A deploy while users have the toggles on is recorded without a "
        "move and voids the standing go.",
        "The watch starts when all of the plan's services have reported. A rollback switches toggles off and takes no "
        "code away, so after one the new version of a single service starts it. What failed does not come back to more "
        "users than had it, until there is a new deploy.",
    ]
    return "\n\n".join(parts) + "\n"


def _needs(guards: tuple[str, ...]) -> str:
    return "; ".join(GUARDS[guard] for guard in guards) or "nothing"


# -- the words of a plan


def plan_words() -> str:
    """The starter, then every part of a plan with its fields."""
    parts = [
        MADE,
        "# The words of a plan",
        "A plan file is YAML 1.2 or JSON. This is what `cutover plan new` writes; an editor can complete the rest from "
        "`cutover plan schema`.",
        f"```yaml\n{starter().strip()}\n```",
        "## Parts and fields",
        "A part may be written shorter than here: a sentence where an item, a question or a criterion is meant, "
        '"24 hours" for a span of time, "5s" or "5%" for a quantity, "TBD" for what is not known yet. In the log a '
        "plan stands in this form, with spans in seconds.",
    ]
    for part in _parts(schema.Plan):
        parts += [f"### {part.__name__}", inspect.getdoc(part) or "", _fields(part)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _parts(root: type[Struct]) -> list[type[Struct]]:
    """The plan and every part reachable from it, each once, in the order of their first mention."""
    found = [root]
    for part in found:  # grows while it is walked
        found += [each for each in _mentioned(part) if each not in found]
    return found


def _mentioned(part: type[Struct]) -> list[type[Struct]]:
    seen: list[type[Struct]] = []
    for hint in get_type_hints(part).values():
        seen += [each for each in _structs(hint) if each not in seen]
    return seen


def _structs(hint: Any) -> Iterator[type[Struct]]:
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for inner in get_args(hint):
        yield from _structs(inner)


def _fields(part: type[Struct]) -> str:
    hints = get_type_hints(part)
    lines = ["| field | kind | default |", "|---|---|---|"]
    for field in msgspec.structs.fields(part):
        lines.append(f"| `{field.name}` | {_kind(hints[field.name])} | {_default(field)} |")
    return "\n".join(lines)


def _kind(hint: Any) -> str:
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in inner if choice)
    if get_origin(hint) is tuple:
        return f"list of {_kind(inner[0])}"
    if get_origin(hint) is dict:
        return f"name: {_kind(inner[1])}"
    if inner:
        return " or ".join(_kind(each) for each in inner if each is not type(None))
    names = {str: "text", int: "whole number", float: "number", bool: "true, false"}
    return names.get(hint, f"[{hint.__name__}](#{hint.__name__.lower()})")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "**required**"
    if isinstance(field.default, (str, int, float, bool)) and field.default != "":
        return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
    return ""


def main() -> None:
    """Write them all."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
