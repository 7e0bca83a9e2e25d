"""`cutover events`: the records as they come.

One rule: every record is printed once and in order, however often the service goes away meanwhile.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import msgspec
import typer

from events.facts import Fact
from events.plan.schema import Plan
from projections.sentences import sentence, texts
from services.cli.asking import client
from services.cli.audit import trail
from services.cli.screen import AsJson, err, out, say
from services.cli.wording import READING
from services.client import CannotAsk, Client, Json, Refused

PAUSE = 1.0  # seconds until a service that is away is asked again


def add_events(app: typer.Typer) -> None:
    """Add the command."""
    example = "Example: cutover events vaos-service-integration --follow"
    app.command("events", epilog=example, rich_help_panel=READING)(events)


def events(
    ctx: typer.Context,
    rollout: Annotated[str, typer.Argument(metavar="[ROLLOUT]", help="The rollout's id; without one, all.")] = "",
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and show records as they come; without --after, only new ones.")
    ] = False,
    after: Annotated[int | None, typer.Option(min=0, help="Only records after this revision.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the records of the log as they come; with --json, a CloudEvent a line."""
    service = client(ctx, quiet=True)
    anything, names = False, Names(service)
    with suppress(KeyboardInterrupt):  # Ctrl-C is how following ends
        found = _followed(service, rollout, after) if follow else _held(service, rollout, after or 0)
        for event in found:
            _show(event, names, as_json=as_json, with_rollout=not rollout)
            anything = True
    if not (anything or follow or as_json):
        say(f"Nothing has happened since revision {after}." if after else "Nothing has happened yet.")


def _held(service: Client, rollout: str, after: int) -> Iterator[Json]:
    """What is there now."""
    return (event for _, event in service.events(rollout, after=after) if event)


def _followed(service: Client, rollout: str, after: int | None) -> Iterator[Json]:
    """What is there and what comes. A service that goes away is waited for, and that is said once."""
    away = False
    while True:
        try:
            for revision, event in service.events(rollout, after=after, follow=True):
                after, away = revision, False
                if event:
                    yield event
        except CannotAsk as error:
            if after is None or 400 <= error.problem.get("status", 500) < 500:
                raise
            if not away:
                say(f"{str(error).rstrip('.')}. Waiting for it, at revision {after}.", "dim", to=err())
            away = True
        time.sleep(PAUSE)


class Names:
    """What the items of each rollout's plan say, by their ids: asked for once, and again when a plan was revised."""

    def __init__(self, service: Client) -> None:
        self._service = service
        self._known: dict[str, dict[str, str]] = {}

    def of(self, rollout: str, facts: list[Json]) -> dict[str, str]:
        """The texts by which these facts are told. Ids are told where the service cannot be asked."""
        if rollout not in self._known or any(fact["fact"] == "plan_revised" for fact in facts):
            with suppress(CannotAsk, Refused):
                now = texts(msgspec.convert(self._service.plan(rollout), Plan))
                self._known[rollout] = self._known.get(rollout, {}) | now
        return self._known.get(rollout, {})


def _show(event: Json, names: Names, *, as_json: bool, with_rollout: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    elif "data" not in event:
        say(f"Revision {event['revision']} of {event['rollout']} cannot be read: {event['why']}", to=err())
    else:
        for lines in trail(_lines(event, names), with_rollout=with_rollout):
            out().print(lines)
    sys.stdout.flush()


def _lines(event: Json, names: Names) -> list[Json]:
    """The record as the trail shows it: a line a fact."""
    content = event["data"]["subject"]["content"]
    who = content["who"]
    head = {"rollout": event["subject"], "when": event["time"], "outcome": "accepted", **who, **content}
    said = names.of(event["subject"], content["facts"])
    return [head | {"says": _says(fact, said)} for fact in content["facts"]]


def _says(fact: Json, names: dict[str, str]) -> str:
    """The fact's sentence; of an adopted plan an event holds the title alone."""
    if fact["fact"] == "plan_adopted":
        return f"The plan '{fact['plan']['title']}' is adopted"
    return sentence(msgspec.convert(fact, Fact), names)
