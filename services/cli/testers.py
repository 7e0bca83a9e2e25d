"""Testers: what their sessions showed, forgetting them, and the key that applications recognize them by.

One rule: a tester's id is never printed; from stdin (`-`) it stays out of the shell's history too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.cli.asking import caller, client, settings
from services.cli.reads import AtLeast
from services.cli.running import Data
from services.cli.screen import AsJson, bullets, err, out, print_json, say
from services.cli.times import instant
from services.cli.verbs import Rollout
from services.cli.wording import READING, RUNNING
from services.client import CannotAsk, Json

testers = typer.Typer(help="Forget people who have tested.", no_args_is_help=True)


def add_sessions(app: typer.Typer) -> None:
    """Add the question for sessions."""
    example = "Example: cutover sessions vaos-service-integration"
    app.command("sessions", epilog=example, rich_help_panel=READING)(sessions)


def add_tester_key(app: typer.Typer) -> None:
    """Add the command that prints the tester key."""
    example = "Example: cutover tester-key --data /var/lib/cutover > tester.key"
    app.command("tester-key", epilog=example, rich_help_panel=RUNNING)(show_tester_key)


def show_tester_key(ctx: typer.Context, data: Data = None, as_json: AsJson = False) -> None:
    """Print the key by which an application that evaluates flags itself recognizes testers.

    It is derived from vault.key in the data folder, so this runs where that is. It opens nothing in the vault; but
    whoever has it can tell which of the ids they know are testers'. Hand it over like a password.
    """
    from services.people.vault import VaultError, held_vault_key, hmac_key

    try:
        key = hmac_key(held_vault_key((data or settings(ctx).data) / "vault.key")).hex()
    except VaultError as error:
        raise CannotAsk(str(error), "Run it where the service's data folder is: --data FOLDER") from error
    if as_json:
        print_json({"tester_key": key})
        return
    say("Keep it like a password: whoever has it can tell which of the ids they know are testers'.", to=err())
    out().print(Text(key), soft_wrap=True)


def sessions(ctx: typer.Context, rollout: Rollout, at_least: AtLeast = 0, as_json: AsJson = False) -> None:
    """Show testers' sessions and what was said in them; for admin, release manager and facilitator."""
    revision = at_least or caller(ctx).seen.get(rollout, 0)
    found = client(ctx, quiet=True).sessions(rollout, at_least=revision)
    if as_json:
        print_json(found)
    elif not found:
        say("No session yet. Plan one with: cutover schedule-session")
    for session in () if as_json else found:
        out().print(_block(session))


def _block(session: Json) -> Table:
    """One session: a line about it, and one for each thing that it showed."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(overflow="fold")
    state = (
        session["outcome"]
        or {"ahead": "planned", "open": "open now", "closed": "over, not recorded"}[session["window"]]
    )
    who = f"{session['tester']}{' (erased)' if session['erased'] else ''}"
    head = f"{session['session']}  {instant(session['starts']):%Y-%m-%d %H:%M} UTC  {who}: {state.replace('_', ' ')}"
    grid.add_row(Text(head, style="bold"))
    lines = list(_lines(session))
    if lines:
        grid.add_row(bullets(lines))
    return grid


def _lines(session: Json) -> Iterator[str]:
    for result in session["workflows"]:
        times = ", ".join(f"{seconds:g} s" for seconds in result.get("load_times", ()))
        how = "done" if result["done"] else "failed, waived" if result.get("waived") else "failed"
        yield f"{result['workflow']}: {how}{f' ({times})' if times else ''}"
        for name in ("comments", "errors", "waived"):
            if result.get(name):
                yield f"  {name}: {result[name]}"
    if session["comments"]:
        yield f"comments: {session['comments']}"


@testers.command(epilog="Example: cutover testers erase user-3141")
def erase(
    ctx: typer.Context,
    tester: Annotated[str, typer.Argument(metavar="ID", help="The tester's user id; - reads it from stdin.")],
    as_json: AsJson = False,
) -> None:
    """Forget a tester for good: their windows close, and nobody can find them or read what they said any more.

    The log stays as it is and still verifies.
    """
    who = sys.stdin.readline().strip() if tester == "-" else tester
    if not who:
        raise CannotAsk("Whom? Give the tester's id, or - and the id on stdin")
    answer = client(ctx).erase_tester(who)
    if as_json:
        print_json(answer)
        return
    say("Erased. Nothing that Cutover keeps leads to this tester any more.", "bold")
    if answer["sessions_ended"]:
        out().print(bullets(f"session {name} was ended for it" for name in answer["sessions_ended"]))
