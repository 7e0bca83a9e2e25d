"""Testers of a running service: overruns, no-shows, what was said, erasing; and nothing that names them anywhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy import text as sql
from typer.testing import CliRunner, Result

from services.cli import app
from services.engine.hot import Hot
from services.log.nats import JetStreamLog
from services.nats.connection import connect_nats
from services.nats.embedded import running_url
from tests.e2e.release import Release, small_plan
from tests.receivers import Receivers, receiving
from tests.service_process import ServiceProcess, ask

pytestmark = pytest.mark.connected

ROUTE = {"for": "the api", "github_labels": ["bug"], "channel": "team", "announce": ["phases", "windows", "reminders"]}
NAME, MAIL, SAID = "Wilhelmina Q. Vandersteen", "w.vandersteen@example.org", "Zxqvw felt dizzy on the second page"


def plan_with_testers(rollout: str) -> dict[str, Any]:
    plan = small_plan(rollout, (f"{rollout}_one", f"{rollout}_two"), report_issues=[ROUTE])
    return {**plan, "testing": {**plan["testing"], "workflows": ["View it", "Cancel it"]}}


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class Desk:
    """A release in testing on a running service, and its facilitator at a command line."""

    def __init__(self, service: ServiceProcess, rollout: str) -> None:
        self.service = service
        self.release = Release(service, plan_with_testers(rollout))
        self.release.start_testing()
        self.id = rollout
        made = service.client().post("/v1/tokens", json={"name": f"fay-of-{rollout}", "role": "facilitator"})
        self.token = made.json()["token"]
        self.facilitator = service.client(self.token)
        self.output = ""

    def cli(self, *words: str, ends: int = 0, stdin: str = "", token: str = "") -> Result:
        env = {"CUTOVER_URL": self.service.url, "CUTOVER_TOKEN": token or self.token, "COLUMNS": "200"}
        done = CliRunner().invoke(app, list(words), env=env, input=stdin)
        assert done.exit_code == ends, done.output
        self.output += done.output
        return done

    def answer(self, *words: str) -> Any:
        found = json.loads(self.cli(*words, "--json").stdout)
        if isinstance(found, dict):
            self.release.revision = max(self.release.revision, found.get("revision", 0))
        return found

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Every session by its name, as of the last command."""
        return {s["session"]: s for s in self.answer("sessions", self.id, "--at-least", str(self.release.revision))}

    def on(self, user: str) -> bool:
        return all(self.release.flags(user).values())


@pytest.fixture(scope="module")
def there() -> Iterator[Receivers]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, there: Receivers) -> Iterator[ServiceProcess]:
    found = ServiceProcess(tmp_path_factory.mktemp("service") / "data", environ=there.environ)
    found.start()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def desk(service: ServiceProcess) -> Desk:
    return Desk(service, "testing")


def test_a_session_overruns_from_the_command_line(desk: Desk) -> None:
    start = time.monotonic()
    desk.answer("schedule-session", desk.id, "over", "user-over", "--at", soon(0.5), "--length", "2 seconds")
    desk.service.wait_until(lambda: desk.on("user-over"), 10)
    desk.answer("move-session", desk.id, "over", "--length", "60 seconds")
    desk.service.wait_until(lambda: time.monotonic() > start + 3.5, 10)
    assert desk.on("user-over")
    assert "window_closed" not in {f["fact"] for f in desk.release.facts("window_closed")}
    desk.answer("close-window", desk.id, "over")
    assert not desk.on("user-over")


def test_two_sessions_of_one_tester_are_on_together_and_end_each_on_its_own(desk: Desk) -> None:
    for name in ("both-1", "both-2"):
        desk.answer("schedule-session", desk.id, name, "user-both", "--at", soon(0.5), "--length", "60 seconds")
    desk.service.wait_until(lambda: desk.on("user-both"), 10)
    desk.answer("close-window", desk.id, "both-1")
    assert desk.on("user-both")
    desk.answer("cancel-session", desk.id, "both-2")
    assert not desk.on("user-both")


def test_workflows_are_ticked_waived_and_shown_with_what_was_said(desk: Desk) -> None:
    desk.answer("schedule-session", desk.id, "said", "user-said", "--at", soon(0), "--length", "60 seconds")
    words = [
        "--workflow",
        "View=done,1.2s,900ms,comments: liked it, twice",
        "--workflow",
        "Cancel=failed,errors: a 502",
    ]
    desk.answer("record-session", desk.id, "said", *words, "--comments", "came early")
    blocked = desk.release.status()["blockers"]
    assert "workflow 'Cancel it' failed in session 'said' and nobody waived it" in blocked
    desk.answer("waive-workflow", desk.id, "said", "Cancel", "--reason", "known since May")
    assert not any("nobody waived it" in text for text in desk.release.status()["blockers"])
    found = desk.sessions()["said"]
    view, cancel = found["workflows"]
    assert (view["load_times"], view["comments"]) == ([1.2, 0.9], "liked it, twice")
    assert (cancel["done"], cancel["errors"], cancel["waived"]) == (False, "a 502", "known since May")
    assert (found["outcome"], found["comments"], found["erased"]) == ("held", "came early", False)
    shown = desk.cli("sessions", desk.id).stdout
    for text in ("View it: done (1.2 s, 0.9 s)", "Cancel it: failed, waived", "comments: came early"):
        assert text in shown


def test_only_those_who_work_with_testers_read_what_they_said(desk: Desk) -> None:
    for role, status in (("release_manager", 200), ("admin", 200), ("auditor", 403), ("approver", 403), ("ci", 403)):
        person = desk.service.person(f"reads-as-{role}", role)
        assert person.get(f"/v1/rollouts/{desk.id}/sessions").status_code == status
        erasing = person.request("DELETE", "/v1/testers", json={"tester": "nobody-at-all"})
        assert erasing.status_code == (404 if role == "admin" else 403)


def test_an_erased_tester_is_off_at_once_unfindable_and_unreadable_and_the_log_still_verifies(desk: Desk) -> None:
    user = "user-erased"
    for name in ("gone-1", "gone-2"):
        desk.answer("schedule-session", desk.id, name, user, "--at", soon(0), "--length", "60 seconds")
    desk.service.wait_until(lambda: desk.on(user), 10)
    recorded = ["--workflow", "View=done,comments: nice", "--comments", "was pleased"]
    desk.answer("record-session", desk.id, "gone-1", *recorded)
    reference = desk.sessions()["gone-1"]["tester"].encode()
    assert reference in bucket(desk.service)[desk.id]
    answer = json.loads(desk.cli("testers", "erase", "-", "--json", stdin=f"{user}\n").stdout)
    assert answer == {"erased": True, "sessions_ended": [f"{desk.id}/gone-1", f"{desk.id}/gone-2"]}
    assert not desk.on(user)
    assert reference not in bucket(desk.service)[desk.id]
    found = desk.sessions()
    gone = found["gone-1"]
    assert (gone["erased"], gone["comments"], gone["workflows"][0]["comments"]) == (True, "erased", "erased")
    assert found["gone-2"]["outcome"] == "cancelled"
    assert "erased" in desk.cli("sessions", desk.id).stdout
    again = desk.cli("testers", "erase", user, ends=1)
    assert "the vault knows nobody by this id" in again.output
    assert user not in again.output
    assert verified(desk.service) == ()
    desk.answer("schedule-session", desk.id, "new", user, "--at", soon(0.2), "--length", "60 seconds")
    assert desk.sessions()["new"]["tester"] != gone["tester"]
    desk.answer("cancel-session", desk.id, "new")


def test_an_erasing_that_names_nobody_is_refused_in_words(desk: Desk) -> None:
    for content in ("[]", "{}", '{"tester": ""}', '{"tester": 7}', '{"tester": "x", "more": 1}'):
        answer = desk.facilitator.request("DELETE", "/v1/testers", content=content)
        assert answer.status_code == 422, answer.text
    assert desk.facilitator.request("DELETE", "/v1/testers", content="{").status_code == 400
    assert desk.facilitator.request("DELETE", "/v1/testers/some-user").status_code in (404, 405)


def records(service: ServiceProcess, stream: str = "log") -> list[Any]:
    """Every stored entry of the log, or of the refused attempts, through the API of NATS."""

    async def read() -> list[Any]:
        connection = await connect_nats(running_url(service.data) or "", name="test")
        try:
            log = JetStreamLog(connection)
            if stream == "attempts":
                return await log.attempts(0)
            return [entry async for batch in log.follow(0, until=await log.head()) for entry in batch]
        finally:
            await connection.close()

    return asyncio.run(read())


def verified(service: ServiceProcess) -> tuple[str, ...]:
    """What is wrong with the chains of the log; nothing: ()."""
    held: dict[str, Hot] = {}
    for entry in records(service):
        held.setdefault(entry.rollout, Hot(entry.rollout)).take(entry)
    return tuple(hot.stopped for hot in held.values() if hot.stopped)


# -- nothing anywhere


def planted(desk: Desk) -> None:
    """A name, an e-mail and remarks through every command and every way that is about testers."""
    words = ["--reason", f"{NAME} asked", "--note", f"call {NAME}", "--evidence", f"mail from {MAIL}: {SAID}"]
    words += ["--evidence", f"https://mail.example.gov/{MAIL}"]
    desk.cli("schedule-session", desk.id, "p1", MAIL, "--at", soon(30), "--length", "20 seconds", "--dry-run", *words)
    desk.answer("schedule-session", desk.id, "p1", MAIL, "--at", soon(30), "--length", "20 seconds", *words)
    desk.answer("move-session", desk.id, "p1", "--at", soon(0), "--length", "60 seconds", *words)
    desk.service.wait_until(lambda: desk.on(MAIL), 10)
    desk.cli("open-window", desk.id, "p1", *words)
    desk.answer("move-session", desk.id, "p1", "--length", "50 seconds", *words)
    tried = ["--workflow", f"View=done,1.5s,comments: {SAID}", "--workflow", f"Cancel=failed,errors: {NAME} saw a 502"]
    desk.answer("record-session", desk.id, "p1", *tried, "--comments", f"{NAME}: {SAID}", *words)
    tried = ["--workflow", f"View=done,1.5s,comments: {SAID}", "--workflow", f"Cancel=failed,waived: {NAME} knows"]
    desk.answer("record-session", desk.id, "p1", *tried, "--comments", f"{NAME}: {SAID}", *words)
    desk.answer("record-session", desk.id, "p1", *tried[:3], "Cancel=failed", "--comments", SAID, *words)
    desk.answer("waive-workflow", desk.id, "p1", "Cancel", *words)
    desk.answer("close-window", desk.id, "p1", *words)
    desk.answer("schedule-session", desk.id, "p2", MAIL, "--at", soon(30), "--length", "20 seconds", *words)
    desk.answer("cancel-session", desk.id, "p2", *words)
    for refused in (("cancel-session", "p2x"), ("close-window", "p9"), ("move-session", "p1"), ("open-window", "p1")):
        desk.cli(refused[0], desk.id, refused[1], *words, ends=1)
    desk.cli("schedule-session", desk.id, "p3", MAIL, "--at", "2020-01-01T10:00", *words, ends=1)
    wrong: list[dict[str, Any]] = [
        {"type": "schedule_session", "session": "p4", "tester": {"mail": MAIL}},
        {"type": "schedule_session", "session": "p4", "tester": MAIL, "nonsense": SAID},
        {"type": "record_session", "session": "p1", "workflows": [{"workflow": 7, "done": True, "comments": SAID}]},
    ]
    for body in wrong:
        answer = desk.facilitator.post(f"/v1/rollouts/{desk.id}/commands", json=body)
        assert answer.status_code == 422
    stranger = desk.service.person("rita-reads", "reader")
    assert ask(stranger, desk.id, "schedule_session", session="p5", tester=MAIL, reason=NAME).status_code == 403
    assert ask(desk.facilitator, "no-such", "cancel_session", session="p1", reason=NAME).status_code == 404


def traces(data: bytes) -> list[str]:
    """The planted texts that the bytes hold, in any usual encoding."""
    wanted = {NAME, MAIL, SAID, "Vandersteen", "Zxqvw"}
    forms = {text: (text.encode(), text.encode("utf-16-le"), json.dumps(text)[1:-1].encode()) for text in wanted}
    low = data.lower()
    return sorted(text for text, encoded in forms.items() if any(form.lower() in low for form in encoded))


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(service: ServiceProcess) -> dict[str, bytes]:
    """Every table's rows as text. An index of words shows none itself; the tables that it is kept in are among them."""
    engine = create_engine(f"sqlite:///{service.data / 'cutover.db'}")
    meta = MetaData()
    try:
        meta.reflect(engine)
        with engine.connect() as connection:
            virtual = set(connection.scalars(sql("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'")))
            return {
                name: repr([tuple(row) for row in connection.execute(select(table))]).encode()
                for name, table in meta.tables.items()
                if name not in virtual
            }
    finally:
        engine.dispose()


def test_no_name_no_mail_and_no_remark_of_a_tester_is_found_anywhere(service: ServiceProcess, there: Receivers) -> None:
    desk = Desk(service, "planted")
    planted(desk)
    service.wait_until(lambda: len(desk.release.facts("announced")) > 3, 30)
    assert traces(f"{NAME} {MAIL} {SAID}".encode()) == sorted({NAME, MAIL, SAID, "Vandersteen", "Zxqvw"})
    exported = b"".join(
        service.client().get(path, params={"limit": 1000}).content
        for path in ("/v1/audit", f"/v1/rollouts/{desk.id}/audit", "/v1/rollouts", f"/v1/rollouts/{desk.id}")
    )
    places = {f"record {e.revision}": e.data for e in records(service)}
    places |= {f"attempt {e.revision}": e.data for e in records(service, "attempts")}
    places |= {f"table {name}": rows for name, rows in rows_of(service).items()}
    places |= {f"bucket {key}": value for key, value in bucket(service).items()}
    places |= {"audit export": exported, "cli audit": desk.cli("audit", desk.id, "--last", "0").output.encode()}
    places |= {"receivers": json.dumps([there.issues, there.posts]).encode(), "output": service.output().encode()}
    service.stop()  # everything is on the disk
    places |= {f"file {name}": data for name, data in files_below(service.data).items()}
    try:
        assert any(name.startswith("file nats/") and data for name, data in places.items())
        assert {name: found for name, data in places.items() if (found := traces(data))} == {}
        assert len([name for name in places if name.startswith("record")]) > 20
        assert any("p1" in data.decode() for name, data in places.items() if name.startswith("record"))
    finally:
        service.start()
    assert desk.sessions()["p1"]["comments"] == SAID


def bucket(service: ServiceProcess) -> dict[str, bytes]:
    """Every value of the flag bucket."""

    async def read() -> dict[str, bytes]:
        connection = await connect_nats(running_url(service.data) or "", name="test")
        try:
            kv = await connection.jetstream().key_value("flags")
            return {key: (await kv.get(key)).value or b"" for key in await kv.keys()}
        finally:
            await connection.close()

    return asyncio.run(read())
