"""`cutover explain`: what a user got for a toggle, and which record made it so.

One rule: who is asked about is never printed beside what says that they are a tester by another name than was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.cli.answers import phase_words
from services.cli.asking import caller, client
from services.cli.asof import both, point
from services.cli.audit import readable
from services.cli.screen import AsJson, out, print_json, say
from services.cli.times import instant
from services.cli.wording import READING
from services.client import CannotAsk, Client, Json


def add_explaining(app: typer.Typer) -> None:
    """Add the question."""
    example = 'Example: cutover explain va_online_scheduling --user user-3141 --at "2022-07-29 14:03"'
    app.command("explain", epilog=example, rich_help_panel=READING)(explain)


def explain(
    ctx: typer.Context,
    toggle: Annotated[str, typer.Argument(metavar="TOGGLE", help="The toggle's key.", show_default=False)],
    user: Annotated[str, typer.Option(help="The user's id; without one, an unknown visitor.")] = "",
    at: Annotated[
        str,
        typer.Option(
            help='When: "14:03" (today), "2022-07-29 14:03" (in the plan\'s zone), an instant with an offset, or a '
            "revision; by default now.",
            show_default=False,
        ),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="What the application sent along about the user, as NAME=VALUE; repeat for each."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a user got for a toggle at a time, why, and which record made it so.

    It goes by the log. Readers hear of a record a moment after it was written.
    """
    service = client(ctx, quiet=True)
    when = point(at, "--at", _zone_of(service, toggle), caller(ctx).now()) if at else ""
    found = service.explain(toggle, user, when, _attributes(attribute or ()))
    if as_json:
        print_json(found)
    else:
        _show(found, user or "an unknown visitor")


def _attributes(given: list[str] | tuple[()]) -> dict[str, str]:
    strays = [each for each in given if "=" not in each]
    if strays:
        raise CannotAsk(f"--attribute: expected NAME=VALUE, found {strays[0]!r}")
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def _zone_of(service: Client, toggle: str) -> Callable[[], str]:
    """The zone of the plan that has the toggle now, or had it last; UTC where none is known."""

    @cache
    def zone() -> str:
        return str(service.explain(toggle)["time_zone"])

    return zone


def _show(found: Json, who: str) -> None:
    answered = {True: "ON", False: "OFF", None: "NOT KNOWN" if found["why"] == "erased" else "NOT ANSWERED"}
    say(f"{found['toggle']} was {answered[found['value']]} for {who}", "bold")
    say(f"at {both(instant(found['at']), found['time_zone'])}.")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, words in _facts(found):
        grid.add_row(f"  {name}", Text(words))
    out().print(grid)
    for caution in found["cautions"]:
        say(caution, "dim")


def _facts(found: Json) -> list[tuple[str, str]]:
    lines = [("Why", f"{found['says'][:1].upper()}{found['says'][1:]}.")]
    zone = found["time_zone"]
    for window in found["windows"]:
        closes = both(instant(window["closes"]), zone) if window["closes"] else "testing ends"
        lines.append(("Window", f"{window['session']}: from {both(instant(window['opens']), zone)} until {closes}"))
    if found["rollout"]:
        lines.append(("Rollout", _rollout(found)))
    if record := found["record"]:
        by = ", ".join(record["titles"]) or record["role"].replace("_", " ")
        lines.append(("Made so by", f"revision {record['revision']}, {both(instant(record['when']), zone)}"))
        lines.append(("", f"{record['subject']} ({by}): {record['command'].replace('_', ' ')}"))
        lines += [("", says) for says in record["says"]]
        lines += [("", f"{name}: {readable(record[field])}") for name, field in SAID if record[field]]
    return lines


SAID = (("Reason", "reason"), ("Note", "note"))


def _rollout(found: Json) -> str:
    parts = [found["rollout"]]
    if found["phase"]:
        parts.append(phase_words(found["phase"]) + (f", stage {found['stage']}" if found["stage"] else ""))
        parts.append(f"on for {found['exposure']}" + (", halted" if found["halted"] else ""))
        parts.append(f"at its revision {found['revision']}")
    return ", ".join(parts)
