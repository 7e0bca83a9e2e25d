"""One verb a command, made from the command's own struct.

One rule: nothing is listed twice. Required fields are arguments in their order, the others options; help is the
struct's docstring. What may be asked is `rollout/commands.py` and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer

from events.plan.schema import Plan
from services.cli.answers import show
from services.cli.asking import client
from services.cli.planfile import load_with_text
from services.cli.screen import AsJson
from services.cli.telling import show_telling
from services.cli.wording import FIELDS, VERBS
from services.cli.workflows import parse_workflows
from services.client import Json
from services.rollout.commands import INSIDE, Adopt, Command

COMMANDS: dict[str, type[Any]] = {
    command.__struct_config__.tag: command for command in get_args(Command) if command not in INSIDE
}
COMMON = ("reason", "note", "evidence", "seen", "dry_run")
BY_PROGRAMS = ("measurement",)  # fields that nobody types
RENAMED = {"workflows": "--workflow", "purpose": "--for"}

Rollout = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why; kept with the record.", show_default=False)]
Note = Annotated[str, typer.Option(help="A remark to keep with the record.", show_default=False)]
Seen = Annotated[
    int | None,
    typer.Option(help="The revision you looked at; refused if what this rests on has changed since."),
]
Links = Annotated[
    list[str] | None,
    typer.Option("--evidence", help="What this is based on: a link, or a sentence. May be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen to whom, or what blocks it.")]
CommandId = Annotated[
    str,
    typer.Option(help="Your own id of this command; the same id again gets the first answer.", show_default=False),
]
ENDINGS: dict[str, Any] = {
    "reason": (Reason, ""),
    "note": (Note, ""),
    "evidence": (Links, None),
    "seen": (Seen, None),
    "dry_run": (DryRun, False),
    "command_id": (CommandId, ""),
    "as_json": (AsJson, False),
}


def add_verbs(app: typer.Typer) -> None:
    """Add a verb for every command that a person or a program outside may send."""
    for tag, (panel, example) in VERBS.items():
        name = tag.replace("_", "-")
        app.command(
            name,
            help=inspect.getdoc(COMMANDS[tag]),
            epilog=f"Example: cutover {name} {example}",
            rich_help_panel=panel,
        )(_verb(tag, COMMANDS[tag]))


def own_fields(command: type[Any]) -> list[msgspec.structs.FieldInfo]:
    """The fields of this command alone, required ones first."""
    fields = [field for field in msgspec.structs.fields(command) if field.name not in (*COMMON, *BY_PROGRAMS)]
    return sorted(fields, key=lambda field: not field.required)


def _verb(tag: str, command: type[Any]) -> Callable[..., None]:
    def run(ctx: typer.Context, **given: Any) -> None:
        sending = {name: given.pop(name) for name in ("command_id", "as_json")}
        rollout = given.pop("rollout", "")
        if "plan" in given:
            plan, given["plan"] = load_with_text(given["plan"], rollout)
            rollout = rollout or plan.id
        answer = client(ctx).command(rollout, _message(tag, given), sending["command_id"])
        show(ctx, rollout, answer, as_json=sending["as_json"])
        if tag == "report_issue" and not sending["as_json"] and not given.get("dry_run"):
            show_telling(ctx, rollout, answer["revision"])

    run.__signature__ = inspect.Signature(_parameters(command))  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return run


def _parameters(command: type[Any]) -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    found = [inspect.Parameter("ctx", kind, annotation=typer.Context)]
    if command is not Adopt:
        found.append(inspect.Parameter("rollout", kind, annotation=Rollout))
    for field in own_fields(command):
        annotation, default = _asked(field)
        found.append(inspect.Parameter(field.name, kind, annotation=annotation, default=default))
    for name, (annotation, default) in ENDINGS.items():
        found.append(inspect.Parameter(name, kind, annotation=annotation, default=default))
    return found


def _asked(field: msgspec.structs.FieldInfo) -> tuple[Any, Any]:
    """A field as typer is to ask for it: its annotation and its default."""
    words = FIELDS[field.name]
    if field.type is Plan:
        return Annotated[Path, typer.Argument(metavar="FILE", help=words, show_default=False)], inspect.Parameter.empty
    if field.required:
        metavar = field.name.upper() if field.type is str else None
        return Annotated[
            field.type, typer.Argument(metavar=metavar, help=words, show_default=False)
        ], inspect.Parameter.empty
    if field.name == "workflows":
        return Annotated[list[str] | None, typer.Option(RENAMED[field.name], help=words)], None
    default = field.default
    if field.name in RENAMED:
        return Annotated[field.type, typer.Option(RENAMED[field.name], help=words, show_default=False)], default
    return Annotated[field.type, typer.Option(help=words, show_default=bool(default))], default


def _message(tag: str, given: dict[str, Any]) -> dict[str, Any]:
    """The command as it is sent: what was said, in the struct's own fields; options left alone are left out."""
    needed = {field.name for field in own_fields(COMMANDS[tag]) if field.required}
    evidence = [_evidence(tag, text) for text in given.pop("evidence") or ()]
    message: dict[str, Any] = {"type": tag}
    for name, value in given.items():
        if name == "workflows":
            message |= {"workflows": parse_workflows(value)} if value else {}
        elif name in needed or not (value is None or value is False or value == ""):
            message[name] = value
    return message | ({"evidence": evidence} if evidence else {})


def _evidence(tag: str, text: str) -> Json:
    """A link stays a link; anything else is somebody's word. What backs a deploy is from CI."""
    link = text.startswith(("https://", "http://"))
    kind = "ci" if tag == "report_deploy" else "link" if link else "answer"
    return {"kind": kind, "source" if link else "text": text}
