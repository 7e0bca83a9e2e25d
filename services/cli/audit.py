"""`cutover audit`: who did what, when, why and on which evidence; on the screen, or as a file.

One rule: on the screen a record stands as a whole, with all of its facts that match, or not at all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from events.facts import Phase, Role
from projections.audit import Outcome
from projections.sentences import PHASES, SEALED
from services.cli.asking import caller, client
from services.cli.asof import written
from services.cli.files import write_whole
from services.cli.reads import AtLeast
from services.cli.screen import AsJson, bullets, err, out, print_json, say
from services.cli.times import instant
from services.cli.wording import READING
from services.client import CannotAsk, Json

SHOWN = 20
FILTERS = "Which lines (all that are given must match)"
OUTPUT = "As a file"


def add_audit(app: typer.Typer) -> None:
    """Add the command."""
    example = 'Example: cutover audit vaos-service-integration --phase cutover --text "help desk"'
    app.command("audit", epilog=example, rich_help_panel=READING)(audit)


def _filter(words: str, *names: str) -> Any:
    return typer.Option(*names, help=words, rich_help_panel=FILTERS, show_default=False)


def audit(
    ctx: typer.Context,
    rollout: Annotated[str, typer.Argument(metavar="[ROLLOUT]", help="The rollout's id; without one, all.")] = "",
    person: Annotated[str | None, _filter("Who did it, by the name of their token.")] = None,
    role: Annotated[Role | None, _filter("What they may do.")] = None,
    title: Annotated[str | None, _filter("A title that they hold.")] = None,
    fact: Annotated[str | None, _filter('What happened, like "exposure_set" or "refused".')] = None,
    phase: Annotated[Phase | None, _filter("Decided in this phase, or entered it.")] = None,
    toggle: Annotated[str | None, _filter("About its rollout, while the toggle belonged to it.")] = None,
    command: Annotated[str | None, _filter('What was asked, like "cut-over".')] = None,
    command_id: Annotated[str | None, _filter("The id of the command.")] = None,
    text: Annotated[str | None, _filter("Words that are said, or given as reason, note or evidence.")] = None,
    outcome: Annotated[Outcome | None, _filter("Whether it was done.")] = None,
    since: Annotated[
        str | None, _filter("From this time on: 2022-07-29T14:00, or 14:00 today; UTC without an offset.")
    ] = None,
    until: Annotated[str | None, _filter("Before this time.")] = None,
    from_revision: Annotated[int | None, _filter("From this revision on.")] = None,
    to_revision: Annotated[int | None, _filter("Up to this revision.")] = None,
    last: Annotated[
        int | None,
        typer.Option(min=0, help=f"Only so many of the latest lines; 0: all. By default {SHOWN}; of a file, all."),
    ] = None,
    at_least: AtLeast = 0,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, for a spreadsheet.", rich_help_panel=OUTPUT)] = False,
    as_lines: Annotated[
        bool, typer.Option("--jsonl", help="JSON Lines, for a program.", rich_help_panel=OUTPUT)
    ] = False,
    as_events: Annotated[
        bool, typer.Option("--cloudevents", help="A batch of CloudEvents, one a record.", rich_help_panel=OUTPUT)
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file; by default stdout.", rich_help_panel=OUTPUT)
    ] = None,
) -> None:
    """Show who did what, when, why and on which evidence; refused attempts too.

    A file holds the lines from the oldest on (with --last from the newest), and ends by saying how many they are.
    """
    given: dict[str, Any] = {
        "subject": person,
        "role": role,
        "title": title,
        "fact": fact,
        "phase": phase,
        "toggle": toggle,
    }
    given |= {
        "command": command and command.replace("-", "_"),
        "command_id": command_id,
        "text": text,
        "outcome": outcome,
    }
    given |= {"from_revision": from_revision, "to_revision": to_revision}
    given |= {"since": _time(ctx, since, "--since"), "until": _time(ctx, until, "--until")}
    filters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    service = client(ctx, quiet=True)
    if form := _form(as_json, as_csv, as_lines, as_events, output):
        if last:
            filters |= {"limit": last, "order": "newest"}
        _save(service.export(rollout, form, at_least=at_least, filters=filters), output)
        return
    newest = service.trail(rollout, newest_first=True, at_least=at_least, filters=filters)
    if as_json:
        print_json(list(islice(newest, (SHOWN if last is None else last) or None))[::-1])
        return
    shown, more = _whole_records(newest, SHOWN if last is None else last)
    _show(shown, rollout, filtered=bool(filters), more=more and last is None)


def _time(ctx: typer.Context, text: str | None, option: str) -> str | None:
    return None if text is None else written(text, option, lambda: "UTC", caller(ctx).now()).isoformat()


def _whole_records(newest: Iterator[Json], count: int) -> tuple[list[Json], bool]:
    """The latest lines, oldest first, and whether there are more: `count` (0: all), and the rest of a record begun."""
    taken: list[Json] = []
    for line in newest:
        if count and len(taken) >= count and _record(line) != _record(taken[-1]):
            return taken[::-1], True
        taken.append(line)
    return taken[::-1], False


def _record(line: Json) -> tuple[object, ...]:
    return line["rollout"], line["command_id"], line["outcome"], line["revision"]


def _form(as_json: bool, as_csv: bool, as_lines: bool, as_events: bool, output: Path | None) -> str:
    """The form of the file; "" where there is to be none."""
    forms = {"csv": as_csv, "jsonl": as_lines, "cloudevents": as_events}
    asked = [form for form, wanted in forms.items() if wanted]
    if len(asked) + as_json > 1:
        raise CannotAsk("Only one of --json, --csv, --jsonl and --cloudevents can be asked for")
    if output is None or asked:
        return asked[0] if asked else ""
    if as_json or output.suffix not in (".csv", ".jsonl"):
        raise CannotAsk(f"What should be in {output}? Say --csv, --jsonl or --cloudevents")
    return output.suffix[1:]


def _save(pieces: Iterable[bytes], output: Path | None) -> None:
    """Onto stdout; or into the file, which gets its name when it is whole."""
    if output is None:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    write_whole(output, pieces)
    say(f"Written to {output}.", "dim", to=err())


def _show(shown: list[Json], rollout: str, *, filtered: bool, more: bool) -> None:
    for lines in trail(shown, with_rollout=not rollout):
        out().print(lines)
    if not shown:
        say("Nothing matches." if filtered else "Nothing has happened yet.")
    elif more:
        say(f"The latest {SHOWN} lines; more with --last, all with --last 0.", "dim", to=err())


def trail(items: Iterable[Json], *, with_rollout: bool = False) -> Iterator[Table]:
    """The trail as it is read: one block a record or refused attempt, with all of its facts."""
    for _, same in groupby(items, key=_record):
        facts = list(same)
        first = facts[0]
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=6, justify="right", style="bold")
        grid.add_column(overflow="fold")
        head = f"{instant(first['when']):%Y-%m-%d %H:%M:%S} UTC  {_who(first)}{_where(first)}"
        grid.add_row(
            Text(str(first["revision"]) if first["revision"] else "-"),
            Text(head, style="bold"),
        )
        if with_rollout:
            grid.add_row("", Text(first["rollout"], style="bold"))
        for said in (*_says(facts), *_why(first)):
            grid.add_row("", said if isinstance(said, Table) else Text(said))
        yield grid


def _says(facts: list[Json]) -> Iterator[str | Table]:
    """A sentence a fact; of a refused attempt every reason."""
    if facts[0]["outcome"] == "refused":
        yield f"Refused: {facts[0]['command']}"
        yield bullets(facts[0]["data"]["reasons"], indent=0)
    else:
        yield from (fact["says"] for fact in facts)


def _who(item: Json) -> str:
    return f"{item['subject']} ({', '.join(item.get('titles') or ()) or item['role'].replace('_', ' ')})"


def _where(item: Json) -> str:
    """The phase it was decided in, where the line says so."""
    return f", in {PHASES[item['phase']]}" if item.get("phase") in PHASES else ""


def _why(item: Json) -> Iterator[str]:
    if item.get("reason"):
        yield f"Why: {readable(item['reason'])}"
    if item.get("note"):
        yield f"Note: {readable(item['note'])}"
    for evidence in item.get("evidence") or ():
        yield f"Evidence: {readable(evidence.get('source') or evidence.get('text') or evidence['kind'])}"
    source = str(item.get("source") or "")
    if source.startswith("signal"):  # otherwise it is who did it that says so, or a command like any other
        yield f"Source: {source}"


def readable(text: str) -> str:
    """What is about a tester is ciphertext in the log."""
    return "(about a tester, kept encrypted)" if text.startswith(SEALED) else text


__all__ = ["add_audit", "readable", "trail"]
