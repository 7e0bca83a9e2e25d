"""What the command line prints, and how it ends.

One rule: with --json, stdout carries one JSON value and nothing else; errors are words on stderr in either case.
Meaning is never carried by colour alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from projections.report.document import seen
from services.client import CannotAsk, Refused

DONE, WANTING, UNASKED = 0, 1, 2
EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or found wanting; 2 could not be asked (usage, service not reached, not let in)."
)


def _remember(ctx: typer.Context, value: bool) -> bool:
    ctx.meta["cutover.json"] = value
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, and nothing else.", callback=_remember)]


class Finding(Exception):
    """What was asked about was found wanting: `text`, each of `reasons`, exit code 1. `data` is for --json."""

    def __init__(self, text: str, reasons: Iterable[str] = (), data: Any = None) -> None:
        super().__init__(text)
        self.reasons = tuple(reasons)
        self.data = data if data is not None else {"title": text, "reasons": self.reasons}


class Screen(Console):
    """A console on which whatever people wrote stays text: nothing in it moves the cursor, or turns its direction."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else seen(text), style, control)


def out() -> Console:
    """Stdout as it is now; made anew each time because tests and the demo put their own in its place."""
    return Screen(file=sys.stdout, highlight=False)


def err() -> Console:
    """Stderr as it is now."""
    return Screen(file=sys.stderr, highlight=False)


def print_json(value: Any) -> None:
    """One JSON value, indented, on stdout."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(text + "\n")


def say(text: str, style: str = "", *, to: Console | None = None, whole: bool = False) -> None:
    """One paragraph, wrapped; never read as markup. `whole`: not wrapped, because a path in it is to be copied."""
    (to or out()).print(Text(text, style=style), soft_wrap=whole)


def bullets(items: Iterable[str], mark: str = "-", indent: int = 2) -> Table:
    """A list whose long items are wrapped under their own first word."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=len(mark) + indent, justify="right")
    grid.add_column(overflow="fold")
    for item in items:
        grid.add_row(Text(mark), Text(item))
    return grid


class Ending(TyperGroup):
    """The root of all commands: turns what went wrong into words and an exit code, in one place."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as refused:
            self._end(ctx, str(refused), refused.reasons or (refused.detail,), refused.problem, WANTING)
        except Finding as finding:
            self._end(ctx, str(finding), finding.reasons, finding.data, WANTING)
        except CannotAsk as error:
            self._end(ctx, str(error), error.hints, error.problem, UNASKED)

    def _end(self, ctx: Any, text: str, reasons: Iterable[str], problem: Any, code: int) -> None:
        if ctx.meta.get("cutover.json"):
            print_json(problem)
        sys.stdout.flush()
        console = err()
        reasons = tuple(reason for reason in reasons if reason)
        say(text.rstrip(".") + (":" if reasons else "."), "bold", to=console)
        if reasons:
            console.print(bullets(reasons))
        raise typer.Exit(code)
