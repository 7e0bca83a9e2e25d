"""Questions about rollouts: list, status, flags.

One rule: reading never changes anything, and says at which revision it was true.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.answers import phase_words
from services.cli.asking import caller, client
from services.cli.asof import AsOf, both, point
from services.cli.screen import AsJson, out, print_json, say
from services.cli.statuspanel import panel
from services.cli.times import instant
from services.cli.verbs import Rollout
from services.cli.wording import READING
from services.client import CannotAsk, Client, Json

POLL = 1.0
AtLeast = Annotated[
    int, typer.Option(min=0, help="Wait until this revision is known, such as that of your last command.")
]


def add_reads(app: typer.Typer) -> None:
    """Add the questions."""
    app.command("list", epilog="Example: cutover list", rich_help_panel=READING)(rollouts)
    example = "Example: cutover status vaos-service-integration --watch"
    app.command("status", epilog=example, rich_help_panel=READING)(status)
    example = "Example: cutover flags vaos-service-integration --user user-3141"
    app.command("flags", epilog=example, rich_help_panel=READING)(flags)


def rollouts(ctx: typer.Context, as_of: AsOf = "", as_json: AsJson = False) -> None:
    """List every rollout: its phase, who has its toggles on, and since when. With --as-of times are in UTC."""
    then = point(as_of, "--as-of", lambda: "UTC", caller(ctx).now()) if as_of else ""
    found = client(ctx, quiet=True).rollouts(as_of=then)
    if as_json:
        print_json(found)
    elif not found and as_of:
        say("There was no rollout then.")
    elif not found:
        say("No rollout yet. Begin one with: cutover adopt FILE")
    else:
        out().print(_table(found))


def _table(found: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rollout", "phase", "on for", "since", "revision"):
        table.add_column(name, justify="right" if name == "revision" else "left", overflow="fold")
    for row in found:
        phase = phase_words(row["phase"]) + (" (halted)" if row.get("halted") else "")
        since = f"{instant(row['entered_at']):%Y-%m-%d}"
        table.add_row(*map(Text, (row["id"], phase, row["exposure"], since, str(row["revision"]))))
    return table


def status(
    ctx: typer.Context,
    rollout: Rollout,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and show changes as they come; with --json, a line for each.")
    ] = False,
    as_of: AsOf = "",
    at_least: AtLeast = 0,
    as_json: AsJson = False,
) -> None:
    """Show where a rollout stands, what comes next, and everything that blocks the next move."""
    service, now = client(ctx, quiet=True), caller(ctx).now
    if watch and as_of:
        raise CannotAsk("--watch and --as-of: the past does not change")
    at_least = at_least or caller(ctx).seen.get(rollout, 0)
    found = service.status(rollout, at_least=at_least, as_of=point_for(ctx, service, rollout, as_of))
    if watch:
        with suppress(KeyboardInterrupt):  # Ctrl-C is how watching ends
            _lines(service, found) if as_json else _live(service, found, now)
    elif as_json:
        print_json(found)
    else:
        out().print(panel(found, now()))


def point_for(ctx: typer.Context, service: Client, rollout: str, as_of: str) -> str:
    """The point asked for; without an offset in the zone of the rollout's plan. "": now."""
    return (
        point(as_of, "--as-of", lambda: str(service.status(rollout)["time_zone"]), caller(ctx).now()) if as_of else ""
    )


def _live(service: Client, found: Json, now: Callable[[], datetime]) -> None:
    """The panel, kept up to date; while the service is away, the last one with a word about it.

    Drawn anew only when something has changed: a panel higher than the terminal scrolls every time.
    """
    last: object = None
    away = ""
    with Live(console=out(), auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            if (current := (found, away, now().replace(second=0, microsecond=0))) != last:
                words = [Text(f"As it was last known. {away}", style="bold")] if away else []
                live.update(Group(panel(found, now()), *words), refresh=True)
            last = current
            time.sleep(POLL)
            try:
                found, away = service.status(found["id"]), ""
            except CannotAsk as error:
                away = str(error)


def _lines(service: Client, found: Json) -> None:
    """One line of JSON now, and one for every change."""
    last: Json = {}
    while True:
        if found != last:
            sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
            sys.stdout.flush()
        last = found
        time.sleep(POLL)
        with suppress(CannotAsk):
            found = service.status(found["id"])


def flags(
    ctx: typer.Context,
    rollout: Rollout,
    user: Annotated[str, typer.Option(help="The user's id; without one, an unknown visitor.")] = "",
    as_of: AsOf = "",
    at_least: AtLeast = 0,
    as_json: AsJson = False,
) -> None:
    """Show which of a rollout's toggles a user has on, now or as of then."""
    revision, service = at_least or caller(ctx).seen.get(rollout, 0), client(ctx, quiet=True)
    found = service.flags(rollout, user, at_least=revision, as_of=point_for(ctx, service, rollout, as_of))
    if as_json:
        print_json(found)
        return
    then = f" as of {both(instant(found['as_of']), 'UTC')}," if as_of else ""
    say(f"{user or 'An unknown visitor'},{then} at revision {found['revision']}:")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for key, value in found["flags"].items():
        grid.add_row(Text("  on " if value else "  off", style="bold" if value else "dim"), Text(key))
    out().print(grid)
