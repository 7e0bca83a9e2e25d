"""`cutover token`: who may ask the service, and as what.

One rule: a token is printed once, by `add`, and can never be shown again.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from events.facts import Role
from services.cli.asking import client
from services.cli.screen import AsJson, out, print_json, say
from services.client import Json

tokens = typer.Typer(help="Let people and programs in, and out.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Who: a stable name, such as a login.", show_default=False)]


@tokens.command(epilog='Example: cutover token add maria --role approver --title "VAOS Product Owner"')
def add(
    ctx: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do.")],
    title: Annotated[
        list[str] | None,
        typer.Option(help="A title that plans name them by (attested_by, decided_by). May be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token for somebody; it is shown this once."""
    answer = client(ctx).add_token(name, role, tuple(title or ()))
    if as_json:
        print_json(answer)
        return
    say(f"{name} is let in as {role}" + (f", with the title {', '.join(title)}." if title else "."))
    say("Their token, shown only now (CUTOVER_TOKEN):")
    out().print(Text(answer["token"]), soft_wrap=True)


@tokens.command("list", epilog="Example: cutover token list")
def list_tokens(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List who holds a token, with role and titles; never the tokens themselves."""
    found = client(ctx).tokens()
    if as_json:
        print_json(found)
        return
    out().print(_table(found))


def _table(found: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "role", "titles", "since", "state"):
        table.add_column(heading, overflow="fold")
    for row in found:
        ended = row.get("revoked")
        state = f"revoked {str(ended)[:10]} by {row.get('revoked_by')}" if ended else "live"
        cells = (row["name"], row["role"], ", ".join(row.get("titles", ())), str(row["created"])[:10], state)
        table.add_row(*map(Text, cells))
    return table


@tokens.command(epilog="Example: cutover token revoke maria")
def revoke(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """End all tokens of somebody, at once."""
    answer = client(ctx).revoke_token(name)
    if as_json:
        print_json(answer)
        return
    say(f"{name} is no longer let in.")
