"""The log on a JetStream stream: one subject a rollout, one message a record.

One rule: a timeout is not a failure. What the server did not answer is sent again with the same bytes, id and expected
revision; what it calls a wrong sequence or a duplicate is settled by reading the log's leader: the bytes that stand
after `expected` say who appended. (The duplicate window is short and differs between one replica and three.)
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TypeVar

import msgspec
from nats.aio.client import Client

from events.codec import ATTEMPT_SUBJECT, log_subject, rollout_of
from services.log import streams
from services.log.feed import SILENCE, Feed
from services.log.ids import check_id, is_id
from services.log.protocol import Conflict, Entry, Gap, LogFull, Unavailable
from services.log.replies import ACKS, FOUND, INFOS, PAUSES, WRONG_SEQUENCE, Ack, Failure, Stored, insist
from services.log.requests import Requests, Unknown

TRY = 2.5  # seconds to wait for one answer
LIMIT = 10.0  # seconds until an append or a read says Unavailable
LARGEST = streams.LARGEST - 1024  # bytes of a record; the headers need the rest
_SINGLES = 3  # records read one by one before a consumer is made
_STILL_UNKNOWN = {10158}  # "duplicate in process"
_PERMANENT = {10077, 10054, 10109, 10023, 10047}  # limits (as 503), size, sealed, storage full
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+-]{1,128}")

T = TypeVar("T")


class JetStreamLog:
    """services.log.protocol.Log on the streams of services/log/streams.py, which must exist."""

    def __init__(self, connection: Client, *, limit: float = LIMIT, try_for: float = TRY) -> None:
        self._connection = connection
        self._requests = Requests(connection)
        self._limit = limit
        self._try_for = try_for
        self._seen = 0  # the highest revision this process knows of

    async def append(
        self, rollout: str, data: bytes, *, expected: int, command_id: str, expected_head: int | None = None
    ) -> int:
        subject = _subject(rollout)
        if len(data) > min(LARGEST, self._connection.max_payload - 1024):
            raise LogFull(f"a record of {len(data)} bytes for {rollout!r}; the log takes {LARGEST}")
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(expected),
            "Nats-Msg-Id": f"{rollout}:{_header(command_id)}",
        }
        if expected_head is not None:
            headers["Nats-Expected-Last-Sequence"] = str(expected_head)

        async def attempt() -> int:
            message = await self._requests.ask(subject, data, within=self._try_for, headers=headers)
            ack = ACKS.decode(message.data)
            if ack.error is None and not ack.duplicate:
                return ack.seq
            _refuse(ack.error)
            return await self._settle(rollout, data, expected, expected_head, ack)

        revision = await self._insist(attempt, f"no answer to an append to {rollout!r}; it may have landed")
        self._seen = max(self._seen, revision)
        return revision

    async def _settle(self, rollout: str, data: bytes, expected: int, expected_head: int | None, ack: Ack) -> int:
        """Who appended after `expected`: we (its revision), another (Conflict), or nobody (Unknown: send again).

        We are recognised by all our bytes: the same command id over other bytes is a decision made elsewhere.
        """
        if ack.duplicate and ack.seq <= expected:
            raise Conflict(f"rollout {rollout!r}: this command was accepted at revision {ack.seq}")
        last = await self._find({"last_by_subj": log_subject(rollout)})
        at = last.seq if last else 0
        if at > expected:
            after = await self._find({"seq": expected + 1, "next_by_subj": log_subject(rollout)})
            if after is not None and after.data == data:
                return after.seq
        if at != expected:
            raise Conflict(f"rollout {rollout!r}: expected its last revision to be {expected}, found {at}")
        if expected_head is not None and (head := await self._head()) != expected_head:
            raise Conflict(f"expected the log's last revision to be {expected_head}, found {head}")
        raise Unknown("neither stored nor refused for good")

    async def read(self, rollout: str, after: int = 0) -> list[Entry]:
        subject = _subject(rollout)
        return await self._insist(lambda: self._read(subject, after), f"cannot read rollout {rollout!r}")

    async def _read(self, subject: str, after: int) -> list[Entry]:
        """A few records one by one, many by a consumer; complete when the leader's last one is there."""
        last = await self._find({"last_by_subj": subject})
        if last is None or last.seq <= after:
            return []
        entries: list[Entry] = []
        at = after
        for _ in range(_SINGLES):
            found = await self._find({"seq": at + 1, "next_by_subj": subject})
            if found is None:
                raise Gap(f"{subject}: revision {last.seq} is there, but none is found after {at}")
            entries.append(_entry(found))
            at = found.seq
            if at >= last.seq:
                return entries
        async with Feed(self._requests, streams.ROLLOUTS, after=at, subject=subject) as feed:
            async for batch in feed.batches():
                entries += batch
                if batch[-1].revision >= last.seq:
                    return entries
        raise AssertionError("a feed does not end by itself")

    async def last_revision(self, rollout: str) -> int:
        subject = _subject(rollout)

        async def attempt() -> int:
            last = await self._find({"last_by_subj": subject})
            return last.seq if last else 0

        return await self._insist(attempt, f"cannot read the last revision of {rollout!r}")

    async def head(self) -> int:
        return await self._insist(self._head, "cannot read the log's last revision")

    async def at(self, revision: int) -> Entry | None:
        if revision < 1:
            return None
        found = await self._insist(lambda: self._find({"seq": revision}), f"cannot read revision {revision}")
        return _entry(found) if found else None

    async def follow(self, after: int, *, until: int | None = None) -> AsyncIterator[Sequence[Entry]]:
        at = after
        loop = asyncio.get_running_loop()
        began = trouble_since = loop.time()
        while until is None or at < until:
            try:
                await self._reaches(at)
                async with Feed(self._requests, streams.ROLLOUTS, after=at) as feed:
                    began = loop.time()
                    async with aclosing(feed.batches()) as batches:
                        async for batch in batches:
                            _whole(batch, at)
                            if until is not None and batch[-1].revision > until:
                                batch = batch[: until - at]
                            at = batch[-1].revision
                            self._seen = max(self._seen, at)
                            yield batch
                            began = trouble_since = loop.time()
                            if at == until:
                                return
            except Unknown as why:
                if loop.time() - began > SILENCE * 2:
                    trouble_since = loop.time()  # it worked, in silence, until now
                if loop.time() - trouble_since > self._limit:
                    raise Unavailable(f"the log went away while following it from revision {at}: {why}") from why
                await asyncio.sleep(PAUSES[-1])

    async def _reaches(self, at: int) -> None:
        """Gap if the log ends below what was read of it; a new leader is given a moment to catch up."""
        for pause in (*PAUSES, 0.5, 1.0, 1.0):
            head = await self._head()
            if head >= at:
                return
            await asyncio.sleep(pause)
        raise Gap(f"the log was read up to revision {at}, but its last is {head}: records are lost")

    async def note_attempt(self, rollout: str, data: bytes) -> None:
        token = rollout if is_id(rollout) else "_"
        with suppress(Unknown):
            await self._requests.ask(ATTEMPT_SUBJECT + token, data, within=1.0)

    async def attempts(self, after: int) -> list[Entry]:
        return await self._insist(lambda: self._attempts(after), "cannot read the refused attempts")

    async def _attempts(self, after: int) -> list[Entry]:
        last = await self._head(streams.ATTEMPTS)
        entries: list[Entry] = []
        if last <= after:
            return entries
        async with Feed(self._requests, streams.ATTEMPTS, after=after) as feed:
            async for batch in feed.batches():
                entries += batch
                if batch[-1].revision >= last:
                    return entries
        raise AssertionError("a feed does not end by itself")

    async def problems(self) -> list[str]:
        found = await streams.problems(self._connection.jetstream(timeout=self._try_for))
        try:
            if not found:
                await self._insist(lambda: self._reaches(self._seen), "cannot read the log's last revision")
        except Gap as lost:
            found.append(str(lost))
        return found

    # -- one request each

    async def _find(self, query: dict[str, int | str]) -> Stored | None:
        """A stored message from the stream's leader (not by direct get, which may lag), None if there is none."""
        subject = f"$JS.API.STREAM.MSG.GET.{streams.ROLLOUTS}"
        answer = await self._requests.ask(subject, msgspec.json.encode(query), within=self._try_for)
        return FOUND.decode(answer.data).there()

    async def _head(self, stream: str = streams.ROLLOUTS) -> int:
        answer = await self._requests.ask(f"$JS.API.STREAM.INFO.{stream}", b"", within=self._try_for)
        info = INFOS.decode(answer.data)
        if info.state is None:
            raise Unknown(f"stream {stream}: {info.error.description if info.error else 'no answer'}")
        return info.state.last_seq

    async def _insist(self, attempt: Callable[[], Awaitable[T]], failing: str) -> T:
        return await insist(attempt, failing, limit=self._limit)


def _refuse(error: Failure | None) -> None:
    """Raise for an answer that is final or unknown; return for one that the log's bytes must settle."""
    if error is None or error.err_code in WRONG_SEQUENCE:
        return
    words = error.words()
    if error.err_code in _PERMANENT:
        raise LogFull(f"the log refuses the record: {words}")
    if error.code >= 500 or error.err_code in _STILL_UNKNOWN:
        raise Unknown(words)
    raise LogFull(f"the log refuses the record: {words}")


def _whole(batch: Sequence[Entry], after: int) -> None:
    """Gap unless the batch goes on from `after` without a hole (sequences rise, so the ends tell)."""
    if batch[0].revision == after + 1 and batch[-1].revision == after + len(batch):
        return
    for wanted, entry in enumerate(batch, after + 1):
        if entry.revision != wanted:
            raise Gap(f"expected revision {wanted}, found {entry.revision}: the log was cut or damaged")


def _entry(stored: Stored) -> Entry:
    return Entry(stored.seq, rollout_of(stored.subject), stored.data)


def _subject(rollout: str) -> str:
    check_id(rollout)
    return log_subject(rollout)


def _header(command_id: str) -> str:
    """A command id fit for a header; nats-py strips and translates others, and two could become one."""
    return command_id if _PLAIN_ID.fullmatch(command_id) else hashlib.sha256(command_id.encode()).hexdigest()
