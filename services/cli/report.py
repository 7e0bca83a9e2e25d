"""`cutover report` and `cutover kpis`: the release plan filled in, and its numbers.

One rule: what is written is what the service says, byte for byte; a file appears whole or not at all.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from services.cli.asking import caller, client
from services.cli.asof import AsOf
from services.cli.files import write_whole
from services.cli.reads import AtLeast, point_for
from services.cli.screen import AsJson, out, print_json, say
from services.cli.verbs import Rollout
from services.cli.wording import READING
from services.client import CannotAsk, Json

Format = Literal["md", "html"]
ENDINGS: dict[str, Format] = {".md": "md", ".markdown": "md", ".html": "html", ".htm": "html"}


def add_report(app: typer.Typer) -> None:
    """Add both."""
    example = "Example: cutover report vaos-service-integration -o report.html"
    app.command("report", epilog=example, rich_help_panel=READING)(report)
    app.command("kpis", epilog="Example: cutover kpis vaos-service-integration", rich_help_panel=READING)(kpis)


def report(
    ctx: typer.Context,
    rollout: Rollout,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file to write; by default stdout.", dir_okay=False, show_default=False
        ),
    ] = None,
    as_of: AsOf = "",
    shape: Annotated[
        Format | None,
        typer.Option("--format", help="By default what FILE's ending says, else md.", show_default=False),
    ] = None,
    at_least: AtLeast = 0,
    as_json: AsJson = False,
) -> None:
    """Fill in the release plan from the log: as Markdown, or as one page that needs nothing else.

    What is not known yet is marked. What testers said is in it only for admin, release manager and facilitator. With
    --json the report is a text in "report", or its file is named in "file".
    """
    service = client(ctx, quiet=True)
    form = shape or _by_ending(file)
    revision = at_least or caller(ctx).seen.get(rollout, 0)
    text = service.report(rollout, form, at_least=revision, as_of=point_for(ctx, service, rollout, as_of))
    if file is not None:
        write_whole(file, [text.encode()])
    if as_json:
        print_json({"format": form, "file": str(file)} if file else {"format": form, "report": text})
    elif file is None:
        sys.stdout.write(text)
    else:
        say(f"Written to {file}.", whole=True)


def _by_ending(file: Path | None) -> Format:
    if file is None:
        return "md"
    found = ENDINGS.get(file.suffix.lower())
    if found is None:
        raise CannotAsk(
            f"{file}: which form? Its ending should be one of {', '.join(ENDINGS)}; or say --format md or --format html"
        )
    return found


def kpis(
    ctx: typer.Context, rollout: Rollout, as_of: AsOf = "", at_least: AtLeast = 0, as_json: AsJson = False
) -> None:
    """Show what was measured and recorded, beside its target and what its snapshot froze."""
    service = client(ctx, quiet=True)
    revision = at_least or caller(ctx).seen.get(rollout, 0)
    found = service.kpis(rollout, at_least=revision, as_of=point_for(ctx, service, rollout, as_of))
    if as_json:
        print_json(found)
    elif not found["items"]:
        say(f"Nothing has been measured or recorded by revision {found['revision']}.")
    else:
        out().print(_table(found))


def _table(found: Json) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "what", "value", "target", "verdict", "revision"):
        table.add_column(name, justify="right" if name == "revision" else "left", overflow="fold")
    step = ""
    for row in found["items"]:
        value = row["value"] or "not known"
        if row["late"]:
            value += f" (late; frozen: {row['frozen'] or 'nothing'})"
        words = "" if row["of"] == step else row["of"].replace("_", " ")
        step = row["of"]
        cells = (words, row["item"], value, row["target"], row["verdict"] or "", str(row["revision"] or ""))
        table.add_row(*map(Text, cells))
    return table
