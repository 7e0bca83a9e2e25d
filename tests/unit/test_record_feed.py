"""The feed of records: everybody gets everything once and in order, however far behind they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import facts as f
from services import event_stream
from services.following import PAUSE
from services.log.memory import MemoryLog
from services.record_feed import MOST_OF_ONE, RecordFeed, TooMany
from tests.histories import History, plan

ROLLOUTS = ("one", "two", "three")


class Writer:
    """Appends records of several rollouts to a log in memory."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._histories = {rollout: History(rollout) for rollout in ROLLOUTS}
        self.revisions: dict[str, list[int]] = {rollout: [] for rollout in ROLLOUTS}

    async def add(self, *rollouts: str) -> None:
        for rollout in rollouts:
            mine = self.revisions[rollout]
            fact: f.Fact = f.Noted("and so on") if mine else f.PlanAdopted(plan(rollout))
            stored = self._histories[rollout].add("note", fact)
            last = mine[-1] if mine else 0
            mine.append(await self._log.append(rollout, stored.data, expected=last, command_id=stored.command_id))

    def above(self, after: int, rollout: str) -> list[int]:
        wanted = [rollout] if rollout else list(ROLLOUTS)
        return sorted(n for each in wanted for n in self.revisions[each] if n > after)


@asynccontextmanager
async def running(feed: RecordFeed) -> AsyncIterator[RecordFeed]:
    task = asyncio.create_task(feed.run())
    await feed.began.wait()
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ids(data: bytes) -> list[int]:
    """The ids of the events in a chunk."""
    return [int(told.id) for told in event_stream.read([data]) if told.data]


async def heard(feed: RecordFeed, after: int, upto: int, rollout: str = "", most: int = 10**6) -> tuple[list[int], int]:
    """What a listener gets that stays until it stands at `upto` or has got `most` chunks; and where it stands."""
    got, at = list[int](), after
    async with aclosing(feed.listen(after, rollout, upto)) as chunks:
        async for chunk in chunks:
            got += ids(chunk.data)
            at, most = chunk.upto, most - 1
            if not most:
                break
        else:
            at = max(at, upto)
    return got, at


Sizes = st.integers(1, 4)
Steps = st.lists(
    st.one_of(
        st.lists(st.sampled_from(ROLLOUTS), min_size=1, max_size=30),  # records that come
        st.integers(1, 3),  # or the listener reads so many chunks, and hangs up
    ),
    max_size=12,
)


@given(
    before=st.lists(st.sampled_from(ROLLOUTS), max_size=60),
    keep=Sizes,
    steps=Steps,
    rollout=st.sampled_from(("", *ROLLOUTS)),
    data=st.data(),
)
def test_a_listener_that_hangs_up_and_comes_back_gets_every_record_once_and_in_order(
    before: list[str], keep: int, steps: list[list[str] | int], rollout: str, data: st.DataObject
) -> None:
    async def scenario() -> None:
        log = MemoryLog()
        writer = Writer(log)
        await writer.add(*before)
        start = at = data.draw(st.integers(0, len(before)))
        got: list[int] = []
        async with running(RecordFeed(log, keep=keep)) as feed:
            for step in (*steps, 10**6):
                if isinstance(step, list):
                    await writer.add(*step)
                    continue
                more, at = await heard(feed, at, await log.head(), rollout, most=step)
                got += more
        assert got == writer.above(start, rollout)

    asyncio.run(scenario())


async def test_what_comes_is_told_to_everybody_who_waits() -> None:
    log = MemoryLog()
    writer = Writer(log)
    await writer.add("one")
    async with running(RecordFeed(log)) as feed:
        listeners = [asyncio.create_task(heard(feed, 1, 4)) for _ in range(50)]
        await asyncio.sleep(0)
        await writer.add("one", "two", "one")
        outcomes = await asyncio.wait_for(asyncio.gather(*listeners), 10)
    assert outcomes == [([2, 3, 4], 4)] * 50


async def test_the_ring_is_bounded_in_bytes_too() -> None:
    log = MemoryLog()
    writer = Writer(log)
    async with running(RecordFeed(log, keep_bytes=1500)) as feed:
        await writer.add(*["one"] * 40)
        got, _ = await asyncio.wait_for(heard(feed, 0, 40), 10)
        assert got == list(range(1, 41))
        assert 0 < len(feed._ring) < 4


async def test_silence_tells_a_listener_its_place_so_that_it_never_comes_back_from_too_far_behind() -> None:
    log = MemoryLog()
    writer = Writer(log)
    async with running(RecordFeed(log, beat=0.01)) as feed:
        await writer.add("one", "two", "two")
        async with aclosing(feed.listen(0, "one")) as chunks:
            first, second = await anext(chunks), await anext(chunks)
    assert ids(first.data) == [1]
    assert (second.upto, second.data) == (3, b"")


async def test_a_log_that_is_away_interrupts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    writer = Writer(log)
    await writer.add("one")
    async with running(RecordFeed(log)) as feed:
        listener = asyncio.create_task(heard(feed, 1, 3))
        log.reachable = False
        log._grown.set()  # whoever follows the log looks, and finds it away
        await asyncio.sleep(PAUSE / 2)
        log.reachable = True
        await writer.add("two", "one")
        assert await asyncio.wait_for(listener, 10) == ([2, 3], 3)
    assert "the feed lost the log at revision 1" in caplog.text


async def test_a_feed_that_starts_without_the_log_waits_for_it() -> None:
    log = MemoryLog()
    log.reachable = False
    feed = RecordFeed(log)
    task = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    assert feed.position is None
    log.reachable = True
    await asyncio.wait_for(feed.began.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_when_the_feed_ends_so_does_every_stream() -> None:
    log = MemoryLog()
    async with running(RecordFeed(log)) as feed:
        listener = asyncio.create_task(heard(feed, 0, 100))
        await asyncio.sleep(0)
    await asyncio.wait_for(listener, 10)


async def test_a_record_that_cannot_be_read_is_said_to_be_there() -> None:
    log = MemoryLog()
    await log.append("one", b'{"v": 99}', expected=0, command_id="c-1")
    async with running(RecordFeed(log)) as feed, aclosing(feed.listen(0, "", 1)) as chunks:
        (told,) = [told async for chunk in chunks for told in event_stream.read([chunk.data])]
    assert (told.id, told.event) == ("1", "unreadable")
    assert msgspec.json.decode(told.data)["revision"] == 1


async def test_nobody_opens_more_streams_than_there_may_be() -> None:
    feed = RecordFeed(MemoryLog())
    opened = [feed.opened("ci") for _ in range(MOST_OF_ONE)]
    for each in opened:
        each.__enter__()
    with pytest.raises(TooMany, match="'ci' has 100 streams"), feed.opened("ci"):
        pass
    with feed.opened("somebody else"):
        pass
    for each in opened:
        each.__exit__(None, None, None)
    with feed.opened("ci"):
        pass
