"""The herald on a real log with the real engine, telling a server that answers, and errs, as GitHub and Slack do."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import Engine as Database
from sqlalchemy import inspect

from events.codec import decode
from events.facts import Actor, Announced
from events.plan.reading import read_plan
from events.plan.schema import Plan
from services.database import connect
from services.engine.engine import Engine
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.herald import outcome
from services.herald.beginning import first_start, started
from services.herald.herald import Herald
from services.herald.receivers import receivers
from services.log.nats import JetStreamLog
from services.rollout import commands as c
from services.settings import from_environment
from tests.receivers import Mishap, Receivers, receiving

pytestmark = pytest.mark.connected

MANAGER = Actor("mia", "release_manager")
ROUTE = {"for": "the api", "github_labels": ["vaos_v2_prod"], "channel": "vaos-team", "title": "VAOS V2 Prod"}


def plan(**route: Any) -> Plan:
    written = {
        "title": "A plan",
        "toggles": {"a_toggle": "A toggle"},
        "go_no_go": {"decided_by": ["Product Owner"]},
        "deploy": {"services": ["api"]},
        "testing": {"waived": "a small change"},
        "report_issues": [{**ROUTE, "notify": "@vaos-fe-all", **route}],
    }
    return read_plan(written, default_id="small")


@pytest.fixture
def there() -> Iterator[Receivers]:
    with receiving() as found:
        yield found


class Desk:
    """A rollout, the engine that decides, and the heralds that come and go."""

    def __init__(self, log: JetStreamLog, there: Receivers, folder: Path) -> None:
        self.log = log
        self.there = there
        self.database = connect(f"sqlite:///{folder / 'cutover.db'}")
        self.engine = Engine(log, self.now)
        self.environ = there.environ
        self.asked = 0
        self.silent: Callable[[Request], bool] = lambda _request: False

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def ask(self, request: Request) -> Reply:
        """The engine, unless the test makes it deaf to this request."""
        if self.silent(request):
            return Refusal("unavailable", ("nobody answers",))
        return await self.engine.ask(request)

    async def do(self, command: c.Command, by: Actor = MANAGER) -> int:
        self.asked += 1
        reply = await self.engine.ask(Request("small", f"c-{self.asked}", by, command))
        assert isinstance(reply, Accepted), reply
        return reply.revision

    @asynccontextmanager
    async def herald(self, first: float = 0.01) -> AsyncIterator[asyncio.Task[None]]:
        settings = from_environment({**self.environ, "CUTOVER_URL": "https://cutover.example.gov"})
        async with httpx.AsyncClient() as client:
            since = partial(first_start, self.database)
            told = receivers(settings, client)
            herald = Herald(self.log, self.ask, self.now, told, since, link=settings.link, first=first)
            task = asyncio.create_task(herald.run())
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def announced(self, count: int, within: float = 15.0) -> list[Announced]:
        """What the log says was announced, once it is so many."""
        async with asyncio.timeout(within):
            while True:
                entries = await self.log.read("small")
                found = [x for e in entries for x in decode(e.data).facts if isinstance(x, Announced)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)


async def until(true: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 (bounded, and of another thread's doing)
            await asyncio.sleep(0.01)


def has_started(database: Database) -> bool:
    """Whether a herald has ever started on these tables."""
    return inspect(database).has_table("herald") and started(database) is not None


@pytest.fixture
async def desk(jetstream_log: JetStreamLog, there: Receivers, tmp_path: Path) -> Desk:
    found = Desk(jetstream_log, there, tmp_path)
    async with found.herald():  # its first start, on an empty log
        await asyncio.sleep(0)
        await asyncio.to_thread(first_start, found.database, 0)
    await found.do(c.Adopt(plan=plan()))
    return found


async def test_an_issue_is_opened_and_posted_with_its_link_and_both_are_on_the_record(desk: Desk) -> None:
    revision = await desk.do(c.ReportIssue("Requests are listed twice"))
    async with desk.herald():
        github, slack = await desk.announced(2)
    (issue,), (post,) = desk.there.issues, desk.there.posts
    assert issue["title"] == "VAOS V2 Prod: Requests are listed twice"
    assert issue["labels"] == ["vaos_v2_prod"]
    assert f"**Revision**: {revision}" in issue["body"]
    assert "https://cutover.example.gov/v1/rollouts/small/audit" in issue["body"]
    assert post["channel"] == "vaos-team"
    assert post["text"].startswith("VAOS V2 Prod: Requests are listed twice @vaos-fe-all")
    assert issue["html_url"] in post["text"]
    assert github == Announced(f"small/{revision}/0/0", "github", "sent", issue["html_url"])
    assert slack == Announced(f"small/{revision}/0/0", "slack", "sent")


async def test_a_herald_started_again_tells_nothing_twice(desk: Desk) -> None:
    await desk.do(c.ReportIssue("one"))
    for count in (2, 4):
        async with desk.herald():
            await desk.announced(count)
        await desk.do(c.ReportIssue("another"))
    async with desk.herald():
        await desk.announced(6)
    assert len(desk.there.issues) == len(desk.there.posts) == 3


async def test_what_an_old_log_holds_is_history_at_the_first_start(desk: Desk, tmp_path: Path) -> None:
    await desk.do(c.ReportIssue("long ago"))
    desk.database = connect(f"sqlite:///{tmp_path / 'another.db'}")
    async with desk.herald():
        head = await desk.log.head()
        await until(lambda: has_started(desk.database))
        assert started(desk.database) == head
        await desk.do(c.ReportIssue("just now"))
        await desk.announced(2)
    assert [issue["title"] for issue in desk.there.issues] == ["VAOS V2 Prod: just now"]
    async with desk.herald():  # its second start: the same since
        await desk.do(c.ReportIssue("later"))
        await desk.announced(4)
    assert len(desk.there.issues) == 2


async def test_a_post_carries_the_link_of_the_issue_that_another_route_has(desk: Desk) -> None:
    whole = plan()
    (route,) = whole.report_issues
    posting, filing = replace(route, github_labels=()), replace(route, channel="", purpose="the database")
    await desk.do(c.RevisePlan(plan=replace(whole, report_issues=(posting, filing))))
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        await desk.announced(2)
    (issue,), (post,) = desk.there.issues, desk.there.posts
    assert issue["html_url"] in post["text"]


LOST = {
    "the connection is dropped after the issue was opened": Mishap(done=True),
    "the answer is a 502 after the issue was opened": Mishap(502, body="<html>Bad gateway</html>", done=True),
    "the answer is a 502 in another encoding": Mishap(502, body='{"message": "désolé"}'),
    "the connection is dropped before anything happened": Mishap(),
    "GitHub fails": Mishap(500, body='{"message": "Server Error"}'),
    "GitHub is away": Mishap(503),
}


@pytest.mark.parametrize("how", LOST)
async def test_however_an_answer_is_lost_there_is_one_issue(desk: Desk, how: str) -> None:
    desk.there.mishaps["POST issues"] = [LOST[how]]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        github, _slack = await desk.announced(2)
    (issue,) = desk.there.issues
    assert github.url == issue["html_url"]


async def test_a_receiver_that_hangs_is_given_up_and_the_issue_it_opened_is_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "LIMIT", 0.2)
    desk.there.mishaps["POST issues"] = [Mishap(201, done=True, hangs=0.6)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        github, _slack = await desk.announced(2)
    assert len(desk.there.issues) == 1
    assert github.outcome == "sent"


async def test_a_receiver_that_answers_a_byte_at_a_time_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "LIMIT", 0.3)
    desk.there.mishaps["POST slack"] = [Mishap(200, body='{"ok": true}' + " " * 60, drips=0.1)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        _github, slack = await desk.announced(2, within=5)
    assert slack.outcome == "sent"
    first, second = [t for a, t in zip(desk.there.asked, desk.there.times, strict=True) if a == "POST slack"]
    assert second - first < 2


async def test_an_answer_without_end_is_not_read_to_its_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "MOST_BYTES", 100_000)
    desk.there.mishaps["POST slack"] = [Mishap(200, body='{"ok": true}' + " " * 100_000)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        await desk.announced(2)
    assert desk.there.asked.count("POST slack") == 2


async def test_a_compressed_answer_is_read(desk: Desk) -> None:
    said = gzip.compress(b'{"ok": true}').decode("latin-1")
    desk.there.mishaps["POST slack"] = [Mishap(200, (("content-encoding", "gzip"),), said)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        _github, slack = await desk.announced(2)
    assert slack.outcome == "sent"
    assert desk.there.asked.count("POST slack") == 1


LIMITS = {
    "429 with Retry-After": Mishap(429, (("retry-after", "1"),)),
    "a secondary rate limit": Mishap(403, (("retry-after", "1"),), '{"message": "secondary rate limit"}'),
    "503 with Retry-After": Mishap(503, (("retry-after", "1"),)),
}


@pytest.mark.parametrize("kind", ["GET issues", "POST issues", "POST slack"])
@pytest.mark.parametrize("how", LIMITS)
async def test_a_receiver_that_asks_for_rest_gets_it(desk: Desk, how: str, kind: str) -> None:
    desk.there.mishaps[kind] = [LIMITS[how]]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        found = await desk.announced(2)
    assert [a.outcome for a in found] == ["sent", "sent"]
    first, second = [t for asked, t in zip(desk.there.asked, desk.there.times, strict=True) if asked == kind][:2]
    assert second - first >= 1.0
    assert (len(desk.there.issues), len(desk.there.posts)) == (1, 1)


async def test_a_limit_that_asks_for_no_rest_is_still_tried_more_and_more_rarely(desk: Desk) -> None:
    desk.there.mishaps["POST slack"] = [Mishap(429, (("retry-after", "0"),)) for _ in range(6)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald(first=0.03):
        await desk.announced(2)
    times = [t for asked, t in zip(desk.there.asked, desk.there.times, strict=True) if asked == "POST slack"]
    rests = [later - earlier for earlier, later in pairwise(times)]
    assert len(rests) == 6
    assert all(rest >= 0.03 * 2**tries for tries, rest in enumerate(rests))


async def test_whatever_goes_wrong_inside_the_herald_goes_on_and_tells_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.herald.herald.LONGEST", 0.3)
    failures = ["once"]

    def fails(request: Request) -> bool:
        if isinstance(request.command, c.RecordDelivery) and failures:
            failures.clear()
            raise ValueError("nobody thought of this")
        return False

    desk.silent = fails
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald() as running:
        found = await desk.announced(2)
        assert not running.done()
    assert [a.outcome for a in found] == ["sent", "sent"]
    assert (len(desk.there.issues), len(desk.there.posts)) == (1, 1)
    assert any("nobody thought of this" in r.getMessage() for r in caplog.records if r.exc_info)


async def test_slacks_own_rate_limit_and_errors_are_in_the_body_of_a_200(desk: Desk) -> None:
    desk.there.mishaps["POST slack"] = [Mishap(200, (("retry-after", "0"),), '{"ok": false, "error": "ratelimited"}')]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        _github, slack = await desk.announced(2)
        assert slack.outcome == "sent"
        desk.there.slack_error = "channel_not_found"
        await desk.do(c.ReportIssue("it still fails"))
        *_, slack = await desk.announced(4)
    assert (slack.outcome, slack.why) == ("not sent", "Slack says 'channel_not_found'")
    assert slack.text.startswith(
        "VAOS V2 Prod: it still fails @vaos-fe-all\nChannel: vaos-team\nGitHub issue: https://"
    )


async def test_every_try_at_slack_carries_the_same_id(desk: Desk) -> None:
    desk.there.mishaps["POST slack"] = [Mishap(done=True), Mishap(500, done=True)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        await desk.announced(2)
    assert len({post["client_msg_id"] for post in desk.there.posts}) == 1


@pytest.mark.parametrize("status", [401, 404, 410, 422])
async def test_what_no_other_try_would_change_is_kept_ready_to_paste(desk: Desk, status: int) -> None:
    desk.there.mishaps["POST issues"] = [Mishap(status, body='{"message": "No"}')]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        github, slack = await desk.announced(2)
    assert (github.outcome, slack.outcome) == ("not sent", "sent")
    assert github.why == f"answered {status}: GitHub says 'No'"
    assert github.text.startswith("VAOS V2 Prod: it fails\nLabels: vaos_v2_prod\n")


MOVED = "set CUTOVER_GITHUB_REPOSITORY to the repository's new name"


def moved(status: int, to: str) -> Mishap:
    return Mishap(status, (("location", to),), '{"message": "Moved Permanently"}')


@pytest.mark.parametrize("elsewhere", ["/repositories/7/issues", "{url}/repositories/7/issues"])
@pytest.mark.parametrize("listing", [301, 307, 308])
@pytest.mark.parametrize("opening", [307, 308])
async def test_a_repository_that_has_moved_gets_its_issues_all_the_same(
    desk: Desk, listing: int, opening: int, elsewhere: str
) -> None:
    to = elsewhere.format(url=desk.there.url)
    desk.there.mishaps["GET issues"] = [moved(listing, to)]
    desk.there.mishaps["POST issues"] = [moved(opening, to)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        github, _slack = await desk.announced(2)
    (issue,) = desk.there.issues
    assert (github.outcome, github.url) == ("sent", issue["html_url"])
    assert desk.there.paths[:4] == ["/repos/va/team/issues", "/repositories/7/issues"] * 2


async def test_the_token_is_never_sent_to_another_host(desk: Desk) -> None:
    with receiving() as another:
        desk.there.mishaps["GET issues"] = [moved(307, f"{another.url}/repos/va/team/issues")]
        await desk.do(c.ReportIssue("it fails"))
        async with desk.herald():
            github, _slack = await desk.announced(2)
        assert another.asked == []
    assert (github.outcome, github.why) == ("not sent", f"answered 307: {MOVED}")


@pytest.mark.parametrize(
    "mishaps",
    [
        [moved(301, "/repositories/7/issues")],  # a POST would become a GET
        [moved(307, "/repositories/7/issues"), moved(307, "/repos/va/team/issues")],
        [moved(307, "http://[")],
        [Mishap(308)],
    ],
)
async def test_a_move_that_cannot_be_followed_says_what_to_do(desk: Desk, mishaps: list[Mishap]) -> None:
    desk.there.mishaps["POST issues"] = mishaps
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        github, _slack = await desk.announced(2)
    assert github.outcome == "not sent"
    assert MOVED in github.why
    assert desk.there.issues == []


async def test_without_credentials_the_texts_are_kept_ready_to_paste(desk: Desk) -> None:
    desk.environ = {}
    revision = await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        found = await desk.announced(2)
    assert sorted((a.channel, a.outcome) for a in found) == [("github", "not sent"), ("slack", "not sent")]
    assert all(a.text.startswith("VAOS V2 Prod: it fails") for a in found)
    assert all(f"Revision: {revision}" in a.text for a in found)
    assert {a.why for a in found} == {
        "set CUTOVER_GITHUB_REPOSITORY and CUTOVER_GITHUB_TOKEN",
        "set CUTOVER_SLACK_TOKEN or CUTOVER_SLACK_WEBHOOK",
    }


async def test_a_webhook_serves_and_is_never_named(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk.environ = {"CUTOVER_SLACK_WEBHOOK": f"{desk.there.url}/hook/T1/B1/secret"}
    desk.there.mishaps["POST slack"] = [Mishap(), Mishap(500)]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        found = await desk.announced(2)
    assert {a.channel: a.outcome for a in found} == {"github": "not sent", "slack": "sent"}
    assert "B1/secret" not in "".join(r.getMessage() for r in caplog.records if r.name.startswith(("cutover", "httpx")))
    assert desk.there.posts[0]["text"].startswith("VAOS V2 Prod: it fails")


async def test_a_post_does_not_wait_for_ever_for_the_link_of_its_issue(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.herald.owed.LINK_PATIENCE", 0.3)
    desk.there.mishaps["GET issues"] = [Mishap(503, (("retry-after", "600"),))]
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        (slack,) = await desk.announced(1)
    assert (slack.channel, slack.outcome, desk.there.issues) == ("slack", "sent", [])


async def test_while_the_log_cannot_take_it_nothing_is_sent_again(desk: Desk) -> None:
    left = 5

    def deaf(request: Request) -> bool:
        nonlocal left
        left -= isinstance(request.command, c.RecordDelivery)
        return left >= 0

    desk.silent = deaf
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        await desk.announced(2)
    assert desk.there.asked.count("POST issues") == desk.there.asked.count("POST slack") == 1


async def test_a_herald_that_died_before_it_could_record_finds_the_issue_it_opened(desk: Desk) -> None:
    desk.silent = lambda request: isinstance(request.command, c.RecordDelivery)
    await desk.do(c.ReportIssue("it fails"))
    async with desk.herald():
        await until(lambda: bool(desk.there.issues))
    desk.silent = lambda _request: False
    async with desk.herald():
        github, _slack = await desk.announced(2)
    (issue,) = desk.there.issues
    assert github.url == issue["html_url"]


async def test_news_that_is_over_a_day_old_is_news_no_more(desk: Desk) -> None:
    await desk.do(c.RevisePlan(plan=plan(announce=["phases"])))
    await desk.do(c.ReportDeploy("api", "1"))
    await desk.do(c.ReportIssue("it fails"))
    desk.now = lambda: datetime.now(UTC) + timedelta(days=2)  # type: ignore[method-assign]
    async with desk.herald():
        found = await desk.announced(3)
    outcomes = {(a.cause.split("/")[1], a.channel): a.outcome for a in found}
    assert sorted(outcomes.values()) == ["not sent", "sent", "sent"]
    assert [a.why for a in found if a.outcome == "not sent"] == ["it was over a day old"]


async def test_a_breach_and_what_the_plan_announces_are_told_unasked(desk: Desk) -> None:
    whole = plan(announce=["phases", "reminders"])
    deploy = replace(whole.deploy, criteria=("Errors",))
    judged = read_plan({"title": "x", "toggles": {"y": ""}, "criteria": {"Errors": {"below": 10}}}, default_id="x")
    await desk.do(c.RevisePlan(plan=replace(whole, deploy=deploy, criteria=judged.criteria)))
    await desk.do(c.ReportDeploy("api", "1"))
    await desk.do(c.RecordVerdict("Errors", value="12"), by=Actor("monitor", "monitor"))
    async with desk.herald():
        found = await desk.announced(3)
    assert [issue["title"] for issue in desk.there.issues] == [
        "VAOS V2 Prod: 'Errors' failed in code deployment",
    ]
    texts = [post["text"].splitlines()[0] for post in desk.there.posts]
    assert sorted(texts) == [
        "VAOS V2 Prod: 'Errors' failed in code deployment @vaos-fe-all",
        "VAOS V2 Prod: Phase entered: code deploy",
    ]
    assert {a.outcome for a in found} == {"sent"}
