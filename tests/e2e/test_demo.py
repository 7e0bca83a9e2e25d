"""The demo, from curtain to curtain, as a user starts it: a process of its own, no question asked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests import browser
from tests.browser import needs_browser
from tests.e2e.seed_blanks import BLANKS, PHASE_2, WORKFLOWS, lines_of_the_seed

pytestmark = pytest.mark.connected

ROOT = Path(__file__).parents[2]


def demo(*options: str, limit: float = 100) -> str:
    """What the demo prints; it must end well and in time."""
    with TemporaryDirectory() as unread:
        where = () if "--report" in options else ("--report", unread)
        command = [sys.executable, "-m", "services.cli", "demo", "--pace", "0", *options, *where]
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"\nClosed\. \d+ records", done.stdout)
    assert done.stderr == ""
    return " ".join(done.stdout.split())


def in_order(text: str, *parts: str) -> None:
    """Each part comes somewhere after the one before it."""
    at = 0
    for part in parts:
        found = text.find(part, at)
        assert found >= 0, f"{part!r} does not come after the part before it"
        at = found + len(part)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo without a breach leaves its report, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "printed").write_text(demo("--report", str(folder)))
    return folder


@pytest.fixture(scope="module")
def breach(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the demo with a breach, where everything was tried twice."""
    folder = tmp_path_factory.mktemp("breach")
    (folder / "printed").write_text(demo("--breach", "--report", str(folder)))
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all pages."""
    with browser.browser() as found:
        yield found


def test_the_demo_carries_the_plan_from_adoption_to_closed(report: Path) -> None:
    text = (report / "printed").read_text()
    in_order(
        text,
        "$ cutover adopt plans/vaos-service-integration.yaml",
        "What blocks report-deploy (2)",
        "$ cutover report-deploy vaos-service-integration vets-website",
        "Everything is deployed; the watch begins",
        "$ cutover start-testing vaos-service-integration Refused:",
        "is not attested by Business Stakeholders",
        "$ cutover attest",
        "the time of code deployment is over",
        "revision 14: veteran testing",
        "the window of veteran-1 opens",
        "on va_online_scheduling_vaos_service_cc_appointments",
        "the window of veteran-1 closes",
        "off va_online_scheduling_vaos_service_cc_appointments",
        "$ cutover cut-over vaos-service-integration Refused:",
        "the plan says 'TBD' at 'rollout / criteria'",
        "VAOS Product Owner has not decided go",
        "$ cutover revise-plan",
        "$ cutover decide vaos-service-integration go",
        "everyone has all 4 toggles on, together",
        "The whole toggle group is on for everyone",
        "$ cutover go-live",
        "Results after 1 week",
        "Results after 1 month",
        "$ cutover close vaos-service-integration keep Refused:",
        "$ cutover answer-question",
        "$ cutover close vaos-service-integration keep --reason",
        "$ cutover audit",
        "$ cutover report vaos-service-integration -o",
        "The report is kept: open",
    )
    assert "rolled back" not in text


def test_in_a_breach_it_rolls_back_and_succeeds_at_the_second_try(breach: Path) -> None:
    in_order(
        (breach / "printed").read_text(),
        "The whole toggle group is on for everyone",
        "Sum of Errors for stage-1: fail at 23",
        "$ cutover halt",
        "$ cutover roll-back",
        "The whole toggle group is off for everyone",
        "[rolled back]",
        "$ cutover report-deploy",
        "$ cutover start-testing",
        "$ cutover decide",
        "The whole toggle group is on for everyone",
        "$ cutover go-live",
        ": closed.",
    )
    said = (breach / "report.md").read_text()
    in_order(
        said,
        "- Blanks filled: 83 of 83",
        "an earlier try began Mon 2022-08-15 08:00 EDT [record",
        "## Rollbacks and halts",
        "| Halted | Mon 2022-08-15 09:00 EDT | kim (monitor) | 23 errors in 10 minutes: requests reach the wrong",
        "| Rolled back: off for everyone | Mon 2022-08-15 09:00 EDT | morgan (release manager) |",
        "Sum of Errors failed in stage 1 (everyone)",
        "Nothing: every blank of the plan is filled.",
    )


# -- the report, as whoever gets it sees it


def test_no_blank_of_the_seed_is_forgotten_here() -> None:
    lines = list(lines_of_the_seed())
    named = {(blank.heading, blank.line) for blank in BLANKS}
    missed = [line for line in lines if not any(line[0] == h and line[1].startswith(start) for h, start in named)]
    assert missed == []
    unknown = {(h, start) for h, start in named if not any(h == at and line.startswith(start) for at, line in lines)}
    assert unknown == set()


@needs_browser
def test_the_report_answers_every_blank_of_the_seed(report: Path, chromium: Browser) -> None:
    with browser.page(chromium, (report / "report.html").as_uri()) as (page, heard):
        seen = {(*found["path"], found["label"]): found for found in page.evaluate(browser.BLANKS)}
        assert page.title() == "VAOS Service Integration - Release Plan"
        assert page.get_by_role("heading", level=1).inner_text() == page.title()
        assert page.get_by_role("region", name="Still open").inner_text().endswith("every blank of the plan is filled.")
        sessions = page.get_by_role("table", name="Session veteran-1, Tue 2022-08-02 10:30 EDT")
        for workflow in WORKFLOWS:
            row = sessions.get_by_role("row").filter(has=page.get_by_role("rowheader", name=workflow, exact=True))
            assert re.search(r"\d s\b", row.inner_text()), workflow
            done = seen[PHASE_2, "Pre Go-Live Testing", "Test workflows", workflow]
            assert done["value"].startswith("done in ")
    assert heard == [(report / "report.html").as_uri()], (
        "the page asks the network for nothing, and complains of nothing"
    )
    for blank in BLANKS:
        found = seen[*blank.section, blank.label]
        assert blank.says in found["value"], blank
        assert "not recorded" not in found["value"], blank
        assert found["records"] or blank.label == "Percentage of users", f"{blank} names no record"


@needs_browser
@pytest.mark.parametrize("told", ["report", "breach"])
def test_the_report_keeps_the_rules_of_accessibility(
    told: str, chromium: Browser, request: pytest.FixtureRequest
) -> None:
    """WCAG 2.1 A and AA by axe-core; readable at the width of a phone, which is that of a desktop at 400%."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    address = (request.getfixturevalue(told) / "report.html").as_uri()
    with browser.page(chromium, address) as (page, _):
        found = Axe().run(page, options=rules)
        assert found.violations_count == 0, found.generate_report()
        page.set_viewport_size({"width": 320, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


@needs_browser
def test_the_report_is_read_without_its_style_and_on_paper(report: Path, chromium: Browser) -> None:
    with browser.page(chromium, (report / "report.html").as_uri()) as (page, _):
        assert page.evaluate("document.documentElement.lang") == "en"
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5')].map(each => +each.tagName[1])")
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
        assert page.pdf(format="Letter").startswith(b"%PDF-")
        page.emulate_media(media="print")
        assert not page.get_by_role("navigation").is_visible()
        size = "name => parseFloat(getComputedStyle(document.querySelector(name)).fontSize)"
        main, *less = (page.evaluate(size, name) for name in (".value", ".by", ".notes", "td", ".tag", ".legend"))
        assert main == 14  # pixels: 10.5 points
        assert all(main * 0.75 < each < main for each in less), less
