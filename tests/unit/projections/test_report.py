"""The filled-in release plan: what it says of any history, and that whatever people wrote stays text in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from events import facts as f
from events.facts import EVERYONE, NOBODY, TESTERS, Actor, Fact, Record
from events.plan.schema import (
    After,
    Criterion,
    Deploy,
    GoLive,
    GoNoGo,
    IssueRoute,
    Item,
    Plan,
    Planned,
    Quantity,
    Question,
    RolloutPlan,
    Stage,
    Testing,
    Toggle,
    Watch,
)
from projections.report import Document, html, markdown, report
from projections.report.document import Answer, Cell, answers_of, clean, web_address
from projections.report.history import History, Line
from projections.report.markdown import escaped
from projections.report.writing import Pen
from services.plan import file as plan_file

START = datetime(2022, 7, 29, 12, tzinfo=UTC)
CODE = "Phase I: Code deployment"
AUDIT = "https://cutover.test/v1/rollouts/small/audit"
PLANS = sorted((Path(__file__).parents[3] / "plans").glob("*.yaml"))
MANAGER = Actor("morgan", "release_manager")
SEALED = "enc:c2VhbGVk"


class Told:
    """A history as it is told: each call adds a record, an hour after the one before."""

    def __init__(self, plan: Plan) -> None:
        self.records: list[tuple[int, Record]] = []
        self(f.PlanAdopted(plan), f.PhaseEntered("planned"))

    def __call__(self, *facts: Fact, who: Actor = MANAGER, **more: Any) -> int:
        revision = len(self.records) + 1
        when = START + timedelta(hours=revision)
        self.records.append(
            (revision, Record(1, "small", revision, "", when, who, "c", str(revision), "", facts, **more))
        )
        return revision

    def report(self, as_of: datetime | None = None, **more: Any) -> Document:
        return report(self.records, as_of or self.records[-1][1].when, audit=AUDIT, **more)


def small(text: str = "plain", **parts: Any) -> Plan:
    """A plan with every kind of part, all of them worded `text`."""
    whole: dict[str, Any] = {
        "title": f"Title {text}",
        "id": "small",
        "toggles": (Toggle("one", text),),
        "why_together": text,
        "prerequisites": (Item(text, id="live"),),
        "criteria": {f"C {text}": Criterion(name=f"C {text}", below=Quantity(10.0), dashboard=text)},
        "go_no_go": GoNoGo(template=text, decided_by=(f"Owner {text}",)),
        "deploy": Deploy(
            services=("api",),
            date=Planned("2022-07-29", "2022-07-29", "2022-07-29"),
            how_limited=text,
            dashboards={text: text},
            criteria=(f"C {text}",),
            watch=(Watch(title=text, monitored_by=(text,), results=(Question(text, id="errors"),)),),
        ),
        "testing": Testing(recruiting=text, workflows=(f"W {text}",), results=(Question(text, id="times"),)),
        "rollout": RolloutPlan(title=text, how_limited=text, criteria=(f"C {text}",)),
        "go_live": GoLive(
            kpis=(Criterion(name=f"K {text}", below=Quantity(5.0)),),
            results_after=(After("1 week", 604_800),),
            results=(Question("Number of unique users", id="users"), Question(text, id="ux")),
        ),
        "post_launch_questions": (Question(f"Q {text}", id="how"),),
        "report_issues": (IssueRoute(purpose=text, channel=text, title=text, notify=text),),
    }
    return Plan(**(whole | parts))


def carried_out(text: str = "plain") -> Told:
    """A history with every kind of fact, all of them worded `text`."""
    tell = Told(small(text))
    why: dict[str, Any] = {"reason": text, "note": text, "evidence": (f.Evidence("link", source=text),)}
    tell(f.DeployReported("api", "production", text), f.PhaseEntered("code_deploy"), f.WatchStarted(), **why)
    tell(f.Attested("live", text), **why)
    judged = (START, START + timedelta(hours=3))
    for value in (4.0, 12.0):
        tell(f.VerdictRecorded(f"C {text}", "code_deploy", "pass", "", text, *judged, Quantity(value)), **why)
    tell(f.ResultRecorded("code_deploy", "errors", text, text))
    tell(f.PhaseEntered("veteran_testing"), f.ExposureSet(TESTERS))
    opens, closes = START + timedelta(hours=9), START + timedelta(hours=10)
    tell(f.SessionScheduled("s", "t-1", opens, closes, opens, closes))
    tell(f.WindowOpened("s"))
    tell(f.WindowClosed("s"))
    workflow = f.WorkflowResult(f"W {text}", False, (1.5,), SEALED, SEALED)
    tell(f.SessionRecorded("s", True, (workflow,), SEALED), reason=SEALED)
    tell(f.WorkflowWaived("s", f"W {text}", SEALED))
    tell(f.ResultRecorded("veteran_testing", "times", text))
    tell(f.Decided("go", "stage-1", f"Owner {text}", 1, 1), **why)
    tell(f.PhaseEntered("cutover"), f.StageEntered(1, text), f.ExposureSet(EVERYONE))
    tell(f.Halted(text), **why)
    tell(f.IssueReported(text, text))
    tell(f.Announced("small/16/0/0", "github", "sent", url=text), f.Announced(text, "slack", "not sent", why=text))
    tell(f.Resumed())
    tell(f.VerdictRecorded(f"C {text}", "stage-1", "fail", "", text, *judged, Quantity(11.0)))
    tell(f.PhaseEntered("go_live"))
    tell(f.SnapshotTaken("1 week", (f.SnapshotEntry(text),), because=text))
    for item, words in (("users", "7"), ("ux", text), (f"K {text}", "3")):
        tell(f.ResultRecorded("1 week", item, words, text))
    tell(f.QuestionAnswered("how", text, text))
    tell(f.Noted(text))
    tell(f.EvidenceRecorded("tests", text, outcome=text, text=text, link=text))
    tell(f.PhaseEntered("closed"), **why)
    return tell


def blanks(document: Document) -> dict[tuple[str, str], Answer]:
    """Every blank by the part of the plan it stands in, and its label."""
    return {(path[0], one.label): one for section in document.sections for path, one in answers_of(section)}


def state(document: Document, title: str, label: str) -> tuple[str, str]:
    found = blanks(document)[title, label].value
    return found.state, found.text


# -- what it says


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_plan_is_shown_with_all_that_is_not_known_marked(path: Path) -> None:
    plan = plan_file.read(path.read_bytes(), default_id="small").plan
    document = Told(plan).report()
    assert markdown(document).startswith("# ")
    assert "<main" in html(document)
    still_open = document.sections[-1]
    assert still_open.title == "Still open"
    states = {answer.value.state for answer in blanks(document).values()}
    assert states == {"known", "open"}


def test_a_blank_of_the_plan_stays_a_blank_until_it_is_filled() -> None:
    text = (Path(__file__).parents[3] / "plans" / "vaos-service-integration.yaml").read_bytes()
    document = Told(plan_file.read(text, default_id="small").plan).report()
    assert state(document, "Go Live!", "Post-launch KPI 1") == ("open", "not filled in yet (the plan says: TBD)")
    assert state(document, "Go Live!", "Post-launch KPI 1 actual") == ("open", "not recorded yet")
    assert "TBD by Office of Community Care" in markdown(document)


def test_everything_recorded_is_there_with_the_record_that_says_so() -> None:
    document = carried_out().report()
    found = blanks(document)
    assert {label for (_, label), one in found.items() if one.value.state != "known"} == set()
    assert found[CODE, "C plain"].value.revisions == (5,)
    assert found[CODE, "C plain"].value.text == "12"
    assert found["Go Live!", "Number of unique users"].value.text == "7"
    assert found["Go Live!", "Number of unique users"].by == "morgan (release manager)"
    assert found["Go Live!", "Go / No Go (ready / not ready)"].value.text == "Ready: go by Owner plain"


def test_what_a_set_of_results_lacks_says_when_it_is_due() -> None:
    tell = Told(small())
    tell(f.PhaseEntered("cutover"), f.StageEntered(1), f.ExposureSet(EVERYONE))
    users = ("Go Live!", "Number of unique users")
    assert state(tell.report(), *users) == ("due", "due 2022-08-05")
    late = tell.report(START + timedelta(days=30))
    assert state(late, *users) == ("open", "not recorded yet")
    assert "was due 2022-08-05" in [note.text for note in blanks(late)[users].notes]


def test_after_a_rollback_the_earlier_value_is_shown_as_earlier() -> None:
    tell = carried_out()
    tell(f.PhaseEntered("rolled_back"), f.ExposureSet(NOBODY), reason="it broke")
    document = tell.report()
    assert state(document, CODE, "C plain") == ("known", "12")
    assert state(document, "Go Live!", "Number of unique users") == ("open", "not recorded yet")
    assert state(document, "Post-launch Questions", "Q plain")[0] == "open"
    tell(f.DeployReported("api", "production", "2"), f.PhaseEntered("code_deploy"), f.WatchStarted())
    again = tell.report()
    assert state(again, CODE, "C plain") == ("open", "not recorded yet")
    notes = [note.text for note in blanks(again)[CODE, "C plain"].notes]
    assert blanks(again)["Go Live!", "Number of unique users"].value.state == "open"
    assert any(note.startswith("earlier: 12 (pass), ") for note in notes)
    assert "Rolled back: off for everyone" in markdown(again)
    assert "it broke" in markdown(again)


def test_code_that_was_deployed_before_a_rollback_is_still_deployed() -> None:
    told = Told(small())
    deployed = told(f.DeployReported("api", "production", "1.0"), f.PhaseEntered("code_deploy"), f.WatchStarted())
    told(f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back"))
    answers = {label: answer for (_, label), answer in blanks(told.report()).items()}
    at = answers["Actual date of api"]
    assert (at.value.revisions, at.value.state) == ((deployed,), "known")
    assert [note.text for note in at.notes] == ["before the release was rolled back; not deployed again since"]
    watched = answers["Watched for"]
    assert watched.value.text.startswith("1 hour, ")
    assert [note.text for note in watched.notes] == ["before the release was rolled back"]


def test_a_short_step_is_told_to_the_second() -> None:
    pen = Pen(History([Line(1, Told(small()).records[0][1])]), START)
    assert pen.times(START, START + timedelta(seconds=5)).endswith("12:00:00 to 12:00:05 UTC")
    assert pen.times(START, START + timedelta(hours=5)).endswith("12:00 to 17:00 UTC")


def test_a_cancelled_rollout_says_that_the_rest_was_never_recorded() -> None:
    tell = Told(small())
    tell(f.PhaseEntered("cancelled"), reason="no budget")
    assert state(tell.report(), "Go Live!", "Number of unique users") == ("open", "not recorded")
    assert "no budget" in markdown(tell.report())


def test_a_withdrawn_prerequisite_is_open_again() -> None:
    tell = Told(small())
    tell(f.Attested("live", ""))
    assert state(tell.report(), "Prerequisites", "plain") == ("known", "Yes, attested")
    tell(f.AttestationWithdrawn("live"), reason="it is down")
    assert state(tell.report(), "Prerequisites", "plain") == ("open", "withdrawn")


def test_a_go_that_lost_its_force_is_not_ready() -> None:
    tell = Told(small())
    label = ("Go Live!", "Go / No Go (ready / not ready)")
    assert state(tell.report(), *label)[0] == "open"
    tell(f.Decided("go", "stage-1", "Owner plain", 1, 1))
    assert state(tell.report(), *label) == ("known", "Ready: go by Owner plain")
    tell(f.DeployReported("api", "production", "2"))
    assert state(tell.report(), *label)[0] == "open"


def test_a_go_before_another_answer_is_not_ready() -> None:
    question = Question("Does the call center know?", id="calls")
    tell = Told(small(go_no_go=GoNoGo(decided_by=("Owner plain",), questions=(question,))))
    tell(f.QuestionAnswered("calls", "yes"))
    tell(f.Decided("go", "stage-1", "Owner plain", 1, 1))
    label = ("Go Live!", "Go / No Go (ready / not ready)")
    assert state(tell.report(), *label) == ("known", "Ready: go by Owner plain")
    tell(f.QuestionAnswered("calls", "no"))
    assert state(tell.report(), *label) == ("open", "not decided by all, or no longer standing")


def test_what_testers_said_is_shown_only_as_it_is_revealed() -> None:
    tell = carried_out()
    for shown in (markdown(tell.report()), html(tell.report())):
        assert "enc:" not in shown
        assert "kept encrypted" in shown
    opened = markdown(tell.report(reveal=lambda tester, _text: f"said by {tester}"))
    assert "said by t-1" in opened


def test_the_same_records_give_the_same_bytes() -> None:
    tell = carried_out()
    assert markdown(tell.report()) == markdown(tell.report())
    assert html(tell.report()) == html(tell.report())


def test_a_history_that_adopts_no_plan_is_no_report() -> None:
    with pytest.raises(ValueError, match="adopted plan"):
        report([], START)


# -- whatever people wrote stays text

NASTY = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "| a | b |",
    "[click](javascript:alert(1))",
    "![x](https://evil.test/x.png)",
    "https://evil.test/?a=<b>&c='\"",
    "javascript:alert(1)",
    "data:text/html,<b>",
    "www.evil.test",
    "<https://evil.test>",
    "# heading",
    "1. one\n2. two",
    "- item\n\n    code",
    "```\ncode\n```",
    "a\n===\nb",
    "&lt;b&gt; &amp; &#60;i&#62;",
    "[r1]: https://evil.test",
    "[record 1][r1]",
    "\\[x\\](y)",
    "\\",
    "{{ 7 * 7 }} {% raw %}",
    "</style><b>",
    "\u202egnp.exe\u2066",
    "a\x00b\x1bc",
    "@everyone #1 ~~gone~~ $x^2$",
    "<!-- x -->",
    "*bold* _it_ `code`",
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(NASTY), min_size=1, max_size=3).map(" ".join))
TAGS = set(
    re.findall(
        r"\w+",
        """
    a body caption code dd desc div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 head header html
    li line main meta nav ol p path polyline section span strong style svg table tbody td text th thead title tr ul
""",
    )
)
COMMONMARK = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes, addresses and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.words = ""
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src")}
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        self.tags.add("comment")


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


@given(TEXTS)
def test_any_text_stays_text_in_html(text: str) -> None:
    page = Page(html(carried_out(text).report()))
    assert page.tags <= TAGS, page.tags - TAGS
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert all(address.startswith(("#", "https://", "http://")) for address in page.addresses)
    assert one_line(text) in " ".join(page.words.split())
    assert len(page.ids) == len(set(page.ids))


@given(TEXTS)
def test_any_text_stays_text_in_markdown(text: str) -> None:
    document = carried_out(text).report()
    tokens = COMMONMARK.parse(markdown(document))
    inner = [one for token in tokens for one in (token.children or ())]
    kinds = {one.type for one in (*tokens, *inner)}
    assert not kinds & {"html_block", "html_inline", "image", "code_block", "fence", "hr", "blockquote_open", "s_open"}
    links = {str(one.attrs["href"]) for one in inner if one.type == "link_open"}
    own = web_address(text)
    assert all(link.startswith(AUDIT) or (own and link.startswith("http")) for link in links)
    headings = [
        inline.content for inline, before in zip(tokens[1:], tokens, strict=False) if before.type == "heading_open"
    ]
    assert len(headings) == 1 + sum(_sections(section) for section in document.sections)


def _sections(section: Any) -> int:
    return 1 + sum(_sections(inner) for inner in section.sections)


@given(TEXTS)
def test_escaped_markdown_reads_as_the_text_that_it_was(text: str) -> None:
    wanted = one_line(text)
    assume(wanted)
    for line in (f"- {escaped(text)}", f"x {escaped(text)}", f"| a |\n|---|\n| {escaped(text)} |"):
        inline = [token for token in COMMONMARK.parse(line) if token.type == "inline"][-1]
        assert {one.type for one in inline.children or ()} <= {"text"}
        said = "".join(one.content for one in inline.children or ())
        assert " ".join(said.split()) == " ".join(f"{'x ' if line[0] == 'x' else ''}{wanted}".split())


@given(TEXTS)
def test_only_an_address_of_the_web_becomes_a_link(text: str) -> None:
    found = web_address(text)
    assert found == "" or found.startswith(("http://", "https://", "HTTP", "Http"))
    assert not set(found) & set("<>\"' \n\\`")


@pytest.mark.parametrize("text", ["javascript:alert(1)", "data:text/html,x", "//evil.test", "https://", "ftp://x.test"])
def test_other_schemes_never_become_links(text: str) -> None:
    assert web_address(text) == ""


def test_a_table_that_would_become_too_long_says_what_it_leaves_out() -> None:
    tell = Told(small())
    for n in range(1_000):
        tell(f.Noted(f"note {n}"))
    said = markdown(tell.report())
    assert "*As they came (the latest 300 of 1000; the trail has all)*" in said
    assert "| note 999 |" in said
    assert "| note 699 |" not in said


def test_a_measured_value_names_its_own_query_and_not_those_of_the_rest_of_its_promotion() -> None:
    tell = Told(small())
    tell(f.PhaseEntered("code_deploy"), f.WatchStarted())
    evidence = tuple(f.Evidence("query", source=name, query=f"sum({name})") for name in ("C plain", "other"))
    judged = f.VerdictRecorded("C plain", "code_deploy", "pass", "", "", START, START, Quantity(4.0), True)
    tell(judged, evidence=evidence)
    notes = [note.text for note in blanks(tell.report())[CODE, "C plain"].notes]
    assert "Measured by: sum(C plain)" in notes
    assert not any("other" in note for note in notes)


def test_a_chart_and_a_value_say_a_number_as_it_was_judged() -> None:
    tell = Told(small())
    tell(f.PhaseEntered("code_deploy"), f.WatchStarted())
    for value in (123_456.7, 9.9999999):
        tell(f.VerdictRecorded("C plain", "code_deploy", "pass", "", "", START, START, Quantity(value)))
    assert state(tell.report(), CODE, "C plain") == ("known", "9.9999999")
    page = html(tell.report())
    assert "between 9.9999999 and 123456.7" in page
    assert "2022-07-29: 123456.7, pass" in page
    assert ">123500</text>" in page
    assert "e+0" not in page


OWNER = Actor("pat", "approver", ("Owner plain",))


def staged(*stages: str) -> Told:
    """A release in its first stage, let in by a go."""
    tell = Told(small(rollout=RolloutPlan(stages=tuple(Stage(to=to) for to in stages or ("25%", "everyone")))))
    tell(f.DeployReported("api", "production", "1"), f.PhaseEntered("code_deploy"), f.WatchStarted())
    tell(f.Decided("go", "stage-1", "Owner plain", 1, 1), who=OWNER, reason="the first go")
    tell(f.PhaseEntered("cutover"), f.StageEntered(1))
    return tell


def test_what_let_the_release_in_stays_the_answer_after_a_step_back() -> None:
    tell = staged()
    tell(f.Decided("go", "stage-2", "Owner plain", 1, 1), who=OWNER, reason="a go for more")
    tell(f.StageEntered(2))
    tell(f.StageEntered(1), f.Halted("went back to stage 1: slow"), reason="slow")
    ready = blanks(tell.report())["Go Live!", "Go / No Go (ready / not ready)"]
    assert (ready.value.text, ready.value.revisions) == ("Ready: go by Owner plain", (3,))
    assert [note.text for note in ready.notes] == ["Why: the first go"]


def test_after_a_rollback_the_next_go_is_the_answer() -> None:
    tell = staged()
    tell(f.PhaseEntered("rolled_back"), f.ExposureSet(NOBODY))
    label = ("Go Live!", "Go / No Go (ready / not ready)")
    assert state(tell.report(), *label)[0] == "open"
    again = tell(f.Decided("go", "stage-1", "Owner plain", 1, 1), who=OWNER)
    tell(f.PhaseEntered("cutover"), f.StageEntered(1))
    assert blanks(tell.report())[label].value.revisions == (again,)


def at(hours: float) -> datetime:
    """As many hours after the beginning: the records of a history are one apart."""
    return START + timedelta(hours=hours)


def met(opens: float, closes: float | None) -> Told:
    """A session whose meeting is an hour after its window opens; scheduled at 4."""
    tell = Told(small())
    tell(f.PhaseEntered("code_deploy"))
    tell(f.PhaseEntered("veteran_testing"), f.ExposureSet(TESTERS))
    ends = None if closes is None else at(closes)
    tell(f.SessionScheduled("s", "t-1", at(opens), ends, at(opens), ends))
    return tell


def window(tell: Told) -> str:
    """When the report says that the tester had the toggles on."""
    (row,) = [line for line in markdown(tell.report()).splitlines() if line.startswith("| s | t-1 |")]
    return row.split(" | ")[3]


def test_a_tester_had_the_toggles_from_the_opening_until_the_time_was_over_and_no_longer() -> None:
    tell = met(4.5, 6.5)
    assert window(tell) == "Fri 2022-07-29 16:30 to 18:30 UTC"
    tell(f.WindowOpened("s"))
    assert window(tell) == "Fri 2022-07-29 17:00 to 18:30 UTC"
    tell(f.Noted("nobody was there"))
    tell(f.WindowClosed("s"))
    assert window(tell) == "Fri 2022-07-29 17:00 to 18:30 UTC"


def test_a_window_that_was_closed_or_cancelled_early_ended_then() -> None:
    tell = met(4.5, 9.5)
    tell(f.WindowOpened("s"))
    cancelled = Told(small())
    cancelled.records = list(tell.records)
    tell(f.WindowClosed("s"))
    assert window(tell) == "Fri 2022-07-29 17:00 to 18:00 UTC"
    cancelled(f.SessionCancelled("s"))
    assert window(cancelled) == "Fri 2022-07-29 17:00 to 18:00 UTC"


def test_a_window_without_an_end_lasts_until_testing_ends() -> None:
    tell = met(4.5, None)
    assert window(tell) == "Fri 2022-07-29 16:30 UTC until testing ends"
    tell(f.WindowOpened("s"))
    assert window(tell) == "Fri 2022-07-29 17:00 UTC until testing ends"
    tell(f.WindowClosed("s"))
    assert window(tell) == "Fri 2022-07-29 17:00 to 18:00 UTC"


def test_a_session_that_never_opened_or_was_moved_says_so() -> None:
    tell = met(8.0, 9.0)
    tell(f.WindowOpened("s"))
    tell(f.SessionMoved("s", at(30), at(31), at(30), at(31)))
    assert window(tell) == "Sat 2022-07-30 18:00 to 19:00 UTC"
    never = met(8.0, 9.0)
    never(f.SessionCancelled("s"))
    assert window(never) == "never"


def test_why_a_session_went_otherwise_is_shown_as_it_is_revealed() -> None:
    def reveal(tester: str, text: str) -> str:
        return f"{tester} said {text.removeprefix('enc:')}"

    evidence = (f.Evidence("link", source="enc:proof"),)
    for fact in (
        f.SessionMoved("s", START, None, START, None),
        f.SessionCancelled("s"),
        f.SessionRecorded("s", False),
        f.WorkflowWaived("s", "W plain", "enc:x"),
    ):
        tell = met(4.5, None)
        tell(f.SessionRecorded("s", True, (f.WorkflowResult("W plain", False),)))
        tell(fact, reason="enc:why")
        assert "t-1 said why" in markdown(tell.report(reveal=reveal))
        only = met(4.5, None)
        only(f.SessionRecorded("s", True, (f.WorkflowResult("W plain", False),)))
        only(fact, evidence=evidence)
        assert "Evidence: t-1 said proof" in markdown(only.report(reveal=reveal))


def twice() -> Told:
    """A release that was for everyone and live, was rolled back, and is tried again up to there."""
    plan = small(
        rollout=RolloutPlan(stages=(Stage(),), dates=Planned("2022-07-30", "2022-07-30", "2022-07-30")),
    )
    tell = Told(plan)
    for version in ("1", "2"):
        tell(f.DeployReported("api", "production", version), f.PhaseEntered("code_deploy"), f.WatchStarted())
        tell(f.PhaseEntered("veteran_testing"), f.ExposureSet(TESTERS))
        tell(f.PhaseEntered("cutover"), f.StageEntered(1), f.ExposureSet(EVERYONE))
        tell(f.PhaseEntered("go_live"), f.ExposureSet(EVERYONE))
        tell(f.PhaseEntered("rolled_back"), f.ExposureSet(NOBODY))
    tell.records.pop()
    return tell


def earlier(answer: Answer) -> list[tuple[str, tuple[int, ...]]]:
    return [(note.text, note.revisions) for note in answer.notes if note.text.startswith("an earlier try")]


def test_every_step_of_a_second_try_says_when_the_first_one_was() -> None:
    document = twice().report()
    found = {label: answer for (_, label), answer in blanks(document).items()}
    assert found["Actual date of api"].value.text == "2022-07-29, version 2"
    assert earlier(found["Actual date of api"]) == [("an earlier try: 2022-07-29, version 1", (2,))]
    assert earlier(found["Watched for"]) == [("an earlier try began Fri 2022-07-29 14:00 UTC", (2,))]
    assert earlier(found["Tested for"]) == [("an earlier try began Fri 2022-07-29 15:00 UTC", (3,))]
    assert earlier(found["Entered"]) == [("an earlier try began Fri 2022-07-29 16:00 UTC", (4,))]
    assert earlier(found["On for everyone since"]) == [("an earlier try began Fri 2022-07-29 16:00 UTC", (4,))]
    assert earlier(blanks(document)["Go Live!", "Actual date"]) == [
        ("an earlier try began Fri 2022-07-29 17:00 UTC", (5,))
    ]


def test_the_dates_of_every_try_stand_beside_the_planned_ones() -> None:
    said = markdown(twice().report()).splitlines()
    rows = [row.split(" | ")[:3] for row in said if row.startswith(("| Code deployment", "| Cutover"))]
    assert rows == [
        ["| Code deployment, an earlier try", "2022-07-29", "2022-07-29 [record 2][r2]"],
        ["| Code deployment", "2022-07-29", "2022-07-29 [record 7][r7]"],
        ["| Cutover, an earlier try", "2022-07-30", "2022-07-29 [record 4][r4]"],
        ["| Cutover", "2022-07-30", "2022-07-29 [record 9][r9]"],
    ]


def test_the_dates_of_a_release_that_was_rolled_back_are_those_of_the_first_try() -> None:
    tell = twice()
    del tell.records[6:]
    found = {label: answer for (_, label), answer in blanks(tell.report()).items()}
    assert found["On for everyone since"].value.state == "open"
    assert earlier(found["On for everyone since"]) == [("an earlier try began Fri 2022-07-29 16:00 UTC", (4,))]
    assert earlier(found["Actual date of api"]) == []
    assert earlier(found["Watched for"]) == []
    rows = [row.split(" | ")[:3] for row in markdown(tell.report()).splitlines() if row.startswith("| Code deploy")]
    assert rows == [["| Code deployment", "2022-07-29", "2022-07-29 [record 2][r2]"]]


def test_a_step_back_is_told_as_one_with_its_reason_once() -> None:
    tell = staged("25%", "50%", "everyone")
    tell(f.StageEntered(2))
    back = tell(f.StageEntered(1), f.Halted("went back to stage 1: slow"), reason="slow")
    tell(f.Resumed(), reason="fast again")
    tell(f.StageEntered(2))
    tell(f.PhaseEntered("rolled_back"), f.ExposureSet(NOBODY))
    tell(f.PhaseEntered("cutover"), f.StageEntered(1))
    said = markdown(tell.report()).splitlines()
    stops = [row for row in said if row.startswith(("| Went back", "| Halted", "| The release went"))]
    who = f"Fri 2022-07-29 {12 + back}:00 UTC | morgan (release manager)"
    assert stops == [
        f"| Went back to stage 1 (25%) | {who} | slow | [record {back}][r{back}] |",
        f"| Halted | {who} | went back to stage 1: slow | [record {back}][r{back}] |",
        f"| The release went back to stage 1 (25%) | {who} | slow | [record {back}][r{back}] |",
    ]


def test_a_note_keeps_its_reason_its_own_note_and_its_evidence() -> None:
    tell = Told(small())
    proofs = (f.Evidence("link", source="https://proof.test/1"), f.Evidence("link", source="minutes of Friday"))
    tell(f.Noted("the help desk knows"), reason="they asked", note="by phone", evidence=proofs)
    tell(f.EvidenceRecorded("tests", "suite", outcome="success", link="https://ci.test/7"), reason="run again")
    (note, run) = [row for row in markdown(tell.report()).splitlines() if row.startswith(("| the help", "| [tests"))]
    why = r"Why: they asked; Note: by phone; Evidence: https\://proof.test/1; Evidence: minutes of Friday"
    assert f"| [{why}](<https://proof.test/1>) |" in note
    assert run.startswith(r"| [tests: suite, success](<https://ci.test/7>) | Evidence |")
    assert "| Why: run again |" in run


def test_the_page_says_how_its_records_are_read() -> None:
    footer = Page(html(Told(small()).report())).words.split("Made from the log")[-1]
    assert "An address of a record answers whoever sends a token with it, which a browser does not." in footer
    assert "cutover audit small --from-revision N --to-revision N" in footer


def test_every_region_of_the_page_has_a_name_of_its_own() -> None:
    tell = carried_out()
    for step in ("code_deploy", "stage-1"):
        for value in (1.0, 2.0):
            tell(f.VerdictRecorded("C plain", step, "pass", "", "", START, START, Quantity(value)))
    document = tell.report()
    twice_named = replace(document, sections=(*document.sections, *document.sections))
    assert "C plain in code deployment: values" in markdown(document)
    assert "C plain in stage 1 (everyone): values" in markdown(document)
    names = re.findall(r'<(?:section|div)[^>]* aria-label="([^"]*)"', html(twice_named))
    assert len(names) > 2 * len(document.sections)
    assert len(names) == len(set(names))


def test_blanks_that_the_plan_leaves_out_are_not_counted_as_filled() -> None:
    def counted(plan: Plan) -> str:
        return Told(plan).report().summary[2].value.text

    assert counted(Plan(title="Bare", id="small")) == "7 of 14; 14 more are not in the plan"
    assert counted(small()) == "19 of 37; 2 more are not in the plan"
    assert not Answer("Recorded in these words", Cell("not in the plan", revisions=(3,))).left_out
