"""`cutover criteria`: a plan's criteria against a past that is known, before they are armed.

One rule: no service is needed; a Prometheus is asked, and nothing is written anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from events.plan.schema import Criterion
from events.plan.words import seconds
from services.analysis.backtest import Tested, back_test, testable
from services.analysis.measure import Measurer
from services.analysis.prometheus import Prometheus
from services.cli.asking import caller, settings
from services.cli.planfile import load
from services.cli.plans import PlanPath
from services.cli.screen import AsJson, Finding, bullets, err, out, print_json, say
from services.client import CannotAsk
from services.rollout.criteria import target

criteria = typer.Typer(help="Try a plan's criteria before they are armed.", no_args_is_help=True)
AT_ONCE = 2
MARKS = {"pass": "+", "fail": "x", "inconclusive": "?", "error": "!"}


@criteria.command(
    "test",
    epilog="Example: cutover criteria test plans/vaos-service-integration.measured.yaml "
    "--prometheus http://127.0.0.1:9090 --from 2022-07-29T09:00 --to 2022-07-30T09:00",
)
def over_the_past(
    ctx: typer.Context,
    file: PlanPath,
    prometheus: Annotated[
        str, typer.Option(help="The server's address (CUTOVER_PROMETHEUS).", show_default=False)
    ] = "",
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            help="When the step would have begun, like 2022-07-29T09:00, local to the plan; by default a day before.",
            show_default=False,
        ),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", help="When it would have ended; by default now.", show_default=False)
    ] = "",
    every: Annotated[str, typer.Option(help="How often to look.")] = "15 seconds",
    as_json: AsJson = False,
) -> None:
    """Say what a plan's criteria would have decided over past data, and when.

    As if a step had begun at --from and been left at --to. Doubtful queries are named. Exit code 1 if any criterion
    would not have let the step be left.
    """
    plan = load(file).plan
    measured = [one for one in plan.criteria.values() if testable(one)]
    if not measured:
        raise Finding("The plan measures nothing by a query; add query: or count: to a criterion.")
    where = settings(ctx)
    url = prometheus or where.prometheus
    if not url:
        raise CannotAsk("No Prometheus is named: write --prometheus URL, or set CUTOVER_PROMETHEUS")
    upto = _instant(end, "--to", plan.time_zone) if end else caller(ctx).now()
    since = _instant(begin, "--from", plan.time_zone) if begin else upto - timedelta(days=1)
    if since >= upto:
        raise CannotAsk("--from must be before --to")
    found = _with_progress(url, where.prometheus_token, measured, since, upto, _step(every))
    _tell(found, {one.name: one for one in measured}, since, upto, as_json)
    if any(one.verdict != "pass" for one in found if not plan.criteria[one.criterion].dry_run):
        raise typer.Exit(1)


def _with_progress(
    url: str, token: str, measured: Sequence[Criterion], since: datetime, upto: datetime, step: float
) -> list[Tested]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=err(), transient=True) as progress:
        tasks = {one.name: progress.add_task(one.name, total=1.0) for one in measured}

        def done(name: str, share: float) -> None:
            progress.update(tasks[name], completed=share)

        async def work() -> list[Tested]:
            server, gate = Prometheus(url, token, timeout=30.0), asyncio.Semaphore(AT_ONCE)

            async def one_by_one(one: Criterion) -> Tested:
                async with gate:
                    return await back_test(Measurer(server, None), one, since, upto, step, done)

            try:
                return list(await asyncio.gather(*map(one_by_one, measured)))
            finally:
                await server.close()

        return asyncio.run(work())


def _tell(found: Sequence[Tested], plan: dict[str, Criterion], since: datetime, upto: datetime, as_json: bool) -> None:
    passed = all(one.verdict == "pass" for one in found)
    if as_json:
        print_json({"from": since, "to": upto, "would_pass": passed, "criteria": list(found)})
        return
    say(f"From {since:%Y-%m-%d %H:%M} to {upto:%Y-%m-%d %H:%M} UTC", "bold")
    for one in found:
        say(f"\n{one.criterion}: {target(plan[one.criterion]) or 'no limit'}", "bold")
        out().print(bullets([_change(change.at, change.verdict, change.why) for change in one.changes] or ["no data"]))
        say(f"  {MARKS[one.verdict]} leaving the step at the end: {one.verdict}: {one.why}")
        if one.doubts:
            out().print(bullets(one.doubts, "?"))
    say("\nThe step could have been left." if passed else "\nThe step could not have been left.", "bold")


def _change(at: datetime, verdict: str, why: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} {verdict}: {why}"


def _instant(text: str, what: str, zone: str) -> datetime:
    try:
        written = datetime.fromisoformat(text)
        there = written.replace(tzinfo=ZoneInfo(zone)) if written.tzinfo is None else written
    except (ValueError, ZoneInfoNotFoundError):
        raise CannotAsk(f"{what}: expected a time such as 2022-07-29T09:00 (in {zone}), found {text!r}") from None
    return there.astimezone(UTC)


def _step(text: str) -> float:
    try:
        return float(max(1, seconds(text)))
    except ValueError as error:
        raise CannotAsk(f"--every: {error}") from None
