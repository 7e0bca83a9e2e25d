"""The demo from curtain to curtain.

One rule: it asks nothing, leaves nothing behind but the report, and fails loudly where the story goes otherwise than
told.
"""

from __future__ import annotations

import tempfile
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct

from events.plan.schema import Plan
from services.cli.planfile import load
from services.cli.screen import out, say
from services.client import CannotAsk
from services.demo import story
from services.demo.cast import MORGAN
from services.demo.clock import ImaginedClock
from services.demo.theatre import Theatre

ROLLOUT = "vaos-service-integration"
BEGINS = "2022-07-28T09:00"
TAIL = 8


class Ending(Struct, frozen=True):
    """How it ended: the phase, whether there was a breach, how many records and refused attempts, in how long, and
    where the report is."""

    phase: str
    breach: bool
    records: int
    refused: int
    seconds: float
    report: str


def play(*, breach: bool = False, pace: float = 0.3, report: Path | None = None) -> Ending:
    """Carry the plan out, with or without a breach; `pace` is the pause between steps in seconds.

    `report` is the folder that the report is written into; by default a new one beside other temporary files.

    Raises DemoFailed where something ends otherwise than the story says.
    """
    began = time.monotonic()
    draft, filled = plan_file(f"{ROLLOUT}.yaml"), plan_file(f"{ROLLOUT}.example-values.yaml")
    plan, complete = load(draft).plan, load(filled, ROLLOUT).plan
    start = datetime.fromisoformat(BEGINS).replace(tzinfo=ZoneInfo(plan.time_zone))
    say(f"Starting everything in this process, on a temporary folder ({plan.title}).", "dim")
    with Theatre(plan.id, ImaginedClock(start), plan.time_zone, pace) as on:
        _until_decided(on, plan, complete, draft, filled)
        story.cut_over(on, complete)
        if breach:
            on.later("2022-08-15T09:00", "an hour after the cutover")
            story.breached(on, complete)
            _second_try(on, complete)
        else:
            on.later("2022-08-16T08:00", "a day after the cutover")
        story.live(on, complete)
        story.results(on, complete)
        story.closed(on, complete)
        return curtain(on, breach, time.monotonic() - began, report)


def _until_decided(on: Theatre, plan: Plan, complete: Plan, draft: Path, filled: Path) -> None:
    story.adopted(on, plan, draft)
    on.later("2022-07-29T09:30", "the day of the deployment")
    first = "CI reports both services; with the second a day of watching begins. Nobody sees anything yet."
    story.deployed(on, plan, "2022.07.29", first)
    story.prerequisites(on, plan)
    story.watched(on, plan)
    on.later("2022-08-01T09:00", "Monday morning")
    story.tested(on, plan, "veteran-1", "user-3141", "2022-08-02T10:00")
    story.blanks_filled(on, plan, filled)
    story.decided(on, complete, "12")
    on.later("2022-08-15T08:00", "the first day of the dates that were set")


def _second_try(on: Theatre, plan: Plan) -> None:
    on.later("2022-08-16T09:30", "the next morning, with the cause found and mended")
    again = "The whole way again: the mended code is watched for a day, tested and decided about anew."
    story.deployed(on, plan, "2022.08.16", again)
    story.watched(on, plan)
    story.tested(on, plan, "veteran-2", "user-2718", "2022-08-18T10:00")
    story.decided(on, plan, "14")
    on.later("2022-08-19T08:00", "the next morning")
    story.cut_over(on, plan)
    on.later("2022-08-20T08:00", "a day after the cutover")


def curtain(on: Theatre, breach: bool, seconds: float, folder: Path | None = None) -> Ending:
    """The end of the trail, the report, and the numbers."""
    on.scene("The trail, from its end")
    on.acts(MORGAN, "audit", on.rollout, "--last", str(TAIL))
    on.scene("The report")
    on.says("The release plan is handed in with every blank filled, each value with the record that says so.")
    folder = folder or Path(tempfile.mkdtemp(prefix="cutover-demo-report-"))
    folder.mkdir(parents=True, exist_ok=True)
    for form in ("md", "html"):
        on.acts(MORGAN, "report", on.rollout, "-o", str(folder / f"report.{form}"))
    records = len({line["revision"] for line in on.trail() if line["revision"]})
    out().print()
    say(
        f"Closed. {records} records of who decided what, when and why, and {on.refused} refused attempts, "
        f"in {seconds:.0f} seconds.",
        "bold",
    )
    page = folder / "report.html"
    say(f"The report is kept: open {page} in a browser.")
    return Ending(str(on.status()["phase"]), breach, records, on.refused, round(seconds, 1), str(page))


def plan_file(name: str) -> Path:
    """A plan that comes with Cutover: in the repository, beside the package where it is installed, or right here."""
    here = Path(__file__).parents[1]
    places = (here.parent / "plans" / name, here / "plans" / name, Path.cwd() / "plans" / name)
    for place in places:
        if place.is_file():
            return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
    raise CannotAsk(f"The demo's plan {name} is missing", *(f"looked for {place}" for place in places))
