"""The signed log from the command line: export, verify, and the notary's key.

One rule: `verify` and `rotate` work on the data folder and NATS themselves; `export` asks the service, as anyone may
who is let in as admin or auditor.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.asking import client
from services.cli.files import write_whole
from services.cli.running import Data, Nats, run_to_end, settings_with
from services.cli.screen import AsJson, Finding, err, print_json, say
from services.cli.wording import READING, RUNNING
from services.client import CannotAsk

notary = typer.Typer(help="The key that signs the log.", no_args_is_help=True)


def add_notary(app: typer.Typer) -> None:
    """Add the commands about the signed log."""
    example = "Example: cutover export -o cutover-log.jsonl"
    app.command("export", epilog=example, rich_help_panel=READING)(export)
    example = "Example: cutover verify --checkpoint /mnt/elsewhere/checkpoint"
    app.command("verify", epilog=example, rich_help_panel=RUNNING)(verify)
    app.add_typer(notary, name="notary", rich_help_panel=RUNNING)


def export(
    ctx: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file; without it, stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole log with its checkpoints as one file, to be checked by cutover-verify.

    The file is JSON Lines in any case; --json says how it was written.
    """
    service = client(ctx, quiet=True)
    if output is None:
        for piece in service.whole_log():
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return
    size = write_whole(output, service.whole_log())
    if as_json:
        print_json({"file": str(output), "bytes": size})
        return
    say(f"Written to {output}, {size:,} bytes. Check them with: cutover-verify {output} --key notary.pub", to=err())


def verify(
    ctx: typer.Context,
    key: Annotated[str, typer.Option(help="The public key to trust, or its file; without it, the folder's own.")] = "",
    at_least: Annotated[int, typer.Option(min=0, help="So many records there must be: you know of them.")] = 0,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A checkpoint kept elsewhere. May be repeated.")] = None,
    data: Data = None,
    nats: Nats = "",
    as_json: AsJson = False,
) -> None:
    """Check the running log, record by record, against its checkpoints, those outside it, and the tables.

    Exit code 1 says that something is not as it was signed, and where.
    """
    from services import up as service
    from services.notary.cutover_verify import Unusable, report, text_of

    with Progress(
        TextColumn("Reading records"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err()
    ) as progress:
        task = progress.add_task("", total=None)

        def moved(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        try:
            notes = [text_of(path) for path in checkpoint or ()]
            trusted = text_of(Path(key)) if key and Path(key).is_file() else key
            work = service.verify(settings_with(ctx, data=data, nats_url=nats), moved, trusted, at_least, notes)
            result = run_to_end(work)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise CannotAsk(f"It could not be checked: {where}{error.strerror or error}") from error
        except Unusable as error:
            raise CannotAsk(f"It could not be checked: {error}") from error
    found = {"ok": not result.findings, **result._asdict(), "findings": [each._asdict() for each in result.findings]}
    if result.findings:
        count = len(result.findings)
        title = f"Of {result.records:,} records not all is as it was signed ({count} to tell)"
        raise Finding(title, [f"{each.kind}: {each.words}" for each in result.findings], found)
    print_json(found) if as_json else say(report(result).strip())


@notary.command(epilog="Example: cutover notary key > notary.pub")
def key(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print the public key that the log's checkpoints are checked with."""
    found = client(ctx, quiet=True).notary_key()
    print_json({"key": found.strip()}) if as_json else sys.stdout.write(found)


@notary.command(epilog="Example: cutover notary rotate --data /var/lib/cutover")
def rotate(ctx: typer.Context, data: Data = None, nats: Nats = "", as_json: AsJson = False) -> None:
    """Hand over to a new key, beside a running service; the old one signs nothing after this.

    The handover is signed by both keys, so what the old one signed stays good, up to it.
    """
    from services import up as service
    from services.notary.rotation import CannotRotate

    try:
        done = run_to_end(service.rotate_key(settings_with(ctx, data=data, nats_url=nats)))
    except CannotRotate as error:
        raise CannotAsk(str(error)) from error
    if as_json:
        print_json({"size": done.size, "old": str(done.handover.old), "new": str(done.handover.new)})
        return
    say(f"From revision {done.size} on the log is signed with a new key. Give it to whoever checks the log:")
    sys.stdout.write(f"{done.handover.new}\n")
