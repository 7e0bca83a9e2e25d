"""Where a rollout stands, on one screen of 80 columns.

One rule: everything is said in words; colour and weight only repeat it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.answers import phase_words
from services.cli.asof import both
from services.cli.screen import bullets
from services.cli.times import instant, local, span, until
from services.client import Json

TRACK = ("planned", "code_deploy", "veteran_testing", "cutover", "go_live", "closed")


def panel(status: Json, now: datetime) -> Panel:
    """The whole status; `now` is the service's time. What was asked as of then is told as of then."""
    now = instant(status["as_of"]) if status.get("as_of") else now
    parts: list[RenderableType] = [_track(status["phase"]), Text(""), _facts(status, now)]
    parts += [Text(""), *_blockers(status)] if status["phase"] not in ("closed", "cancelled") else []
    return Panel(
        Group(*parts),
        box=ROUNDED,
        title=Text(status.get("title") or status["id"], style="bold"),
        title_align="left",
        subtitle=Text(f"{status['id']}, revision {status['revision']}"),
        subtitle_align="right",
        padding=(1, 2),
    )


def _track(phase: str) -> Text:
    """The phases in a row, the current one in brackets; off the track, what became of it."""
    line = Text()
    for name in (*TRACK, *(() if phase in TRACK else (phase,))):
        if line:
            line.append(" > " if name in TRACK else "   ", style="dim")
        if name == phase:
            line.append(f"[{phase_words(name)}]", style="bold reverse")
        else:
            line.append(phase_words(name), style="dim")
    return line


def _facts(status: Json, now: datetime) -> Table:
    zone = status.get("time_zone", "UTC")
    entered = instant(status["entered_at"])
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    if status.get("as_of"):
        grid.add_row("AS OF", Text(both(now, zone)))
    grid.add_row("Phase", Text(_phase(status)))
    grid.add_row("Since", Text(f"{local(entered, zone)}, {_for(now - entered)}"))
    grid.add_row("On for", Text(_exposure(status)))
    if status.get("halted"):
        because = status.get("halted_because")
        grid.add_row("HALTED", Text("Nothing is promoted until it is resumed." + (f" {because}" if because else "")))
    if coming := status.get("next"):
        at = instant(coming["at"])
        grid.add_row("Next", Text(f"{coming['what']}, {until(at, now)} ({local(at, zone)})"))
    return grid


def _for(length: timedelta) -> str:
    return f"for {span(length)}" if length >= timedelta(minutes=1) else "just now"


def _phase(status: Json) -> str:
    several = status["phase"] == "cutover" and status.get("stages", 1) > 1
    stage = f", stage {status['stage']} of {status['stages']}" if several else ""
    return phase_words(status["phase"]) + stage


def _exposure(status: Json) -> str:
    exposure = str(status["exposure"])
    words = "testers, inside their windows" if exposure == "testers" else exposure
    count = len(status.get("toggles") or ())
    return f"{words} ({count} toggle{'' if count == 1 else 's'}, always together)" if count else words


def _blockers(status: Json) -> list[RenderableType]:
    move = str(status.get("next_move") or "").replace("_", "-")
    blockers, then = status.get("blockers") or (), bool(status.get("as_of"))
    if blockers:
        heading = f"What block{'ed' if then else 's'} {move or 'the next move'} ({len(blockers)})"
        return [Text(heading, style="bold"), bullets(blockers)]
    if not move:
        return [Text("No further move.")]
    if then:
        return [Text(f"Nothing blocked the next move then: {move}.")]
    return [Text("Nothing blocks the next move: ") + Text(f"cutover {move} {status['id']}", style="bold")]
