"""The story of one release, scene by scene, as its people live it.

One rule: nothing is staged. Each scene sends commands, and what the service answers is what is seen.
"""

from __future__ import annotations

from pathlib import Path

from events.plan.schema import Plan
from services.cli.screen import UNASKED, WANTING
from services.demo.cast import KIM, MORGAN, PAT, PIPELINE, SAM, TONI
from services.demo.theatre import Theatre

GOOD = {"Sum of Errors": "4", "Breaker Skipped Alert": "0", "Average VAOS Latency": "1.8s"}
TRIED = (  # load times, and what the Veteran said of appointment details or met with
    "1.2s,0.9s,comments: the clinic's name is easy to find",
    "0.8s,comments: would like to see who cancelled",
    "2.1s,1.7s,comments: the address is right,errors: the list was empty once and filled on reload",
    "1.1s,comments: the confirmation names the appointment",
)
KPIS = (("99.4%", "14%", "1 calls"), ("99.6%", "12%", "0.5 calls"))  # after a week and after a month
MINUTES = "https://example.gov/go-no-go/minutes"


def adopted(on: Theatre, plan: Plan, file: Path) -> None:
    """The plan goes in as the draft that it is."""
    on.scene("The plan")
    on.says(
        "The release plan is still a draft, with blanks in it. It can be adopted as it is: a blank blocks only the "
        "step that needs it."
    )
    on.acts(MORGAN, "adopt", str(file))
    on.acts(MORGAN, "status", plan.id)


def deployed(on: Theatre, plan: Plan, version: str, said: str) -> None:
    """Code in production, every toggle off, and a day of watching."""
    on.scene("Code deployment")
    on.says(said)
    for service in plan.deploy.services:
        run = f"https://ci.example.gov/{service}/{version}"
        on.acts(PIPELINE, "report-deploy", plan.id, service, version, "--evidence", run)
    on.acts(MORGAN, "flags", plan.id, "--user", "user-3141")


def watched(on: Theatre, plan: Plan) -> None:
    """The watch passes; what it showed is recorded."""
    on.next_thing()
    on.says("The day is over. Kim reads the dashboards and records what they show.")
    for criterion in plan.deploy.criteria:
        on.acts(KIM, "record-verdict", plan.id, criterion, "--value", GOOD[criterion])
    for watch in plan.deploy.watch:
        for question in watch.results:
            answer = "yes" if question.kind == "yes/no" else "none"
            on.acts(KIM, "record-result", plan.id, question.text, answer)


def prerequisites(on: Theatre, plan: Plan) -> None:
    """Nobody gets the toggles while a prerequisite is missing; each is confirmed by whom the plan names."""
    on.scene("Prerequisites")
    on.says("May testing begin? Everything that is missing is said at once.")
    on.acts(MORGAN, "start-testing", plan.id, ends=WANTING)
    by = {person.titles[0]: person for person in (PAT, SAM)}
    mine = [item for item in plan.prerequisites if not item.attested_by]
    theirs = [item for item in plan.prerequisites if item.attested_by]
    on.says("What the plan leaves to the release manager, Morgan confirms.")
    for item in mine:
        on.acts(MORGAN, "attest", plan.id, item.text)
    on.says("The rest is not Morgan's to confirm.")
    on.acts(MORGAN, "attest", plan.id, theirs[0].text, ends=UNASKED)
    for item in theirs:
        on.acts(by[item.attested_by], "attest", plan.id, item.text)


def tested(on: Theatre, plan: Plan, session: str, tester: str, at: str) -> None:
    """A Veteran tests in production. The toggles are on for them alone, and only around the meeting."""
    on.scene("Testing in production")
    on.acts(MORGAN, "start-testing", plan.id)
    on.acts(TONI, "schedule-session", plan.id, session, tester, "--at", at, "--length", "30 minutes")
    on.says("The meeting is still ahead: off.")
    on.acts(TONI, "flags", plan.id, "--user", tester)
    on.next_thing()
    on.says("The window has opened by itself, 30 minutes before the meeting. All four are on for the Veteran...")
    on.acts(TONI, "flags", plan.id, "--user", tester)
    on.says("... and for nobody else.")
    on.acts(TONI, "flags", plan.id, "--user", "somebody-else")
    on.next_thing()
    on.says("The meeting is over, and the window has closed by itself.")
    on.acts(TONI, "flags", plan.id, "--user", tester)
    done = [f"{name}=done,{how}" for name, how in zip(plan.testing.workflows, TRIED, strict=False)]
    options = [word for text in done for word in ("--workflow", text)]
    on.acts(TONI, "record-session", plan.id, session, *options, "--comments", "Found everything at once")
    answers = ("0.8s to 2.1s, see the session", "Clinic names are clear", "An empty list, filled on reload")
    for question, answer in zip(plan.testing.results, answers, strict=False):
        on.acts(TONI, "record-result", plan.id, question.text, answer)


def blanks_filled(on: Theatre, plan: Plan, file: Path) -> None:
    """The plan's blanks stand in the way of the cutover; they are filled."""
    on.scene("Go or no-go")
    on.says("May the cutover happen?")
    on.acts(MORGAN, "cut-over", plan.id, ends=WANTING)
    on.says(
        "The plan left its go-live criteria, dates and KPIs open. They are filled now; for this demo, with examples: "
        "these values are made up, and nobody's decision."
    )
    why = "Example values, for the demo"
    on.acts(MORGAN, "revise-plan", plan.id, str(file), "--reason", why)


def decided(on: Theatre, plan: Plan, meeting: str) -> None:
    """Go, by everybody whom the plan asks; none of them sends the move."""
    on.says("Both who decide say go. Neither of them will be the one who cuts over.")
    for person in (PAT, SAM):
        on.acts(person, "decide", plan.id, "go", "--evidence", f"{MINUTES}/{meeting}")


def cut_over(on: Theatre, plan: Plan) -> None:
    """All toggles, for everyone, in one record."""
    on.scene("Cutover")
    on.says("What would it do?")
    on.acts(MORGAN, "cut-over", plan.id, "--dry-run")
    seen = str(on.status()["revision"])
    on.acts(MORGAN, "cut-over", plan.id, "--seen", seen)
    on.expects(phase="cutover", exposure="everyone")
    on.acts(KIM, "flags", plan.id, "--user", "somebody-else")


def breached(on: Theatre, plan: Plan) -> None:
    """It goes wrong: stop, switch off, find out."""
    on.scene("Something is wrong")
    name = next(iter(plan.rollout.criteria))
    on.says("The errors rise. Kim records it, and stops the release on the spot; anybody who acts here may.")
    on.acts(KIM, "record-verdict", plan.id, name, "--value", "23", "--evidence", "https://example.gov/incidents/88")
    on.acts(KIM, "halt", plan.id, "--reason", "23 errors in 10 minutes: requests reach the wrong system")
    on.acts(MORGAN, "roll-back", plan.id, "--reason", "Errors after the cutover, incident 88")
    on.says("One record, and the whole group is off for everyone.")
    on.expects(phase="rolled_back", exposure="nobody")
    on.acts(KIM, "flags", plan.id, "--user", "somebody-else")
    on.acts(MORGAN, "status", plan.id)


def live(on: Theatre, plan: Plan) -> None:
    """The criteria of the cutover hold, and the release is declared live."""
    on.says("The dashboards are quiet: the criteria hold with everyone on.")
    for name in plan.rollout.criteria:
        on.acts(KIM, "record-verdict", plan.id, name, "--value", GOOD.get(name, "1%"))
    on.scene("Go-live")
    on.acts(MORGAN, "go-live", plan.id)
    on.expects(phase="go_live")
    on.acts(MORGAN, "status", plan.id)


def results(on: Theatre, plan: Plan) -> None:
    """One week and one month later: what became of it."""
    users = iter(("10240", "43812"))
    for after, actual in zip(plan.go_live.results_after, KPIS, strict=True):
        on.next_thing()
        on.scene(f"Results after {after.text}")
        on.says("What is known by now was kept by itself, as a snapshot. The rest people record.")
        for kpi, value in zip(plan.go_live.kpis, actual, strict=True):
            on.acts(MORGAN, "record-result", plan.id, kpi.name, value, "--step", after.text)
        for question in plan.go_live.results:
            answer = (
                next(users)
                if "users" in question.text and question.kind != "yes/no"
                else "no"
                if question.kind == "yes/no"
                else "none"
            )
            on.acts(MORGAN, "record-result", plan.id, question.text, answer, "--step", after.text)


def closed(on: Theatre, plan: Plan) -> None:
    """The last questions, and the end."""
    on.scene("Closing")
    on.says("Is anything left to do?")
    on.acts(MORGAN, "close", plan.id, "keep", ends=WANTING)
    answers = (
        "Better than hoped on all three",
        "Fewer calls about lost requests",
        "Validated: Veterans find requests without help",
        "The same service for all other appointment types",
    )
    for question, answer in zip(plan.post_launch_questions, answers, strict=False):
        on.acts(MORGAN, "answer-question", plan.id, question.text, answer)
    on.acts(MORGAN, "close", plan.id, "keep", "--reason", "All results are in, and they are good")
    on.expects(phase="closed", exposure="everyone")
