"""Every line of the seed, and where the plan holds it.

Each entry of LINES stands for one line of seed.md, in order: what the template asks (its label), and what the team
wrote, with the place in the plan that holds it. Label and words together must be the whole line, so nothing of the
seed can be left out without this test saying so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from events.plan.checks import check
from events.plan.schema import Plan, Quantity
from services.plan.file import parse

HERE = Path(__file__).parent
PLANS = HERE.parents[2] / "plans"
TYPOS = {"Commmunity": "Community", "apppointments": "appointments", "Interation": "Integration"}
GRAFANA = "https://grafana.vfs.va.gov/d/EmC4pa6Wz/vaos-alerts"
WEEK = "orgId=1&from=now-7d&to=now&refresh=15m"
DASHBOARD = f"{GRAFANA}?orgId=1&from=now-24h&to=now&refresh=15m"
ERRORS, BREAKER, LATENCY = (f"{GRAFANA}?viewPanel={n}&{WEEK}" for n in (6, 4, 2))
TEMPLATE = (
    "https://github.com/department-of-veterans-affairs/va.gov-team/blob/master/platform/product-management/"
    "go-no-go-meeting-template.md"
)
WORDS = object()  # the plan holds the line's own words
LIMITED = (
    "How will you make the product available in production while limiting the number of users who can find/access it:"
)
CRITERIA = (
    'What metrics-based criteria will you look at before advancing rollout to the next stage ("success criteria")?:'
)
NAMES = ["Sum of Errors", "Breaker Skipped Alert", "Average VAOS Latency"]


def held(words: str, path: str, value: object = WORDS) -> tuple[str, str, object]:
    """These words of the line are held at this path, as themselves or as this value."""
    return words, path, value


def dashboard_of(name: str, url: str) -> tuple[Any, ...]:
    return ("[]()", held(name, "deploy.criteria", NAMES), held(url, f"criteria.{name}.dashboard"))


def results(after: str, n: int) -> list[tuple[Any, ...]]:
    """The lines of one set of results: what is asked is in the plan, the answers come as records."""
    return [
        ("-week results:" if n == 0 else "-month results:", held("1", f"go_live.results_after.{n}.text", after)),
        (": x", held("Number of unique users", "go_live.results.0.text")),
        *[("Post-launch actual: xx lorem ipsum", held(f"KPI {k}", f"go_live.kpis.{k - 1}.name")) for k in (1, 2, 3)],
        (
            ":, lorem ipsum",
            held("Any issues with VA handling/processing?", "go_live.results.1.text"),
            held("yes/no", "go_live.results.1.kind"),
        ),
        (": lorem ipsum", held("Types of errors logged", "go_live.results.2.text")),
        (
            "",
            held(
                "Any UX changes necessary based on the logs, or feedback on user challenges, or VA challenges?",
                "go_live.results.3.text",
            ),
            held("yes/no", "go_live.results.3.kind"),
        ),
        (": lorem ipsum", held("If yes, what", "go_live.results.4.text")),
    ]


LINES: list[tuple[Any, ...]] = [
    ("", held("DRAFT", "draft", True), held("VAOS Service Integration - Release Plan", "title")),
    ("Work for the vaos service integration is broken up into toggles:", held("4", "toggles", 4)),
    *[
        ("()", held(about, f"toggles.{n}.about"), held(key, f"toggles.{n}.key"))
        for n, (about, key) in enumerate(
            [
                ("Community Care appointments", "va_online_scheduling_vaos_service_cc_appointments"),
                ("Facilities", "va_online_scheduling_facilities_service_v2"),
                ("Request-related services", "va_online_scheduling_vaos_service_requests"),
                ("VA VistA-based appointments", "va_online_scheduling_vaos_service_va_appointments"),
            ]
        )
    ],
    (
        "",
        held(
            "For this launch, the rollout of each toggle will happen concurrently in order to avoid requests being "
            "routed to different systems at the same time.",
            "why_together",
        ),
    ),
    ("---",),
    ("Prerequisites",),
    (
        "of the following are required before VAOS frontend enables the toggles for integration with the VAOS service:",
        held("All", "prerequisites", 4),
    ),
    (
        "",
        held(
            "HSRM is launched and live in Production, and ready to manage appointment requests",
            "prerequisites.0.text",
        ),
    ),
    (
        "",
        held(
            "VAOS Service is launched and live in Production, and ready to accept scheduling and appointment "
            "transactions",
            "prerequisites.1.text",
        ),
    ),
    ("", held("Business Stakeholders approved Veteran-facing launch", "prerequisites.2.text")),
    ("", held("VAOS Product Owner approved Veteran-facing launch", "prerequisites.3.text")),
    ("", held("Phase I: Code Deployment of VAOS Service Integration", "deploy.title")),
    ("Planning",),
    ("Desired date:",),
    (
        "VAOS Service Integration Code will be deployed to on",
        held("production", "environment"),
        held("07/29/22", "deploy.date.first", "2022-07-29"),
    ),
    (LIMITED,),
    (
        "",
        held(
            "During this phase, code will be deployed to production but all feature flags will be disabled. Community "
            "Care appointment requests will continue to be sent to Scheduling Manager",
            "deploy.how_limited",
        ),
    ),
    (CRITERIA,),
    (
        "Success will be determined by monitoring the current [Grafana Dashboard](). After deployment:",
        held(DASHBOARD, "deploy.dashboards.Grafana Dashboard"),
    ),
    (
        "[]() should be errors for",
        held("Sum of Errors", "deploy.criteria", NAMES),
        held(ERRORS, "criteria.Sum of Errors.dashboard"),
        held("less than 10", "criteria.Sum of Errors.below", Quantity(10)),
        held("any 10 minute period", "criteria.Sum of Errors.per_seconds", 600),
    ),
    (
        "[]() should",
        held("Breaker Skipped Alert", "deploy.criteria", NAMES),
        held(BREAKER, "criteria.Breaker Skipped Alert.dashboard"),
        held("not register any alerts", "criteria.Breaker Skipped Alert.at_most", Quantity(0)),
    ),
    (
        "[]() should be",
        held("Average VAOS Latency", "deploy.criteria", NAMES),
        held(LATENCY, "criteria.Average VAOS Latency.dashboard"),
        held("less than 5s", "criteria.Average VAOS Latency.below", Quantity(5, "s")),
    ),
    ('Links to dashboard(s) showing "success criteria" metrics:',),
    ("[Grafana Dashboard]()", held(DASHBOARD, "deploy.dashboards.Grafana Dashboard")),
    dashboard_of("Sum of Errors", ERRORS),
    dashboard_of("Breaker Skipped Alert", BREAKER),
    dashboard_of("Average VAOS Latency", LATENCY),
    ("", held("Final VAOS Service Integration deployed to production, flags disabled", "deploy.watch.0.title")),
    ("Planning",),
    (
        "Success metrics to be monitored by teams",
        held(
            "VAOS Front End engineering and product management",
            "deploy.watch.0.monitored_by",
            ["VAOS Front End engineering", "VAOS Front End product management"],
        ),
    ),
    ("Issues to be reported to:",),
    ("For", held("front end issues related to VAOS website", "report_issues.0.purpose")),
    ("Create a ticket in Github and assign labels:", held("vaos_v2_prod", "report_issues.0.github_labels.0")),
    ("Post Github issue in channel", held("vaos-team", "report_issues.0.channel")),
    ('Title message with ""', held("VAOS V2 Prod", "report_issues.0.title")),
    ("Tag/notify VAOS frontend team using in channel", held("@vaos-fe-all", "report_issues.0.notify")),
    ("Percentage of users: 0%",),  # a watch has no exposure to set: code_deploy is always nobody
    ("Length of time:", held("0-24 hrs", "deploy.watch.0.until", 86_400)),
    ("Results:",),
    ('Metrics at this stage (per your "success criteria"):',),
    *[("=", held(name, "deploy.criteria", NAMES)) for name in NAMES],
    (
        ":",
        held("Was the data submitted (if any) easy for VA to process?", "deploy.watch.0.results.0.text"),
        held("yes/no", "deploy.watch.0.results.0.kind"),
    ),
    (":", held("Types of errors logged", "deploy.watch.0.results.1.text")),
    ("", held("Phase II: Test VAOS Service Integration in Production with Select Veterans", "testing.title")),
    ("Planning",),
    (
        "",
        held(
            "Work with OCC to identify veterans that can test VAOS Service Integration prior to Go-Live",
            "testing.recruiting",
        ),
    ),
    (
        "Setup minute meetings with veterans to walk through test workflows",
        held("15", "testing.sessions.length.at_least", 900),
        held("-30", "testing.sessions.length.at_most", 1_800),
    ),
    (
        "Add veteran user account to feature flags in production scheduled meeting",
        held("30 minutes before", "testing.sessions.toggles_on", 1_800),
    ),
    ("Disable feature flags for veteran", held("after meeting", "testing.sessions.toggles_off", 0)),
    ("Pre Go-Live Testing",),
    ("Test workflows",),
    ("", held("View upcoming appointments and appointment requests", "testing.workflows.0")),
    ("", held("View Cancelled appointments and Past appointments", "testing.workflows.1")),
    (
        "",
        held("Schedule available appointment types (Direct, Request, Community Care)", "testing.workflows.2"),
    ),
    ("", held("Cancel appointment types created in previous test", "testing.workflows.3")),
    ("Results:",),
    ("", held("Record load times", "testing.results.0.text")),
    ("", held("Record comments on appointment details", "testing.results.1.text")),
    ("", held("Record any errors encountered", "testing.results.2.text")),
    ("", held("Phase III: VAOS Service Integration Go-Live in Production", "rollout.title")),
    ("Planning",),
    ("Desired date range:", held("TBD by Office of Community Care", "rollout.dates.text")),
    (
        LIMITED,
        held(
            "The partial launch of the VAOS Service Integration would result in appointment requests being sent to "
            "multiple systems, varying by patient and clinic. As a result, the Business Owners (OCC) have decided to "
            "do a 100% cutover. This initial Go-Live will only impact Community Care appointment requests, which are "
            "a small percentage of the total requests received through VAOS.",
            "rollout.how_limited",
        ),
    ),
    (
        CRITERIA,
        held(
            "[use your KPIs to help guide this. It could be things like abandonment rate < 20%, reported contact "
            "center calls < 2 calls, error rate < 5%, etc.]",
            "gaps.rollout / criteria",
            "stage-1",
        ),
    ),
    (
        'Links to dashboard(s) showing "success criteria" metrics:',
        held("[link here]", "gaps.rollout / dashboards", "stage-1"),
    ),
    ("Go Live!",),
    ("Planning:",),
    ("Desired date:", held("mm/dd/yy", "gaps.go_live / date", "go_live")),
    *[
        (
            "Post-launch:",
            held(f"KPI {n}", f"go_live.kpis.{n - 1}.name"),
            held("xx lorem ipsum", f"gaps.go_live / kpis / {n}", "go_live"),
        )
        for n in (1, 2, 3)
    ],
    ("etc",),
    ("Go / No Go: (ready / not ready)[]", held(TEMPLATE, "go_no_go.template")),
    *results("1 week", 0),
    *results("1 month", 1),
    ("Post-launch Questions",),
    ("To be completed once you have gathered your initial set of data, as outlined above.",),
    *[
        ("", held(text, f"post_launch_questions.{n}.text"))
        for n, text in enumerate(
            [
                'How do the KPIs you gathered compare to your pre-launch definition(s) of "success"?',
                "What qualitative feedback have you gathered from users or other stakeholders, if any?",
                "Which of the assumptions you listed in your product outline were/were not validated?",
                "How might your product evolve now or in the future based on these results?",
            ]
        )
    ],
]


def seed_lines() -> list[str]:
    """The seed's lines without Markdown's marks, with its typing errors put right."""
    return [plain(line) for line in (HERE / "seed.md").read_text().splitlines() if line.strip()]


def plain(line: str) -> str:
    text = re.sub(r"^\s*(?:#+ |- \[ \] |- |\d+\. )?", "", line)
    text = re.sub(r"(?<!\w)_|_(?!\w)|\\", "", text)
    for wrong, right in TYPOS.items():
        text = text.replace(wrong, right)
    return " ".join(text.split())


@pytest.fixture(scope="module")
def plan() -> Plan:
    path = PLANS / "vaos-service-integration.yaml"
    return parse(path.read_bytes(), default_id=path.stem)


def value_at(plan: Plan, path: str) -> Any:
    """The value at a dotted path; a gap's is the step that it blocks."""
    if path.startswith("gaps."):
        return {gap.path: gap.step for gap in plan.gaps}[path.removeprefix("gaps.")]
    value: Any = plan
    for part in path.split("."):
        if isinstance(value, dict):
            value = value[part]
        else:
            value = value[int(part)] if isinstance(value, tuple) else getattr(value, part)
    return value


def test_every_line_of_the_seed_is_mapped() -> None:
    lines = seed_lines()
    for line, (label, *held_words) in zip(lines, LINES, strict=False):
        rest = line
        for words, _, _ in held_words:
            assert words in rest, f"{words!r} is not in the seed's line {line!r}"
            rest = rest.replace(words, "", 1)
        squeezed = re.sub(r"\s+([:,)])", r"\1", " ".join(rest.split()))
        assert squeezed.strip() == label, f"of the seed's line {line!r} nothing maps {squeezed!r}"
    assert len(lines) == len(LINES)


@pytest.mark.parametrize("entry", LINES, ids=lambda entry: entry[0][:40] or entry[1][0][:40])
def test_the_plan_holds_what_the_line_says(plan: Plan, entry: tuple[Any, ...]) -> None:
    for words, path, expected in entry[1:]:
        found = value_at(plan, path)
        if expected is WORDS:
            assert found == words
        elif isinstance(expected, int) and isinstance(found, tuple):
            assert len(found) == expected
        else:
            assert (list(found) if isinstance(found, tuple) else found) == expected


def test_the_seed_is_under_a_hundred_lines_and_right_but_for_its_blanks(plan: Plan) -> None:
    assert len((PLANS / "vaos-service-integration.yaml").read_text().splitlines()) <= 100
    assert {finding.level for finding in check(plan)} == {"gap"}
    assert len(plan.gaps) == 7


def test_the_example_values_fill_every_blank_and_change_nothing_else(plan: Plan) -> None:
    filled = parse((PLANS / "vaos-service-integration.example-values.yaml").read_bytes())
    assert check(filled) == ()
    assert filled.id == plan.id
    assert (filled.toggles, filled.prerequisites, filled.deploy) == (plan.toggles, plan.prerequisites, plan.deploy)
    assert (filled.testing, filled.report_issues) == (plan.testing, plan.report_issues)
    assert [kpi.name.startswith("Example: ") for kpi in filled.go_live.kpis] == [True] * 3
