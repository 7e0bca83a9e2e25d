"""`cutover demo` and `cutover simulate`: a plan carried out on an imagined clock, or live.

One rule: neither touches a running service.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from events.plan.schema import Plan
from services.cli.asking import caller
from services.cli.planfile import load
from services.cli.plans import PlanPath
from services.cli.screen import WANTING, AsJson, bullets, out, print_json, say
from services.cli.times import local, span
from services.cli.wording import PLANS, RUNNING
from services.client import CannotAsk
from services.plan.simulate import Happening, Simulation

PACE = re.compile(r"(\d+(?:\.\d+)?)(ms|s)?")


def add_showing(app: typer.Typer) -> None:
    """Add both."""
    example = "Example: cutover simulate plans/vaos-service-integration.yaml --start 2022-07-29"
    app.command(epilog=example, rich_help_panel=PLANS)(simulate)
    app.command(epilog="Example: cutover demo --breach --pace 1s", rich_help_panel=RUNNING)(demo)


def simulate(
    ctx: typer.Context,
    file: PlanPath,
    start: Annotated[
        str, typer.Option(help="The day it begins, like 2022-07-29; by default the plan's deploy date, else today.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run a plan on an imagined clock: what would happen when, and where it would wait for whom.

    The imagined people act at once, so this is the earliest it could happen. Exit code 1 if the plan, as it stands,
    cannot reach its end.
    """
    from services.plan.simulate import simulate as run

    plan = load(file).plan
    found = run(plan, _start(plan, start, caller(ctx).now()))
    if as_json:
        print_json({"sound": found.sound, "simulation": found})
    else:
        _show(found)
    if not found.sound:
        raise typer.Exit(WANTING)


def _start(plan: Plan, asked: str, now: datetime) -> datetime:
    """The morning of the day asked for, in the plan's zone."""
    zone = ZoneInfo(plan.time_zone)
    day = asked or (plan.deploy.date.first if plan.deploy.date else "") or f"{now.astimezone(zone):%Y-%m-%d}"
    try:
        begins = datetime.fromisoformat(day)
    except ValueError as error:
        raise CannotAsk(f"--start: expected a day like 2022-07-29, found {asked!r}") from error
    if begins.tzinfo is None:
        begins = begins.replace(tzinfo=zone)
    return begins.replace(hour=9) if len(day) == len("2022-07-29") else begins


def _show(found: Simulation) -> None:
    console = out()
    say(f"{found.title} ({found.id}), simulated", "bold")
    for heading, lines in groupby(found.timeline, key=lambda line: _heading(line, found.time_zone)):
        console.print(Text(f"\n{heading}", style="bold"))
        console.print(_deeds(lines))
    console.print()
    _verdict(found)


def _heading(line: Happening, zone: str) -> str:
    return f"{local(line.at, zone)}: {line.phase.replace('_', ' ')}, on for {line.exposure}"


def _deeds(lines: Iterable[Happening]) -> Table:
    """Who does what; what waits and what is a hole says so in the first column."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=26, overflow="fold")
    grid.add_column(overflow="fold")
    for line in lines:
        who = {"by itself": "by itself", "wait": "(waits)", "hole": "HOLE"}.get(line.kind, line.who)
        style = {"wait": "dim", "hole": "bold"}.get(line.kind, "")
        grid.add_row(Text(f"  {who}", style=style), Text(line.what, style=style))
    return grid


def _verdict(found: Simulation) -> None:
    reached = (
        f"The plan reaches {found.phase.replace('_', ' ')}, at the earliest after {span(found.ends - found.begins)}"
    )
    if found.sound:
        say(f"{reached}: {local(found.ends, found.time_zone)}.", "bold")
        return
    if found.phase == "closed":
        say(f"{reached}, but only once its {len(found.holes)} holes are filled:", "bold")
    else:
        say(f"The plan does not get beyond {found.phase.replace('_', ' ')}:", "bold")
    out().print(bullets(found.holes))


def demo(
    breach: Annotated[
        bool, typer.Option("--breach", help="A criterion fails after the cutover: halt, roll back, try again, succeed.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option("--live", help="In real time: Prometheus measures a real service, CI's events tell of deploys."),
    ] = False,
    pace: Annotated[str, typer.Option(help="The pause between steps, like 1s or 200ms; 0 for none.")] = "0.3s",
    report: Annotated[
        Path | None,
        typer.Option(
            help="The folder for the report of how it went; by default a new temporary one.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch a real release plan being carried out, from adoption to closed, on an imagined clock.

    Everything runs in this process, in a temporary folder that is removed at the end; the report is kept, and it is
    said where. With --live the plan is one of seconds instead of days, and Prometheus must be installed. With --json
    the story is told on stderr, and stdout holds how it ended.
    """
    match = PACE.fullmatch(pace.strip())
    if match is None:
        raise CannotAsk(f"--pace: expected a time like 1s or 200ms, found {pace!r}")
    from services.demo import play, play_live

    told = play_live if live else play
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1)
    if not as_json:
        told(breach=breach, pace=seconds, report=report)
        return
    with redirect_stdout(sys.stderr):
        ending = told(breach=breach, pace=seconds, report=report)
    print_json(ending)
