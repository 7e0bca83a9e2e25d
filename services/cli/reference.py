"""docs/reference/cli.md and commands.md, made from the commands themselves.

One rule: the committed files are what this makes; a test says when they are not. `python -m services.cli.reference`
writes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import typer

from events.plan.schema import Plan
from services.cli.screen import EXIT_CODES
from services.cli.verbs import COMMANDS, COMMON, own_fields
from services.cli.wording import FIELDS

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
MADE = "<!-- Made by `python -m services.cli.reference`. Do not edit. -->"
COMMON_WORDS = {
    "reason": "Why; kept with the record.",
    "note": "A remark to keep with the record.",
    "evidence": "What this is based on: a list of `{kind, source, text, ...}`.",
    "seen": "The revision the sender looked at; refused if what the command rests on has changed since.",
    "dry_run": "Say what would happen to whom, or what blocks it; write nothing.",
}


PLAN_WORDS = "The plan: the text of a plan file, or the plan as an object."


def files() -> dict[str, str]:
    """Each file's name and what belongs in it."""
    return {"cli.md": cli_reference(), "commands.md": command_reference()}


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be run, with the words that name it."""
    for name, found in getattr(command, "commands", {}).items():
        if hasattr(found, "commands"):
            yield from leaves(found, (*path, name))
        elif not found.hidden:
            yield (*path, name), found


def cli_reference() -> str:
    """The command line's reference, in Markdown."""
    from services.cli.app import app
    from services.cli.asking import FOUND_BY

    parts = [MADE, "# The command line", FOUND_BY, EXIT_CODES]
    parts.append("With `--json`, stdout holds one JSON value and nothing else; errors are words on stderr.")
    for path, command in leaves(typer.main.get_command(app)):
        parts += _command(path, command)
    return "\n\n".join(parts) + "\n"


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    name = " ".join(path)
    yield f"## cutover {name}"
    yield inspect.cleandoc(command.help or "")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join((f"cutover {name}", *(_argument(p) for p in arguments), *(["[OPTIONS]"] if options else [])))
    yield f"```\n{usage}\n```"
    rows = [(f"`{_argument(p)}`", p) for p in arguments] + [(_option(p), p) for p in options]
    if rows:
        yield "\n".join(("| | |", "|---|---|", *(f"| {what} | {_cell(_words(p))} |" for what, p in rows)))
    yield f"{command.epilog.replace('Example: ', 'Example: `', 1)}`"


def _argument(param: Any) -> str:
    text = (param.metavar or param.name.upper()).strip("[]")
    return text if param.required else f"[{text}]"


def _option(param: Any) -> str:
    value = "" if param.is_flag else f" {_type(param)}"
    return f"`{' '.join(param.opts)}{value}`"


def _type(param: Any) -> str:
    choices = getattr(param.type, "choices", None)
    return "|".join(map(str, choices)) if choices else str(param.type.name).upper()


def _words(param: Any) -> str:
    choices = getattr(param.type, "choices", None)
    listed = f" One of: {', '.join(map(str, choices))}." if choices and param.param_type_name == "argument" else ""
    default = f" Default: {param.default}." if param.default not in (None, "", False, ()) else ""
    return f"{param.help or ''}{listed}{default}"


def command_reference() -> str:
    """The commands as HTTP and NATS take them, in Markdown."""
    parts = [
        MADE,
        "# Commands",
        'What may be asked of a rollout: `POST /v1/rollouts/{id}/commands` with `{"type": "...", ...}` and an '
        "`Idempotency-Key`. The command line has a verb for each (see [the command line](cli.md)).",
        "Every command may also carry:",
        "\n".join(("| field | |", "|---|---|", *(f"| `{n}` | {COMMON_WORDS[n]} |" for n in COMMON))),
    ]
    for tag, command in COMMANDS.items():
        parts += [f"## {tag}", inspect.getdoc(command) or ""]
        if rows := [_field(field) for field in own_fields(command)]:
            parts.append("\n".join(("| field | type | |", "|---|---|---|", *rows)))
    return "\n\n".join(parts) + "\n"


def _field(field: msgspec.structs.FieldInfo) -> str:
    needed = "**required.** " if field.required else ""
    words = PLAN_WORDS if field.type is Plan else FIELDS[field.name]
    default = f" Default: `{field.default}`." if not field.required and field.default else ""
    return f"| `{field.name}` | {_cell(_named(field.type))} | {needed}{_cell(words)}{default} |"


def _named(kind: Any) -> str:
    """A field's type in words of JSON."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {_named(get_args(kind)[0])}"
    known = [part for part in get_args(kind) if part is not type(None)]
    if known and get_origin(kind) is not None:
        return " or ".join(map(_named, known))
    return {"str": "text", "WorkflowResult": "`{workflow, done, load_times, comments, errors, waived}`"}.get(
        kind.__name__, f"a {kind.__name__.lower()}"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write() -> None:
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
