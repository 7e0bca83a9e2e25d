"""`cutover signals`, and `cutover publish` for the other side: what CI tells, and what it led to.

One rule: publishing ends with the rollout's answer. A refusal is exit code 1 with its reasons, and so is a deploy that
no plan has: whoever publishes means a rollout. One whose rollout asks for no deploys any more is exit code 0.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from services.cli.asking import caller, client
from services.cli.screen import AsJson, Finding, bullets, out, print_json, say
from services.cli.times import instant
from services.cli.wording import MOVING, READING
from services.client import Json
from services.intake import publishing
from services.intake.publishing import NoVerdict

publish = typer.Typer(help="Tell Cutover what CI did.", no_args_is_help=True)


def add_signals(app: typer.Typer) -> None:
    """Add both."""
    app.command("signals", epilog="Example: cutover signals --last 50", rich_help_panel=READING)(signals)
    app.add_typer(publish, name="publish", rich_help_panel=MOVING)


def signals(
    ctx: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=1000, help="How many of the latest ones.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what CI, webhooks and alerts have told, what each led to, and why nothing happened."""
    found = client(ctx, quiet=True).signals(last)
    if as_json:
        print_json(found)
        return
    if not found["items"]:
        say("No signal yet.")
    for item in found["items"]:
        out().print(_block(item))
    if found["waiting"]:
        say(f"{found['waiting']} more wait to be worked on.")


def _block(item: Json) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=6, justify="right", style="bold")
    grid.add_column(overflow="fold")
    who = f"{item['by']} ({item['way']})" if item.get("by") else item["way"]
    head = f"{instant(item['received']):%Y-%m-%d %H:%M} UTC  {who}  {item.get('says') or item.get('type', '')}"
    grid.add_row(Text(str(item["number"])), Text(head.rstrip(), style="bold"))
    grid.add_row("", Text(f"{item['result']}: {item['why']}"))
    return grid


@publish.command(
    epilog="Example: cutover publish deployed --service vets-api --environment production --version v2022.07.29"
)
def deployed(
    ctx: typer.Context,
    service: Annotated[str, typer.Option(help="The service, as the plan names it.", show_default=False)],
    version: Annotated[str, typer.Option(help="What was deployed: a tag, a commit, a build.", show_default=False)],
    environment: Annotated[str, typer.Option(help="Where it was deployed.")] = "production",
    chain: Annotated[str, typer.Option(help="The chain that ties together what one change led to.")] = "",
    event_id: Annotated[
        str,
        typer.Option(
            "--id", help="The event's id; by default made from the CI run and the deploy, without a CI a new one."
        ),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for what the rollouts answer.")] = True,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to keep trying, and to wait.")] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the event; send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell that a version of a service is deployed, as a CDEvent, and end with what the rollouts say."""
    who = caller(ctx)
    run = who.settings.ci_run
    event = publishing.deployed(service, environment, version, who.now(), run=run, chain=chain, id_=event_id)
    if dry_run:
        print_json(event)
        return
    service_ = client(ctx)
    taken = publishing.publish(service_, event, patience)
    if not wait:
        print_json(taken) if as_json else say(f"Kept as signal {taken['signal']}.")
        return
    try:
        outcome = publishing.verdict(service_, event, taken["signal"], patience)
    except NoVerdict as error:
        raise Finding("The deploy is kept, and no rollout has answered yet", [str(error)]) from error
    _show(taken, outcome, as_json=as_json)


def _show(taken: Json, outcome: Json, *, as_json: bool) -> None:
    """The rollouts' answers; raises Finding where one refuses, and where there is none."""
    if outcome["result"] == "refused":
        refused = [effect for effect in outcome["effects"] if effect["told"] == "refused"]
        reasons = [f"{effect['rollout']}: {reason}" for effect in refused for reason in effect["reasons"]]
        raise Finding(f"Signal {outcome['number']} is refused", reasons, data=outcome)
    if publishing.missed(outcome):
        text = f"No rollout takes this deploy, which is kept as signal {outcome['number']}"
        raise Finding(text, outcome["why"].split("; "), data=outcome)
    if as_json:
        print_json(outcome)
        return
    before = taken["again"] or outcome["number"] != taken["signal"]
    first = f"Told before, as signal {outcome['number']}" if before else f"Signal {outcome['number']}"
    say(f"{first}: {outcome.get('says', '')}.", "bold")
    out().print(bullets(outcome["why"].split("; ")))
