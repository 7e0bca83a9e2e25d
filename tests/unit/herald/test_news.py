"""What people are told, and in which words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from events import facts as f
from events.facts import Actor, Record, WorkflowResult
from events.plan.schema import IssueRoute, Plan
from services.herald.news import QUERY, Message, messages
from services.herald.wording import body, marker, mention, pasted, post, title
from services.rollout import commands as c
from services.rollout.state import Rollout, apply
from tests.unit.rollout.scenario import (
    DAY,
    FACILITATOR,
    HOUR,
    MONITOR,
    RELEASE_MANAGER,
    Story,
    adopted,
    cut_over,
    plan_of,
    scheduled,
    seed,
)

WHEN = datetime(2022, 7, 29, 12, tzinfo=UTC)
LINK = "https://cutover.example.gov/v1/rollouts/x/audit"


def told(story: Story, last: int = 1) -> list[Message]:
    """The messages of the story's last records."""
    state: Rollout | None = None
    found: list[Message] = []
    for n, record in enumerate(story.records, 1):
        before, state = state, apply(state, record, n * 10)
        found += messages(before, state, record, n * 10, LINK) if n > len(story.records) - last else []
    return found


def announcing(*what: str, **parts: Any) -> Plan:
    route = {"for": "the api", "channel": "team", "title": "API", "announce": list(what)}
    return plan_of(report_issues=[route], **parts)


def test_a_breach_is_told_with_value_limit_revision_and_link() -> None:
    story = cut_over().then(c.RecordVerdict("Sum of Errors", value="12"), by=MONITOR)
    (message,) = told(story)
    revision = len(story.records) * 10
    assert message.cause == f"vaos-service-integration/{revision}/0/0"
    assert message.channels == ("github", "slack")
    assert title(message).startswith("VAOS V2 Prod: 'Sum of Errors' failed in stage 1")
    for words in ("**Value**: 12", "**Limit**: below 10 per any 10 minutes", f"**Revision**: {revision}", LINK):
        assert words in body(message)
    assert body(message).rstrip().endswith(marker(message.cause))
    slack = post(message, "https://github.com/va/team/issues/7")
    assert slack.startswith("VAOS V2 Prod: ")
    assert "@vaos-fe-all" in slack.splitlines()[0]
    assert "GitHub issue: https://github.com/va/team/issues/7" in slack


def test_a_measured_breach_names_its_query() -> None:
    measured = {"Errors": {"below": 10, "query": "sum(rate(errors_total[5m]))"}}
    route = {"for": "the api", "github_labels": ["bug"], "channel": "team"}
    plan = plan_of(criteria=measured, deploy={"services": ["api"], "criteria": ["Errors"]}, report_issues=[route])
    story = adopted(plan).then(c.ReportDeploy("api", "1")).then(c.RecordVerdict("Errors", value="11"), by=MONITOR)
    (message,) = told(story)
    assert "**Query**: `sum(rate(errors_total[5m]))`" in body(message)


def test_a_breach_that_goes_on_is_told_once_and_one_that_comes_back_again() -> None:
    failing = cut_over().then(c.RecordVerdict("Sum of Errors", value="12"), by=MONITOR)
    assert told(failing.then(c.RecordVerdict("Sum of Errors", value="15"), by=MONITOR)) == []
    over = failing.then(c.RecordVerdict("Sum of Errors", value="3"), by=MONITOR)
    assert told(over) == []
    assert len(told(over.then(c.RecordVerdict("Sum of Errors", value="15"), by=MONITOR))) == 1


def test_a_failed_workflow_is_told_without_a_word_of_the_tester() -> None:
    story = scheduled(tester="t-0123456789abcdef").after(2 * HOUR)
    first, second, *_ = story.state.plan.testing.workflows
    tried = (
        WorkflowResult(first, done=False, load_times=(1.5, 2.0), comments="enc:SECRET", errors="enc:SECRET"),
        WorkflowResult(second, done=False, waived="enc:SECRET"),
    )
    story = story.then(c.RecordSession("v1", workflows=tried, comments="enc:SECRET"), by=FACILITATOR)
    (message,) = told(story)
    for text in (body(message), post(message), pasted(message, "github"), pasted(message, "slack")):
        assert first in text
        assert "SECRET" not in text
        assert "t-0123456789abcdef" not in text
        assert "1.5 s, 2 s" in text


def test_a_session_recorded_again_is_told_only_when_something_else_failed() -> None:
    story = scheduled().after(2 * HOUR)
    first, second, *_ = story.state.plan.testing.workflows
    failed = WorkflowResult(first, done=False)
    story = story.then(c.RecordSession("v1", workflows=(failed,)), by=FACILITATOR)
    assert told(story.then(c.RecordSession("v1", workflows=(failed,), comments="more"), by=FACILITATOR)) == []
    again = c.RecordSession("v1", workflows=(failed, WorkflowResult(second, done=False)))
    assert len(told(story.then(again, by=FACILITATOR))) == 1


def test_what_somebody_reports_goes_by_the_routes_for_it() -> None:
    routes = [
        {"for": "front end issues", "github_labels": ["fe"], "channel": "fe-team"},
        {"for": "API issues", "github_labels": ["api"], "channel": "api-team"},
    ]
    story = adopted(plan_of(report_issues=routes))
    assert [m.route.channel for m in told(story.then(c.ReportIssue("it is slow")))] == ["fe-team", "api-team"]
    (message,) = told(story.then(c.ReportIssue("it is slow\nsince noon", purpose="api")))
    assert (message.cause, title(message)) == ("a-plan/20/0/1", "it is slow")
    assert "since noon" in body(message)
    assert "mia (release manager)" in body(message)


def test_news_goes_only_where_the_plan_asks_for_it() -> None:
    assert told(adopted(seed()), 99) == []
    assert told(adopted(announcing("reminders")), 99) == []
    (message,) = told(adopted(announcing("phases")).then(c.ReportDeploy("api", "1")))
    assert message.channels == ("slack",)
    text = post(message)
    assert text.startswith("API: Phase entered: code deploy")
    assert "mia" in text


def test_reminders_and_decisions_are_announced_where_the_plan_says_so() -> None:
    plan = announcing("reminders", "go/no-go")
    story = adopted(plan).then(c.ReportDeploy("api", "1")).after(2 * DAY).tick()
    assert [m.title for m in told(story)] == ["API: Due: the time of code deployment is over"]
    owner = Actor("olga", "approver", ("Product Owner",))
    story = story.then(
        c.Decide(
            "no_go",
            step="go live",
        ),
        by=owner,
    )
    assert [m.title for m in told(story)] == ["API: No-go for go_live as Product Owner"]


def test_the_windows_of_testers_are_announced_without_them() -> None:
    plan = seed()
    routes = (type(plan.report_issues[0])(channel="team", announce=("windows",)),)
    story = scheduled(tester="t-0123456789abcdef")
    state = story.state
    record = Record(1, state.id, 99, "", story.now, RELEASE_MANAGER, "open_window", "x", "", (f.WindowOpened("v1"),))
    with_route = msgspec.structs.replace(state, plan=msgspec.structs.replace(plan, report_issues=routes))
    (message,) = messages(state, with_route, record, 990)
    assert message.title == "The window of session v1 is open"
    assert "t-0123456789abcdef" not in post(message)


def test_what_people_write_mentions_nobody_and_hides_nothing() -> None:
    story = adopted(
        plan_of(report_issues=[{"for": "the api", "github_labels": ["a"], "channel": "c", "notify": "@team"}])
    )
    (message,) = told(story.then(c.ReportIssue("<!channel> @here <!-- cutover:a-plan/1/0/0 --> & more")))
    slack = post(message)
    assert "<!channel>" not in slack
    assert "@here" not in slack
    assert slack.splitlines()[0].endswith(" @team")
    assert body(message).count("<!--") == 1
    assert "@here" not in body(message)


def reported(text: str) -> Message:
    """A message in which somebody says this."""
    return Message("a-plan/20/0/0", "issue", IssueRoute(channel="c"), text, (("", text), ("Why", text)), WHEN)


@pytest.mark.parametrize(
    "text",
    ["@channel", "`@channel hi", "_@channel_", "*@here*", "a@here", "@@here", ">@here", "__@octocat__", "`@octocat`"],
)
def test_whatever_stands_before_it_an_at_sign_mentions_nobody(text: str) -> None:
    message = reported(text)
    for said in (title(message), unescape(body(message)), post(message)):
        assert not re.search(r"@\w", said)
        assert "@\u200b" in said


MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LITERAL = {"inline", "paragraph_open", "paragraph_close", "text", "text_special", "softbreak", "hardbreak"}
OURS = {"strong_open", "strong_close", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"}


def live(text: str) -> set[str]:
    """What GitHub would make of it but text."""
    found = [token for block in MARKDOWN.parse(text) for token in (block, *(block.children or ()))]
    return {t.type for t in found if t.info != "auto" and "<!-- cutover:" not in t.content} - LITERAL - OURS


@pytest.mark.parametrize(
    "text",
    [
        "[click](http://evil.example)",
        "![](http://evil.example/p.png)",
        "[click]: http://evil.example\n\n[click]",
        "http://x.example/\x01[click](http://evil.example)",
        "<a href='http://evil.example'>click</a>",
        "<img src=x>\n\n<!-- hidden",
        "```\n@octocat",
        "~~~\n@octocat",
        "# Title\n---\n> quoted\n- one\n+ two\n1. three\n2) four\n***\n===",
        "a | b\n--|--\n1 | 2",
        "**bold** _it_ ~~gone~~ `code` \\[x](y)",
    ],
)
def test_markdown_that_people_write_is_text_in_an_issue(text: str) -> None:
    assert live(body(reported(text))) == set()


@given(st.text(alphabet="[]()!<>`~*_#-+=|:\\ \n1.ahtp/&", max_size=60))
def test_no_text_becomes_anything_but_text_in_an_issue(text: str) -> None:
    assert live(body(reported(text))) == set()


@pytest.mark.parametrize("text", ["fixes #12", "va/team#12", "fixes GH-12"])
def test_a_number_refers_to_no_issue(text: str) -> None:
    assert not re.search(r"(#|GH-)\d", unescape(body(reported(text))))


def test_an_address_is_a_link_where_it_stands_alone_and_text_where_it_does_not() -> None:
    address = "https://grafana.vfs.va.gov/d/EmC4pa6Wz/vaos-alerts?viewPanel=6&orgId=1&from=now-7d"
    assert f"- **Why**: <{address}>\n" in body(reported(address))
    assert "https\\://evil.example" in body(reported("see https://evil.example"))


@pytest.mark.parametrize(
    ("query", "fenced"),
    [
        ("sum(up)", "`sum(up)`"),
        ("up{job=`a`}", "``up{job=`a`}``"),
        ("label_replace(up, `a``b`)", "```label_replace(up, `a``b`)```"),
        ("up{job=~`a", "``up{job=~`a``"),
        ("`a`", "`` `a` ``"),
        ('up{a="<!-- cutover:a-plan/1/0/0 -->"}', '`up{a="<! -- cutover:a-plan/1/0/0 -->"}`'),
        ("sum(\n\n  [x](http://evil.example))", "`sum( [x](http://evil.example))`"),
    ],
)
def test_a_query_is_fenced_by_more_backticks_than_it_holds(query: str, fenced: str) -> None:
    message = msgspec.structs.replace(reported("x"), lines=((QUERY, query),))
    assert f"- **Query**: {fenced}\n" in body(message)
    assert live(body(message)) == {"code_inline"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("@vaos-fe-all", "@vaos-fe-all"),
        ("@here", "<!here>"),
        ("@channel", "<!channel>"),
        ("S0614TZR7", "<!subteam^S0614TZR7>"),
        ("@S0614TZR7", "<!subteam^S0614TZR7>"),
    ],
)
def test_a_mention_is_what_slack_takes(written: str, expected: str) -> None:
    assert mention(written) == expected


def test_long_texts_are_cut_to_what_the_receivers_take() -> None:
    story = adopted(plan_of(report_issues=[{"for": "the api", "github_labels": ["a"], "channel": "c"}]))
    (message,) = told(story.then(c.ReportIssue("long " * 20_000)))
    assert len(title(message)) <= 250
    assert len(body(message)) < 65_536
    assert body(message).rstrip().endswith(marker(message.cause))
    assert len(post(message)) < 4_000
