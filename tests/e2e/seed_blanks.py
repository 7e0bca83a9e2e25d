"""Every blank of the release plan that this was made for (tests/unit/plan/seed.md), and where the report answers it.

One rule: the blanks are named by hand, from the seed's own lines; a test says when a line of the seed that looks like a
blank is not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SEED = Path(__file__).parents[1] / "unit" / "plan" / "seed.md"
_LOOKS_BLANK = re.compile(
    r"^- \[ \]|= *$|yes/no|^- Desired date|^- Types of errors|^- Record |TBD|lorem|: x$|\\\[|\(ready / not ready\)"
    r"|^1\. |^- How will you|^- What metrics|^- Links to|^- Percentage|^- Length|^- Success metrics|^- Issues to be"
)
_NO_BLANK = ("- etc",)


class Blank(NamedTuple):
    """A blank: the heading of the seed it stands under, how its line begins; the report's headings that lead to its
    answer, the label there, and words that the finished demo's answer holds."""

    heading: str
    line: str
    section: tuple[str, ...]
    label: str
    says: str = ""


PHASE_1 = "Phase I: Code Deployment of VAOS Service Integration"
PHASE_2 = "Phase II: Test VAOS Service Integration in Production with Select Veterans"
PHASE_3 = "Phase III: VAOS Service Integration Go-Live in Production"
WATCH = "Final VAOS Service Integration deployed to production, flags disabled"
LIMITED = (
    "How will you make the product available in production while limiting the number of users who can find/access it"
)
CRITERIA = ("Sum of Errors", "Breaker Skipped Alert", "Average VAOS Latency")
LIMITS = ("should be below 10 per any 10 minutes", "should be at most 0", "should be below 5 s")
METRICS = "What metrics-based criteria will you look at"


def _prerequisites() -> Iterator[Blank]:
    for text in (
        "HSRM is launched and live in Production, and ready to manage appointment requests",
        "VAOS Service is launched and live in Production, and ready to accept scheduling and appointment transactions",
        "Business Stakeholders approved Veteran-facing launch",
        "VAOS Product Owner approved Veteran-facing launch",
    ):
        yield Blank("Prerequisites", f"[ ] {text}", ("Prerequisites",), text, "Yes, attested")


def _phase_1() -> Iterator[Blank]:
    at: tuple[str, ...] = (PHASE_1, "Planning")
    yield Blank(PHASE_1, "Desired date", at, "Desired date", "2022-07-29")
    yield Blank(PHASE_1, "Desired date", at, "Actual date of vets-website", "2022-07-29")
    yield Blank(PHASE_1, "How will you make the product available", at, LIMITED, "all feature flags will be disabled")
    for name, limit in zip(CRITERIA, LIMITS, strict=True):
        yield Blank(PHASE_1, METRICS, at, f"Success criterion: {name}", limit)
    for name in ("Grafana Dashboard", *CRITERIA):
        yield Blank(PHASE_1, "Links to dashboard", at, f"Dashboard: {name}", "https://grafana.vfs.va.gov/")
    at = (PHASE_1, WATCH, "Planning")
    yield Blank(WATCH, "Success metrics to be monitored", at, "Monitored by", "VAOS Front End engineering")
    label = "Issues to be reported to, for front end issues related to VAOS website"
    yield Blank(WATCH, "Issues to be reported to", at, label, "vaos_v2_prod")
    yield Blank(WATCH, "Percentage of users", at, "Percentage of users", "0%")
    yield Blank(WATCH, "Length of time", at, "Length of time", "1 day")
    at = (PHASE_1, WATCH, "Results")
    for name, value in zip(CRITERIA, ("4", "0", "1.8 s"), strict=True):
        yield Blank(WATCH, name, at, name, f"{value} ✓ pass")
    question = "Was the data submitted (if any) easy for VA to process?"
    yield Blank(WATCH, question, at, question, "yes")
    yield Blank(WATCH, "Types of errors logged", at, "Types of errors logged", "none")


def _phase_2() -> Iterator[Blank]:
    at = (PHASE_2, "Pre Go-Live Testing", "Results")
    yield Blank(PHASE_2, "Record load times", at, "Record load times", "0.8s to 2.1s")
    label = "Record comments on appointment details"
    yield Blank(PHASE_2, label, at, label, "Clinic names are clear")
    yield Blank(PHASE_2, "Record any errors encountered", at, "Record any errors encountered", "An empty list")


def _phase_3() -> Iterator[Blank]:
    at = (PHASE_3, "Planning")
    yield Blank(PHASE_3, "Desired date range", at, "Desired date range", "2022-08-15 to 2022-08-19")
    yield Blank(PHASE_3, "Desired date range", at, "Actual date", "2022-08-15")
    yield Blank(PHASE_3, "How will you make the product available", at, LIMITED, "100% cutover")
    for name, limit in zip(CRITERIA, LIMITS, strict=True):
        yield Blank(PHASE_3, METRICS, at, f"Success criterion: {name}", limit)
    label = "Dashboard: Example: the dashboard of the deploy"
    yield Blank(PHASE_3, "Links to dashboard", at, label, "https://grafana.vfs.va.gov/")


def _go_live() -> Iterator[Blank]:
    go_live, at = "Go Live!", ("Go Live!", "Planning")
    yield Blank(go_live, "Desired date", at, "Desired date", "2022-08-22")
    yield Blank(go_live, "Desired date", at, "Actual date", "2022-08-16")
    for number, words in enumerate(("reach HSRM", "abandoned half-way", "contact center calls"), 1):
        yield Blank(go_live, f"Post-launch KPI {number}", at, f"Post-launch KPI {number}", words)
    label = "Go / No Go (ready / not ready)"
    decided = (*at, "Go / No Go")
    yield Blank(
        go_live, "Go / No Go", decided, label, "Ready: go by VAOS Product Owner and go by Business Stakeholders"
    )
    week = ("10240", "99.4%", "14%", "1 calls")
    month = ("43812", "99.6%", "12%", "0.5 calls")
    for heading, section, (users, *kpis) in (
        ("1-week results:", "1 week results", week),
        ("1-month results:", "1 month results", month),
    ):
        at = (go_live, section)
        yield Blank(heading, "Number of unique users", at, "Number of unique users", users)
        for number, value in enumerate(kpis, 1):
            label = f"Post-launch KPI {number} actual"
            yield Blank(heading, label, at, label, f"{value} ✓ pass")
        ux = "Any UX changes necessary based on the logs, or feedback on user challenges, or VA challenges?"
        for label, says in (
            ("Any issues with VA handling/processing?", "no"),
            ("Types of errors logged", "none"),
            (ux, "no"),
            ("If yes, what", "none"),
        ):
            yield Blank(heading, label, at, label, says)


def _questions() -> Iterator[Blank]:
    asked = (
        ('How do the KPIs you gathered compare to your pre-launch definition(s) of "success"?', "Better than hoped"),
        ("What qualitative feedback have you gathered from users or other stakeholders, if any?", "Fewer calls"),
        ("Which of the assumptions you listed in your product outline were/were not validated?", "Validated"),
        ("How might your product evolve now or in the future based on these results?", "The same service"),
    )
    for number, (question, says) in enumerate(asked, 1):
        yield Blank("Post-launch Questions", question, ("Post-launch Questions",), f"{number}. {question}", says)


BLANKS = (*_prerequisites(), *_phase_1(), *_phase_2(), *_phase_3(), *_go_live(), *_questions())
WORKFLOWS = (
    "View upcoming appointments and appointment requests",
    "View Cancelled appointments and Past appointments",
    "Schedule available appointment types (Direct, Request, Community Care)",
    "Cancel appointment types created in previous test",
)


def lines_of_the_seed() -> Iterator[tuple[str, str]]:
    """Every line of the seed that looks like a blank, without its mark, after the heading that names its part."""
    heading = ""
    parts = {blank.heading for blank in BLANKS}
    for line in SEED.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            named = text.strip("# ").replace("Interation", "Integration")  # as the seed has it once
            heading = named if named in parts else heading
        elif _LOOKS_BLANK.search(text) and not text.startswith(_NO_BLANK):
            yield heading, re.sub(r"^(- |1\. )", "", text)
