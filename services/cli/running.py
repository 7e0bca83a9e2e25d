"""Running the service: up, run, init, rebuild.

One rule: an option, where given, wins over its CUTOVER_ variable; nothing else is read from the environment.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.asking import settings
from services.cli.screen import AsJson, err, print_json, say
from services.cli.wording import RUNNING
from services.client import CannotAsk
from services.settings import Settings

Data = Annotated[
    Path | None, typer.Option(help="The folder that holds everything (CUTOVER_DATA).", show_default="cutover-data")
]
Nats = Annotated[
    str, typer.Option(help="A NATS server to use instead of the embedded one (CUTOVER_NATS).", show_default=False)
]
Host = Annotated[str, typer.Option(help="The address to listen on (CUTOVER_HOST).", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The HTTP port (CUTOVER_PORT).", show_default="8080")]
RoleName = Literal["engine", "projector", "api", "clock", "herald", "intake", "monitor", "notary"]


def add_running(app: typer.Typer) -> None:
    """Add the commands that run the service."""
    for command, example in (
        (up, "cutover up --port 8080 --data /var/lib/cutover"),
        (run, "cutover run engine --nats nats://nats-1:4222"),
        (init, "cutover init --nats nats://nats-1:4222"),
        (rebuild, "cutover rebuild --data /var/lib/cutover"),
    ):
        app.command(epilog=f"Example: {example}", rich_help_panel=RUNNING)(command)


def up(
    ctx: typer.Context,
    host: Host = "",
    port: Port = None,
    data: Data = None,
    nats: Nats = "",
    as_json: AsJson = False,
) -> None:
    """Start the whole service in one process; stop it with Ctrl-C.

    It says so when it is ready; with --json as one object, with the URL.
    """
    from services import up as service

    chosen = settings_with(ctx, host=host, port=port, data=data, nats_url=nats)
    _port_is_free(chosen)

    url = f"http://{chosen.host}:{chosen.port}"
    said = _ready(f"Cutover is up at {url}, its data in {chosen.data}.", as_json, url=url, data=str(chosen.data))
    run_to_end(service.serve(chosen, on_ready=said))


def run(
    ctx: typer.Context,
    role: Annotated[RoleName, typer.Argument(help="Which part of the service.", show_default=False)],
    host: Host = "",
    port: Port = None,
    data: Data = None,
    nats: Nats = "",
    as_json: AsJson = False,
) -> None:
    """Run one part of the service as a process of its own, against a shared NATS and database."""
    from services import up as service
    from services.nats.connection import without_password

    chosen = settings_with(ctx, host=host, port=port, data=data, nats_url=nats)
    if not chosen.nats_url:
        raise CannotAsk("A part of the service needs a NATS server that the others share", "Name it: --nats URL")
    if role == "api":
        _port_is_free(chosen)
    said = _ready(f"The {role} is running on {without_password(chosen.nats_url)}.", as_json, role=role)
    run_to_end(service.serve(chosen, on_ready=said, roles=(role,)))


def init(ctx: typer.Context, data: Data = None, nats: Nats = "", as_json: AsJson = False) -> None:
    """Create the streams and the flag bucket on a NATS server, once; harmless when they are there."""
    from services import up as service

    run_to_end(service.init(settings_with(ctx, data=data, nats_url=nats)))
    print_json({"initialised": True}) if as_json else say("The streams and the flag bucket are there.")


def rebuild(ctx: typer.Context, data: Data = None, nats: Nats = "", as_json: AsJson = False) -> None:
    """Rebuild the tables and the flag bucket from the log; readers keep the old ones meanwhile."""
    from services import up as service

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err()) as progress:
        task = progress.add_task("Folding records", total=None)

        def moved(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        records = run_to_end(service.rebuild(settings_with(ctx, data=data, nats_url=nats), progress=moved))
    print_json({"records": records}) if as_json else say(f"Rebuilt from {records} records.")


def _ready(words: str, as_json: bool, **data: str) -> Callable[[], None]:
    """What is said once everything is ready: words on stderr, or JSON on stdout."""

    def said() -> None:
        if as_json:
            print_json(data)
            sys.stdout.flush()
        else:
            say(words, to=err())

    return said


def settings_with(ctx: typer.Context, **given: Any) -> Settings:
    """The environment's settings, with what was said on the command line in its place."""
    return msgspec.structs.replace(settings(ctx), **{name: value for name, value in given.items() if value})


def run_to_end(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; Ctrl-C is an ordinary end, and what the surroundings deny is said in words."""
    from services import loop
    from services.log.protocol import LogError
    from services.nats.embedded import FolderInUse
    from services.nats.process import ServerFailed

    try:
        return loop.run(work)
    except KeyboardInterrupt:
        return None
    except (FolderInUse, ServerFailed, LogError, OSError) as error:  # OSError: folders, and CannotConnect
        raise CannotAsk(str(error)) from error


def _port_is_free(chosen: Settings) -> None:
    """Asked before anything is started: the HTTP server would find out last."""
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError as error:
            where = f"{chosen.host} port {chosen.port}"
            raise CannotAsk(f"Cannot listen on {where}: {error.strerror}", "Choose another --port") from error
