"""Answers that are given again: they are what would be answered now, whatever has happened in between."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window
from services.api.app import Service
from services.api.bodies import Receive, Scope, Send
from services.api.reads import remembered
from services.api.reads.front import Front
from services.api.reads.moment import Moment, Moments, Wanted
from services.api.reads.remembered import LONGEST
from services.api.reads.tickets import CHANGES
from services.api.reads.wire import Reply
from services.people.tokens import Tokens, UnknownName
from services.views.views import Views
from tests.unit.api.desk import NOON, Desk

FLAGS = "/ofrep/v1/evaluate/flags"
NAMES = ("one", "two")
COHORT = Exposure("cohort", (Audience(users=("u1",)),))
VAOS = FlagSnapshot(2, "vaos", 7, NOON, "cutover", ("a", "b"), COHORT, readers=("ofrep", "va.gov", "flipper"))
WINDOW = Window("s1", "t1", NOON + timedelta(minutes=1), NOON + timedelta(minutes=2), opened=True)
TWO_MINUTES = timedelta(minutes=2)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """What is behind the flag reads: not asked here."""


class House:
    """A service in memory whose clock is moved by hand, and two readers' tokens."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        self.flags = self.desk.flags
        self.book = Tokens(self.desk.database, self.flags.time, lambda: 0.0)
        self.book.add("root", "admin", (), by="first start")
        self.tokens = [self.book.add(name, "reader", ("sees testers",), by="root") for name in NAMES]
        views = Views(self.desk.database)
        self.service = Service(self.desk.ask, views, self.flags, self.book, self.desk.vault, self.flags.time, tuple)
        self.front = self.another()
        self.hear(VAOS)

    def another(self) -> Front:
        """One that remembers nothing."""
        return Front(self.service, nowhere)

    def hear(self, snapshot: FlagSnapshot) -> None:
        revision = self.flags.position + 1
        testers = {"t1": self.desk.vault.hmac("u1")} if snapshot.windows else {}
        self.flags.hear(replace(snapshot, revision=revision, testers=testers), revision)

    def ask(self, front: Front, method: str, target: str, body: str, **headers: str) -> tuple[int, bytes] | None:
        self.book.who("")  # the tokens are in memory
        named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return told(front.at_once(method.encode(), target.encode(), named, body.encode()))

    def bearer(self, which: int = 0) -> str:
        return f"Bearer {self.tokens[which]}"


def told(reply: Reply | None) -> tuple[int, bytes] | None:
    return (reply.status, reply.wire()) if reply else None


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# -- whatever happens


TARGETS = (
    f"POST {FLAGS}/a",
    f"POST {FLAGS}/b",
    f"POST {FLAGS}",
    f"POST {FLAGS}?at=r1",
    f"POST {FLAGS}?at_least=3",
    "GET /v0/feature_toggles",
    "GET /v0/feature_toggles?cookie_id=u1",
    "GET /v0/feature_toggles?at=r1@0",
    "GET /flipper/features",
)
BODIES = (
    '{"context":{"targetingKey":"u1"}}',
    '{"context":{"targetingKey":"u2"}}',
    '{"context":{"targetingKey":"u1","cutoverPin":"r1@0"}}',
    '{"context":{"targetingKey":"u1","cutoverPin":"r1"}}',
)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"origin": "https://www.va.gov"},
    {"origin": "https://other.test"},
    {"cutover_user": "u1"},
    {"if_none_match": '"r1-0123456789abcdef"'},
    {"if_none_match": "ITS"},  # the ETag that was answered last
)
HAPPENS = st.one_of(
    st.tuples(st.just("hear"), st.sampled_from((NOBODY, TESTERS, COHORT, EVERYONE))),
    st.tuples(st.just("wait"), st.sampled_from((1, 30, 60, 310, 3600, CHANGES))),
    st.tuples(st.just("stale"), st.booleans()),
    st.tuples(st.just("revoke"), st.sampled_from((0, 1))),
    st.tuples(st.just("add"), st.sampled_from((0, 1))),
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """A few questions that are nearly the same, asked again and again, while things happen."""
    targets, bodies = (
        draw(st.sets(st.sampled_from(TARGETS), max_size=2)),
        draw(st.sets(st.sampled_from(BODIES), max_size=2)),
    )
    asked = st.tuples(
        st.just("ask"),
        st.sampled_from(sorted(targets) or TARGETS),
        st.sampled_from(sorted(bodies) or BODIES[:1]),
        st.sampled_from(HEADERS),
        st.sampled_from((0, 0, 1, None)),
    )
    rounds = draw(st.lists(st.tuples(HAPPENS, st.lists(asked, min_size=3, max_size=6)), min_size=2, max_size=4))
    return [step for happening, questions in rounds for step in (*questions, happening, *questions)]


@given(histories())
def test_what_is_remembered_is_what_would_be_answered_now(steps: list[tuple[object, ...]]) -> None:
    with TemporaryDirectory() as folder:
        house, etag = House(Path(folder)), ""
        for step in steps:
            match step:
                case ("ask", str(target), str(body), dict(headers), which):
                    sent = {name: value.replace("ITS", etag) for name, value in headers.items()}
                    if isinstance(which, int):
                        sent["authorization"] = house.bearer(which)
                    method, path = target.split(" ")
                    for _ in range(2):  # the second time it is remembered
                        answer = house.ask(house.front, method, path, body, **sent)
                        assert answer == house.ask(house.another(), method, path, body, **sent)
                        etag = _etag(answer) or etag
                case ("hear", Exposure() as exposure):
                    windows = (WINDOW,) if exposure == TESTERS else ()
                    house.hear(replace(VAOS, exposure=exposure, windows=windows))
                case ("wait", int(seconds)):
                    house.flags.now += timedelta(seconds=seconds)
                    house.flags.ticks += seconds
                case ("stale", bool(stale)):
                    house.flags.silent_since = house.flags.now if stale else None
                case ("revoke", int(which)):
                    with suppress(UnknownName):
                        house.book.revoke(NAMES[which], by="root")
                case ("add", int(which)):
                    house.tokens[which] = house.book.add(NAMES[which], "reader", ("sees testers",), by="root")


def _etag(answer: tuple[int, bytes] | None) -> str:
    lines = answer[1].split(b"\r\n") if answer else ()
    return next((line.removeprefix(b"etag: ").decode() for line in lines if line.startswith(b"etag: ")), "")


# -- one by one


def test_the_same_question_gets_the_same_reply_until_something_changes(house: House) -> None:
    headers = {b"authorization": house.bearer().encode()}
    house.book.who("")
    ask = (b"POST", f"{FLAGS}/a".encode(), headers, BODIES[0].encode())
    first = house.front.at_once(*ask)
    assert first is not None
    assert house.front.at_once(*ask) is first
    house.hear(VAOS)
    assert house.front.at_once(*ask) is not first


def test_a_stream_whose_address_would_have_expired_is_not_told_again(house: House) -> None:
    """Nothing is remembered for more than an hour, while a ticket lasts twelve."""
    headers = {"authorization": house.bearer()}
    before = house.ask(house.front, "POST", FLAGS, BODIES[0], **headers)
    house.flags.now += timedelta(seconds=CHANGES)
    after = house.ask(house.front, "POST", FLAGS, BODIES[0], **headers)
    assert before is not None
    assert after is not None
    assert before[1].partition(b"ticket=")[2] != after[1].partition(b"ticket=")[2]


def test_testers_who_are_told_to_flipper_are_not_remembered(house: House) -> None:
    """Somebody who is erased must not be told of again."""
    house.ask(house.front, "GET", "/flipper/features", "", authorization=house.bearer())
    assert not house.front._remembered._replies


def test_a_long_question_is_not_remembered(house: House) -> None:
    body = '{"context":{"targetingKey":"%s"}}' % ("u" * LONGEST)
    assert house.ask(house.front, "POST", f"{FLAGS}/a", body, authorization=house.bearer()) is not None
    assert not house.front._remembered._replies


BIG = replace(VAOS, toggles=tuple(f"toggle_{n}" for n in range(200)))


@pytest.mark.parametrize("origin", [{}, {"origin": "https://www.va.gov"}])
def test_no_more_bytes_are_remembered_than_have_room(
    house: House, origin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes with a new cookie each time does not fill the memory."""
    monkeypatch.setattr(remembered, "ROOM", 100_000)
    house.hear(BIG)
    for n in range(50):
        answer = house.ask(house.front, "GET", f"/v0/feature_toggles?cookie_id=u{n}", "", **origin)
        assert answer is not None
        assert len(answer[1]) > 10_000
        kept = {id(reply): len(reply.wire()) for reply in house.front._remembered._replies.values()}
        assert 0 < sum(kept.values()) < 150_000


def test_an_answer_that_many_share_is_counted_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ROOM", 100_000)
    house.hear(BIG)
    for n in range(50):
        assert house.ask(house.front, "GET", f"/v0/feature_toggles?cookie_id=u{n}", "") is not None
    assert len(house.front._remembered._replies) == 50


def test_a_moment_keeps_no_more_bytes_than_have_room(house: House) -> None:
    moment = Moment(house.flags.state, NOON, None, house.desk.vault.hmac, room=100)
    for n in range(50):
        made = b"x" * 30
        assert moment.once(n, lambda made=made: (Reply(200, made), made)) == moment.once(n, lambda: None)  # type: ignore[misc]
        assert 0 < len(moment._encoded) < 3
    assert moment.once("big", lambda: b"x" * 1000) is moment.once("big", lambda: b"")


async def test_pins_of_the_same_moment_share_it(house: House) -> None:
    house.hear(replace(VAOS, exposure=TESTERS, windows=(WINDOW,)))
    moments = Moments(house.flags, house.desk.vault.hmac)
    first = {await moments.get(Wanted(pin=pin)) for pin in ("r2@0", "r2@7", "2@8", "r2")}
    assert first == {moments.now()}
    house.flags.now = WINDOW.opens
    opened = moments.now()
    before = {await moments.get(Wanted(pin=f"r2@{n}")) for n in range(100)}
    assert len(before) == 1
    assert opened not in before
    assert len(moments._pinned) == 1
    assert await moments.get(Wanted(pin=opened.pin)) is opened


def test_a_moment_ends_after_an_hour_with_the_same_pin(house: House) -> None:
    moments = Moments(house.flags, house.desk.vault.hmac)
    first = moments.now()
    house.flags.now += timedelta(minutes=59)
    assert moments.now() is first
    house.flags.now += timedelta(minutes=1)
    assert moments.now() is not first
    assert moments.now().pin == first.pin


def test_the_live_tokens_have_another_version_only_when_they_are_others(house: House) -> None:
    book = house.book
    book.who("")
    version = book.version
    book._read_at = None
    book.who("")
    assert book.version == version
    book.revoke("two", by="root")
    book.who("")
    assert book.version != version


def test_a_pinned_answer_is_not_given_longer_than_its_pin_is_kept(house: House) -> None:
    """A pin of the time before the window; five minutes after the window opened it is gone."""
    house.hear(replace(VAOS, exposure=TESTERS, windows=(WINDOW,)))
    for minutes, status in ((3, 200), (5, 200), (6, 410)):
        house.flags.now = NOON + timedelta(minutes=minutes)
        answer = house.ask(house.front, "POST", f"{FLAGS}?at=r2@0", BODIES[0], authorization=house.bearer())
        assert answer is not None
        assert answer[0] == status
