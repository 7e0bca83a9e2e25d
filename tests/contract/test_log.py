"""What every log answers: one suite for JetStream and for memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.log.memory import MemoryLog
from services.log.nats import JetStreamLog
from services.log.protocol import Conflict, Entry, Gap, Log, LogFull

KINDS = ["memory", pytest.param("jetstream", marks=pytest.mark.connected)]


@pytest.fixture(params=KINDS)
def log(request: pytest.FixtureRequest) -> Log:
    if request.param == "memory":
        return MemoryLog()
    made: JetStreamLog = request.getfixturevalue("jetstream_log")
    return made


async def all_of(log: Log, after: int = 0, until: int | None = None) -> list[Entry]:
    until = await log.head() if until is None else until
    return [entry async for batch in log.follow(after, until=until) for entry in batch]


async def fill(log: Log, rollouts: int, records: int) -> list[Entry]:
    """Records of several rollouts, interleaved; what was stored, in order."""
    last = dict.fromkeys(range(rollouts), 0)
    stored = []
    for number in range(records):
        for of in range(rollouts):
            data = f"{of}/{number}".encode()
            last[of] = await log.append(f"r-{of}", data, expected=last[of], command_id=f"{of}-{number}")
            stored.append(Entry(last[of], f"r-{of}", data))
    return stored


async def test_an_empty_log_answers_nothing(log: Log) -> None:
    assert await log.head() == 0
    assert await log.read("vaos") == []
    assert await log.last_revision("vaos") == 0
    assert await log.at(1) is None
    assert await log.at(0) is None
    assert await log.attempts(0) == []
    assert await log.problems() == []


async def test_an_append_is_read_back_as_it_was_written(log: Log) -> None:
    data = bytes(range(256)) * 4
    revision = await log.append("vaos", data, expected=0, command_id="a")
    assert revision == 1
    assert await log.read("vaos") == [Entry(1, "vaos", data)]
    assert await log.at(1) == Entry(1, "vaos", data)
    assert await log.last_revision("vaos") == 1
    assert await log.head() == 1


async def test_an_append_on_an_old_revision_is_a_conflict_that_names_both(log: Log) -> None:
    first = await log.append("vaos", b"one", expected=0, command_id="a")
    await log.append("vaos", b"two", expected=first, command_id="b")
    with pytest.raises(Conflict, match=r"expected .*1.* found 2"):
        await log.append("vaos", b"three", expected=first, command_id="c")
    assert [entry.data for entry in await log.read("vaos")] == [b"one", b"two"]


async def test_an_append_on_a_revision_that_never_was_is_a_conflict(log: Log) -> None:
    with pytest.raises(Conflict, match="expected"):
        await log.append("vaos", b"one", expected=7, command_id="a")
    assert await log.head() == 0


async def test_the_same_append_again_returns_the_same_revision_and_stores_nothing(log: Log) -> None:
    first = await log.append("vaos", b"one", expected=0, command_id="a")
    assert await log.append("vaos", b"one", expected=0, command_id="a") == first
    await log.append("vaos", b"two", expected=first, command_id="b")
    assert await log.append("vaos", b"one", expected=0, command_id="a") == first
    assert len(await log.read("vaos")) == 2


async def test_the_same_command_over_other_bytes_is_a_conflict_as_it_was_decided_elsewhere(log: Log) -> None:
    await log.append("vaos", b"one", expected=0, command_id="a")
    with pytest.raises(Conflict):
        await log.append("vaos", b"another one", expected=0, command_id="a")
    assert [entry.data for entry in await log.read("vaos")] == [b"one"]


async def test_a_command_already_accepted_is_not_stored_again_on_a_fresh_revision(log: Log) -> None:
    first = await log.append("vaos", b"one", expected=0, command_id="a")
    with pytest.raises(Conflict, match=f"accepted at revision {first}"):
        await log.append("vaos", b"one", expected=first, command_id="a")
    assert len(await log.read("vaos")) == 1


@pytest.mark.parametrize("command_id", ["with space", " a", "a\r\nX: y", "ключ", "x" * 500, "a,b;c\t"])
async def test_any_text_is_a_command_id_and_two_never_become_one(log: Log, command_id: str) -> None:
    first = await log.append("vaos", b"one", expected=0, command_id=command_id)
    second = await log.append("vaos", b"two", expected=first, command_id=command_id.strip() + "!")
    assert await log.append("vaos", b"one", expected=0, command_id=command_id) == first
    assert second == 2


async def test_expected_head_holds_against_the_whole_log(log: Log) -> None:
    head = await log.append("vaos", b"one", expected=0, command_id="a")
    assert await log.append("other", b"one", expected=0, command_id="b", expected_head=head) == 2
    with pytest.raises(Conflict, match=r"last revision to be 1, found 2"):
        await log.append("third", b"one", expected=0, command_id="c", expected_head=head)
    assert await log.append("other", b"one", expected=0, command_id="b", expected_head=head) == 2


async def test_of_many_appends_on_one_revision_exactly_one_wins(log: Log) -> None:
    async def attempt(number: int) -> int | None:
        try:
            return await log.append("vaos", b"by %d" % number, expected=0, command_id=str(number))
        except Conflict:
            return None

    won = [revision for revision in await asyncio.gather(*map(attempt, range(50))) if revision is not None]
    assert won == [1]
    assert await log.head() == 1


async def test_of_two_adoptions_on_one_head_exactly_one_wins(log: Log) -> None:
    async def adopt(rollout: str) -> int | None:
        try:
            return await log.append(rollout, b"plan", expected=0, command_id=rollout, expected_head=0)
        except Conflict:
            return None

    assert sorted(str(r) for r in await asyncio.gather(adopt("a"), adopt("b"))) == ["1", "None"]


async def test_reading_one_rollout_gives_its_records_alone_in_order(log: Log) -> None:
    stored = await fill(log, rollouts=3, records=40)
    for of in ("r-0", "r-1", "r-2"):
        mine = [entry for entry in stored if entry.rollout == of]
        assert await log.read(of) == mine
        assert await log.read(of, after=mine[10].revision) == mine[11:]
        assert await log.read(of, after=mine[-2].revision) == mine[-1:]
        assert await log.read(of, after=mine[-1].revision) == []


async def test_a_name_that_begins_another_is_another_rollout(log: Log) -> None:
    await log.append("vaos", b"one", expected=0, command_id="a")
    await log.append("vaos-2", b"two", expected=0, command_id="a")
    assert [entry.data for entry in await log.read("vaos")] == [b"one"]


async def test_following_gives_every_record_once_in_order_up_to_until(log: Log) -> None:
    stored = await fill(log, rollouts=4, records=30)
    assert await all_of(log) == stored
    assert await all_of(log, after=50) == stored[50:]
    assert await all_of(log, after=10, until=20) == stored[10:20]
    assert await all_of(log, after=20, until=20) == []


async def test_a_follower_is_given_what_comes_later(log: Log) -> None:
    seen: list[Entry] = []

    async def follow() -> None:
        async for batch in log.follow(0, until=20):
            assert batch
            seen.extend(batch)

    following = asyncio.create_task(follow())
    stored = await fill(log, rollouts=2, records=10)
    await asyncio.wait_for(following, 10)
    assert seen == stored


async def test_following_from_beyond_the_end_is_a_gap(log: Log) -> None:
    await log.append("vaos", b"one", expected=0, command_id="a")
    with pytest.raises(Gap, match=r"up to revision 5.* last is 1"):
        await anext(aiter(log.follow(5)))


async def test_attempts_are_kept_apart_from_the_records(log: Log) -> None:
    await log.append("vaos", b"one", expected=0, command_id="a")
    await log.note_attempt("vaos", b"refused")
    await log.note_attempt("vaos", b"refused again")
    await log.append("vaos", b"two", expected=1, command_id="b")
    assert await log.head() == 2
    assert [entry.data for entry in await log.attempts(0)] == [b"refused", b"refused again"]
    assert [(e.rollout, e.data) for e in await log.attempts(1)] == [("vaos", b"refused again")]
    assert await log.attempts(2) == []
    assert [entry.data for entry in await all_of(log)] == [b"one", b"two"]


async def test_a_record_of_768_kib_is_taken_and_one_of_a_mebibyte_is_too_large(log: Log) -> None:
    assert await log.append("vaos", b"x" * 768 * 1024, expected=0, command_id="a") == 1
    with pytest.raises(LogFull, match="1048576 bytes"):
        await log.append("vaos", b"x" * 1024 * 1024, expected=1, command_id="b")
    assert await log.append("vaos", b"small", expected=1, command_id="c") == 2
    assert [len(entry.data) for entry in await log.read("vaos")] == [768 * 1024, 5]


@pytest.mark.parametrize("bad", ["*", ">", "a.b", "", "A", "a b", "x" * 64])
async def test_what_is_not_a_rollouts_id_reaches_nothing(log: Log, bad: str) -> None:
    await log.append("vaos", b"one", expected=0, command_id="a")
    for asking in (log.read, log.last_revision):
        ask: Callable[[str], Awaitable[object]] = asking
        with pytest.raises(ValueError, match="not a rollout's id"):
            await ask(bad)
    with pytest.raises(ValueError, match="not a rollout's id"):
        await log.append(bad, b"one", expected=0, command_id="b")


async def test_followers_leave_nothing_behind_when_they_stop(log: Log) -> None:
    await fill(log, rollouts=1, records=5)
    for _ in range(3):
        following: AsyncIterator[object] = aiter(log.follow(0))
        await anext(following)
        await following.aclose()  # type: ignore[attr-defined]
    assert len(await all_of(log)) == 5
