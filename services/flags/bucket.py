"""The bucket `flags` on NATS: one key a rollout, its whole toggle group's snapshot in one value.

One rule: a key only goes up, by the revision in its value, whoever writes and however late. Each write names the
value that it replaces; if that is not there any more, the one that is there decides who is newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from nats import errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DeliverPolicy, Header
from nats.js.errors import APIError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from events.codec import NOT_JSON
from projections.flags import FlagSnapshot, decode, encode
from services.flags.marks import HEADER, MARK, Mark, decode_mark, encode_mark
from services.flags.reader import FlagReader
from services.log.replies import WRONG_SEQUENCE
from services.log.streams import FLAGS

__all__ = ["FlagBucket", "FlagReader"]

IN_FLIGHT = 64
ALL_WITHIN = 30.0  # seconds


class Held(NamedTuple):
    """What the bucket holds under a key: the bytes, and the bucket's own sequence of them."""

    data: bytes
    sequence: int


class FlagBucket:
    """The write side. One task at a time."""

    def __init__(self, js: JetStreamContext, name: str = FLAGS) -> None:
        self._js = js
        self._name = name
        self._stream = f"KV_{name}"
        self._store: KeyValue | None = None
        self._written: dict[str, tuple[int, int]] = {}  # by key: the bucket's sequence, the revision in the value

    async def _kv(self) -> KeyValue:
        if self._store is None:
            self._store = await self._js.key_value(self._name)
        return self._store

    async def write(self, snapshots: Sequence[FlagSnapshot], *, repair: bool = False, mark: Mark | None = None) -> None:
        """Write those that are newer than what is there; with `repair` also those that differ at the same revision.

        `mark`: what holds once they are all there; the last of them is written after the others and carries it.
        Raises nats.errors.Error when the outcome is unknown; writing them again later is safe.
        """
        if mark is not None and snapshots:
            await self.write(snapshots[:-1], repair=repair)
            await self._raise_to(snapshots[-1], repair, {HEADER: encode_mark(mark).decode()})
            return
        lanes = asyncio.Semaphore(IN_FLIGHT)

        async def one(snapshot: FlagSnapshot) -> None:
            async with lanes:
                await self._raise_to(snapshot, repair)

        outcomes = await asyncio.gather(*map(one, snapshots), return_exceptions=True)
        for outcome in outcomes:  # none is left running behind an error
            if outcome is not None:
                raise outcome

    async def repair(self, wanted: Sequence[FlagSnapshot], upto: int) -> int:
        """Make it say what is wanted, which is all there is up to the revision `upto`; how many values did not.

        Only a value from above `upto` is left alone: somebody has got further meanwhile.
        """
        held = await self.all()
        different = [s for s in wanted if s.rollout not in held or held[s.rollout].data != encode(s)]
        for snapshot in different:
            there = held.get(snapshot.rollout)
            if there and snapshot.revision < _revision(snapshot.rollout, there.data) <= upto:  # no record made it
                await self._displace(snapshot, there)
        await self.write(different, repair=True)
        return len(different)

    async def _displace(self, snapshot: FlagSnapshot, held: Held) -> None:
        """Replace exactly this value, though its revision is higher."""
        kv = await self._kv()
        with suppress(KeyWrongLastSequenceError):
            await kv.update(snapshot.rollout, encode(snapshot), last=held.sequence)
        self._written.pop(snapshot.rollout, None)

    async def _raise_to(self, snapshot: FlagSnapshot, repair: bool, headers: Mapping[str, str] | None = None) -> None:
        await self._raise(snapshot.rollout, snapshot.revision, encode(snapshot), repair, headers)

    async def mark(self, mark: Mark) -> bool:
        """Say how far the bucket goes; False: somebody else has got further."""
        return await self._raise(MARK, mark.revision, encode_mark(mark), repair=True)

    async def _raise(
        self, key: str, revision: int, data: bytes, repair: bool, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Put `data` under `key` unless a value of a later revision is there (without `repair`: or of the same)."""
        sequence, there = self._written.pop(key, (0, 0))  # forgotten until the write's outcome is known
        while there < revision or (repair and there == revision):
            try:
                written = await self._update(key, data, sequence, headers or {})
            except KeyWrongLastSequenceError:
                held = await self.get(key)
                sequence, there = held.sequence, _revision(key, held.data)
                if held.data == data:
                    break
            else:
                self._written[key] = written, revision
                return True
        self._written[key] = sequence, there
        return there == revision

    async def _update(self, key: str, data: bytes, last: int, headers: Mapping[str, str]) -> int:
        """Replace the value of that sequence, 0: none. As the KeyValue's own `update`, which sends no headers."""
        expected = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(last)}
        try:
            ack = await self._js.publish(f"$KV.{self._name}.{key}", data, headers={**headers, **expected})
        except APIError as error:
            if error.err_code in WRONG_SEQUENCE:
                raise KeyWrongLastSequenceError(description=error.description) from error
            raise
        return ack.seq

    async def get(self, key: str) -> Held:
        """The value under a key as the bucket's leader has it; no bytes if there is none or it was deleted."""
        kv = await self._kv()
        try:
            entry = await kv.get(key)
        except KeyNotFoundError as missing:
            return Held(b"", (missing.entry.revision or 0) if missing.entry else 0)
        return Held(entry.value or b"", entry.revision or 0)

    async def all(self) -> dict[str, Held]:
        """Every rollout's value, by id. Raises nats.errors.Error where they do not come.

        Each message says how many are behind it. (The KeyValue's own watch ends where the server's word of the consumer
        comes before its messages, as if there were none.)
        """
        if not (await self._js.stream_info(self._stream)).state.messages:
            return {}
        found: dict[str, Held] = {}
        whole = asyncio.Event()

        async def take(msg: Msg) -> None:
            key = msg.subject.removeprefix(f"$KV.{self._name}.")
            if key != MARK and "KV-Operation" not in (msg.headers or {}):
                found[key] = Held(msg.data, msg.metadata.sequence.stream)
            if msg.metadata.num_pending == 0:
                whole.set()

        subscription = await self._js.subscribe(
            f"$KV.{self._name}.>",
            stream=self._stream,
            cb=take,
            ordered_consumer=True,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        )
        try:
            async with asyncio.timeout(ALL_WITHIN):
                await whole.wait()
        except TimeoutError:
            raise errors.TimeoutError from None
        finally:
            await subscription.unsubscribe()
        return found

    async def remove(self, key: str, held: Held) -> None:
        """Delete a key that no rollout stands behind, if it is still as it was seen."""
        kv = await self._kv()
        await kv.delete(key, last=held.sequence)


def _revision(key: str, data: bytes) -> int:
    """The revision in a value; bytes that are none count as older than everything: they are written over."""
    try:
        return decode_mark(data).revision if key == MARK else decode(data).revision
    except NOT_JSON:
        return 0
