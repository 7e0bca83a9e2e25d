"""The live demo from curtain to curtain: the wall's clock, Prometheus, a service with visitors, CI's events.

One rule: nobody records a measured value. The criteria are measured, and what follows from a breach the plan says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from events.plan.schema import Plan
from services.cli.planfile import load
from services.cli.screen import WANTING, say
from services.demo import prometheus, story
from services.demo.appointments import ANY, Appointments
from services.demo.cast import CAST, KIM, MORGAN, PIPELINE, TONI, VETS_API
from services.demo.clock import WallClock
from services.demo.run import Ending, curtain, plan_file
from services.demo.theatre import DemoFailed, Theatre

ROLLOUT = "live-demo"
WEAK = 2  # requests a second that the first version's new way bears
SOON = 3.0  # seconds in which a switch has reached the service, however busy the machine is
AHEAD = timedelta(seconds=4)  # from scheduling a meeting to its beginning


class Stage(NamedTuple):
    """What the scenes play on."""

    on: Theatre
    plan: Plan
    service: Appointments


def play_live(*, breach: bool = False, pace: float = 0.3, report: Path | None = None) -> Ending:
    """Carry the plan out in real time; with `breach` the first version fails once everyone is on.

    Raises CannotAsk where there is no Prometheus, and DemoFailed where something ends otherwise than told.
    """
    began = time.monotonic()
    prometheus.find()
    file = plan_file(f"{ROLLOUT}.yaml")
    plan = load(file).plan
    say(f"Starting everything on this machine, Prometheus and a service with visitors too ({plan.title}).", "dim")
    say("This is in real time: what takes days in the real plan takes seconds here.", "dim")
    with (
        Appointments() as service,
        prometheus.LocalPrometheus(service.target) as server,
        Theatre(plan.id, WallClock(), plan.time_zone, pace, cast=(*CAST, VETS_API), prometheus=server.url) as on,
    ):
        service.asks(on.settings.url, plan.id, on.tokens[VETS_API.name])
        stage = Stage(on, plan, service)
        on.scene("The plan")
        on.acts(MORGAN, "adopt", str(file))
        _released(stage, "2022.07.29", "veteran-1", WEAK if breach else ANY, story.prerequisites)
        if breach:
            _breached(stage)
            _released(stage, "2022.08.02", "veteran-2", ANY)
        _live(stage)
        _closed(stage)
        return curtain(on, breach, time.monotonic() - began, report)


def _released(
    stage: Stage, version: str, session: str, bears: int, meanwhile: Callable[[Theatre, Plan], None] | None = None
) -> None:
    """From the pipeline's events to everyone."""
    on, plan, _ = stage
    began = on.status()["revision"]
    _deployed(stage, version, bears)
    if meanwhile is not None:
        meanwhile(on, plan)
    _watched(on, began)
    _tested(stage, session)
    on.scene("Go or no-go")
    story.decided(on, plan, version)
    story.cut_over(on, plan)


def _deployed(stage: Stage, version: str, bears: int) -> None:
    on, plan, service = stage
    on.scene("Code deployment")
    on.says("The pipeline deploys, and publishes a CDEvent for each service. Nobody sees anything yet.")
    service.deploy(bears=bears)
    for name in plan.deploy.services:
        on.acts(PIPELINE, "publish", "deployed", "--service", name, "--version", version)
    on.expects(phase="code_deploy", exposure="nobody")


def _watched(on: Theatre, began: int) -> None:
    """The watch is the monitor's, until it has judged the full time good; then it is looked at."""
    on.rests()
    on.awaits(blockers=[])
    on.says("The watch is over. Nobody has typed a value: the monitor has asked Prometheus every few seconds.")
    _recorded_by_the_monitor(on, began)


def _recorded_by_the_monitor(on: Theatre, after: int) -> None:
    """Its lines of the trail since a revision: changes of verdict, and what they led to."""
    lines = [line for line in on.trail() if line["subject"] == "monitor" and line["revision"] > after]
    if not lines:
        raise DemoFailed(f"the monitor has recorded nothing after revision {after}")
    on.lists(f"Revision {line['revision']}, the monitor: {line['says']}" for line in lines)


def _tested(stage: Stage, session: str) -> None:
    """A window that opens and closes in real time, and a visit inside it."""
    on, plan, _ = stage
    tester = f"tester-of-{session}"
    on.scene("Testing in production")
    on.says("To begin testing, the criteria are judged afresh over the whole watch.")
    on.acts(MORGAN, "start-testing", plan.id)
    at = (on.clock() + AHEAD).isoformat(timespec="milliseconds")
    on.acts(TONI, "schedule-session", plan.id, session, tester, "--at", at)
    _visits(stage, tester, on_for_them=False)
    on.next_thing()
    on.says("The window has opened by itself. All toggles are on for the Veteran...")
    _visits(stage, tester, on_for_them=True)
    on.says("... and for nobody else.")
    _visits(stage, "somebody-else", on_for_them=False)
    on.rests()
    on.says("The meeting is over, and the window has closed by itself.")
    _visits(stage, tester, on_for_them=False)
    done = [word for name in plan.testing.workflows for word in ("--workflow", f"{name}=done,0.1s")]
    on.acts(TONI, "record-session", plan.id, session, *done, "--comments", "Found everything at once")


def _visits(stage: Stage, user: str, *, on_for_them: bool) -> None:
    """Somebody uses the service. A switch reaches it within moments; the story fails if it does not."""
    until = time.monotonic() + SOON
    while (seen := stage.service.visit(user)).on != on_for_them:
        if time.monotonic() > until:
            expected = "on" if on_for_them else "off"
            raise DemoFailed(f"the toggles for {user}: expected {expected} within {SOON:g} s, found the contrary")
        time.sleep(0.02)
    stage.on.says(f"{user} visits: toggles {'on' if seen.on else 'off'}, status {seen.status}.")


def _breached(stage: Stage) -> None:
    """The service fails under everyone's load; nobody but the monitor does anything about it."""
    on, plan, service = stage
    on.scene("Something is wrong")
    before, began = service.statuses.copy(), on.status()["revision"]
    on.says("Everyone takes the new way now, and it does not bear them. Nobody touches anything.")
    on.awaits(phase="rolled_back", exposure="nobody")
    failed = sum((service.statuses - before)[status] for status in (502, 503))
    on.says(f"{failed} requests have failed. The monitor found the breach, and the plan says: roll back.")
    _recorded_by_the_monitor(on, began)
    _visits(stage, "somebody-else", on_for_them=False)
    on.acts(MORGAN, "status", plan.id)
    on.says("The whole way again, with a version that bears the load.")


def _live(stage: Stage) -> None:
    """Long enough with everyone on; then the results, measured when they are due."""
    on, plan, _ = stage
    on.scene("Go-live")
    on.says("May it be declared live? The stage has just begun.")
    on.acts(MORGAN, "go-live", plan.id, ends=WANTING)
    on.next_thing()
    on.awaits(blockers=[])
    on.says("Its time is over, and nothing stands in the way: the criteria, judged afresh, stand in the move's record.")
    on.acts(MORGAN, "go-live", plan.id)
    on.acts(KIM, "status", plan.id)
    on.expects(phase="go_live", exposure="everyone")
    on.scene("Results")
    on.rests()
    on.says("KPI, users and errors by type were measured when they were due, and are kept as a snapshot.")
    on.acts(MORGAN, "audit", plan.id, "--last", "4")


def _closed(stage: Stage) -> None:
    on, plan, service = stage
    on.scene("Closing")
    served = sum(service.statuses.values())
    answer = f"{service.statuses[200]} of {served} requests were answered, in the minute that this took"
    for question in plan.post_launch_questions:
        on.acts(MORGAN, "answer-question", plan.id, question.text, answer)
    on.acts(MORGAN, "close", plan.id, "keep", "--reason", "The results are in")
    on.expects(phase="closed", exposure="everyone")
