"""`cutover plan`: a release plan before it is adopted.

One rule: no service is needed; a plan is judged by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from events.plan.checks import Finding as Found
from events.plan.checks import check as findings_of
from events.plan.written import json_schema, starter
from services.cli.planfile import load
from services.cli.screen import WANTING, AsJson, Finding, bullets, out, print_json, say
from services.client import CannotAsk
from services.plan.file import PlanFile

plans = typer.Typer(help="Write and check release plans.", no_args_is_help=True)
PlanPath = Annotated[
    Path, typer.Argument(metavar="FILE", help="The plan, YAML or JSON; - reads it from stdin.", show_default=False)
]
KINDS = {
    "error": ("Errors: it cannot be adopted like this", "x"),
    "warning": ("Warnings", "!"),
    "question": ("Questions: is this what you mean?", "?"),
    "gap": ("Gaps: each blocks its own step until it is filled", "-"),
}


@plans.command(epilog="Example: cutover plan check plans/vaos-service-integration.yaml")
def check(file: PlanPath, as_json: AsJson = False) -> None:
    """Say what is wrong with a plan, in words, with the lines they stand in.

    Exit code 1 if it could not be adopted; gaps, warnings and questions alone are 0.
    """
    read = load(file)
    found = findings_of(read.plan)
    errors = [one for one in found if one.level == "error"]
    if as_json:
        print_json({"id": read.plan.id, "adoptable": not errors, "findings": [_data(read, one) for one in found]})
    else:
        _show(read, found)
    if errors:
        raise typer.Exit(WANTING)


def _show(read: PlanFile, found: tuple[Found, ...]) -> None:
    console = out()
    say(f"{read.plan.title} ({read.plan.id})", "bold")
    for level, (heading, mark) in KINDS.items():
        lines = [_line(read, one) for one in found if one.level == level]
        if lines:
            console.print(Text(f"\n{heading} ({len(lines)})", style="bold"))
            console.print(bullets(lines, mark))
    console.print()
    if any(one.level == "error" for one in found):
        say("It cannot be adopted like this.", "bold")
    elif any(one.level == "gap" for one in found):
        say("It can be adopted as a draft; the gaps are filled later, with cutover revise-plan.", "bold")
    else:
        say("It can be adopted.", "bold")


def _line(read: PlanFile, found: Found) -> str:
    line = read.line(found.path)
    return f"line {line}: {found.words()}" if line else found.words()


def _data(read: PlanFile, found: Found) -> dict[str, object]:
    return {
        "level": found.level,
        "line": read.line(found.path),
        "path": " / ".join(map(str, found.path)),
        "text": found.text,
    }


@plans.command(epilog="Example: cutover plan new my-release.yaml")
def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; without one, stdout.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a commented plan to start from."""
    text = starter()
    if file is None:
        print_json({"plan": text}) if as_json else typer.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError as error:
        raise Finding(f"{file} is already there; nothing was written.") from error
    except OSError as error:
        raise CannotAsk(f"Cannot write {file}: {error.strerror or error}") from error
    if as_json:
        print_json({"written": str(file)})
        return
    say(f"Wrote {file}. Fill it in, then: cutover plan check {file}")


@plans.command(epilog="Example: cutover plan schema > plan.schema.json")
def schema(as_json: AsJson = False) -> None:
    """Print the plan's JSON Schema, so that an editor completes what you type."""
    print_json(json_schema())
