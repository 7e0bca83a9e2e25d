"""How the command line finds the service and says who is asking.

One rule: the admin token of a local data folder is used only for a service on this machine, only when no
CUTOVER_TOKEN is set, and never without saying so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import typer
from msgspec import Struct

from services.cli.screen import err, say
from services.client import Client
from services.settings import Settings, from_environment

LOOPBACK = ("127.0.0.1", "::1", "localhost")
FOUND_BY = (
    "The service is found by CUTOVER_URL (default http://127.0.0.1:8080), and you are known by CUTOVER_TOKEN. "
    "Without a token, and only for a service on this machine, the admin token in CUTOVER_DATA/admin.token "
    "(default ./cutover-data) is used, and said so."
)


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Caller(Struct, frozen=True):
    """Who runs the command line: with which settings, and by which clock. The demo hands in its own."""

    settings: Settings
    now: Callable[[], datetime] = _wall_clock
    seen: dict[str, int] = {}  # the revision of each rollout that this caller knows of: reads are never older


def caller(ctx: typer.Context) -> Caller:
    """What was handed in, otherwise the environment and the wall clock."""
    return ctx.obj if isinstance(ctx.obj, Caller) else Caller(from_environment())


def settings(ctx: typer.Context) -> Settings:
    """The settings of whoever runs the command line."""
    return caller(ctx).settings


def client(ctx: typer.Context, *, quiet: bool = False) -> Client:
    """A client of the service, closed when the command ends. `quiet`: reading needs no word about the token."""
    where = settings(ctx)
    token = where.token or _local_admin(where, quiet=quiet)
    found = Client(where.url, token)
    ctx.call_on_close(found.close)
    return found


def _local_admin(where: Settings, *, quiet: bool) -> str:
    """The token that the first start of a local service left in its data folder; "" if there is none to use."""
    path = where.data / "admin.token"
    if urlsplit(where.url).hostname not in LOOPBACK:
        return ""
    try:
        token = path.read_text().strip()
    except OSError:
        return ""
    if not quiet:
        say(f"Asking as admin ({path}); set CUTOVER_TOKEN to ask as yourself.", "dim", to=err())
    return token
