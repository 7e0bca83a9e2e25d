"""Where checkpoints are kept: the stream CHECKPOINTS, and the folder `checkpoints/` outside the log.

One rule: a checkpoint is appended after the one its signer knows to be the last, or not at all, so the stream tells one
story however many notaries there are.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct
from nats.aio.client import Client

from services.log import streams
from services.log.feed import Feed
from services.log.protocol import Conflict, LogFull, Unavailable
from services.log.replies import ACKS, FOUND, WRONG_SEQUENCE, Failure, State, insist
from services.log.requests import Requests, Unknown
from services.notary.keys import write_whole

SUBJECT = "rollouts.checkpoints"
TRY, LIMIT = 2.5, 8.0
LEAF = 32  # bytes of a hash


class Kept(NamedTuple):
    """A checkpoint's note, and its place in the stream."""

    sequence: int
    note: str


class Stream(NamedTuple):
    """Of the log: when it was made (a stream that was deleted and made again has another), and its last revision."""

    created: str
    head: int


class _Info(Struct):
    created: str = ""
    state: State | None = None
    error: Failure | None = None


_INFO = msgspec.json.Decoder(_Info)


class CheckpointStream:
    """The stream. Methods raise Unavailable when nobody answers in time."""

    def __init__(self, connection: Client) -> None:
        self._requests = Requests(connection)

    async def last(self) -> Kept | None:
        """The latest checkpoint; None: there is none."""
        return await insist(self._last, "cannot read the last checkpoint", limit=LIMIT)

    async def _last(self) -> Kept | None:
        query = msgspec.json.encode({"last_by_subj": SUBJECT})
        subject = f"$JS.API.STREAM.MSG.GET.{streams.CHECKPOINTS}"
        answer = await self._requests.ask(subject, query, within=TRY)
        found = FOUND.decode(answer.data).there()
        return None if found is None else Kept(found.seq, found.data.decode(errors="replace"))

    async def append(self, note: str, *, after: int) -> int:
        """Keep the note if the last one stands at `after` (0: there is none); its place. Raises Conflict."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(after)}

        async def attempt() -> int:
            answer = await self._requests.ask(SUBJECT, note.encode(), within=TRY, headers=headers)
            ack = ACKS.decode(answer.data)
            if ack.error is None:
                return ack.seq
            if ack.error.err_code not in WRONG_SEQUENCE:
                if ack.error.code >= 500:
                    raise Unknown(ack.error.words())
                raise LogFull(f"the checkpoint is refused: {ack.error.words()}")
            last = await self._last()
            if last is not None and last.note == note:
                return last.sequence  # a first try had landed
            if last is None or last.sequence == after:
                raise Unknown("the last checkpoint could not be told")
            raise Conflict(f"a checkpoint was kept after {after}")

        return await insist(attempt, "no answer to a checkpoint; it may have been kept", limit=LIMIT)

    async def all(self) -> AsyncIterator[Kept]:
        """Every checkpoint up to the one that is the last now, in order."""
        last = await self.last()
        if last is None:
            return
        try:
            async with Feed(self._requests, streams.CHECKPOINTS, after=0) as feed, aclosing(feed.batches()) as batches:
                async for batch in batches:
                    for entry in batch:
                        yield Kept(entry.revision, entry.data.decode(errors="replace"))
                    if batch[-1].revision >= last.sequence:
                        return
        except Unknown as why:
            raise Unavailable(f"the checkpoints went away while they were read: {why}") from why

    async def log(self) -> Stream:
        """The log's stream as it now is."""

        async def attempt() -> Stream:
            answer = await self._requests.ask(f"$JS.API.STREAM.INFO.{streams.ROLLOUTS}", b"", within=TRY)
            info = _INFO.decode(answer.data)
            if info.state is None:
                raise Unknown(info.error.words() if info.error else "no answer about the log's stream")
            return Stream(info.created, info.state.last_seq)

        return await insist(attempt, "cannot read the log's state", limit=LIMIT)


class Folder:
    """`latest` (the last checkpoint), `leaves` (the hash of every leaf, in order) and `stream` (when the log was made).

    Two notaries on one folder write the same bytes at the same places.
    """

    def __init__(self, data: Path) -> None:
        self.path = data / "checkpoints"
        self.path.mkdir(parents=True, exist_ok=True)
        self._leaves = self.path / "leaves"

    def latest(self) -> str | None:
        """The note kept here; None: there is none."""
        return _text(self.path / "latest")

    def keep(self, note: str) -> None:
        write_whole(self.path / "latest", note.encode())

    def created(self) -> str | None:
        """When the stream was made whose leaves these are."""
        return _text(self.path / "stream")

    def keep_created(self, created: str) -> None:
        write_whole(self.path / "stream", created.encode())

    def leaves(self, most: int) -> bytes:
        """The first `most` leaf hashes, or as many as there are whole."""
        try:
            with self._leaves.open("rb") as file:
                found = file.read(most * LEAF)
        except FileNotFoundError:
            return b""
        return found[: len(found) // LEAF * LEAF]

    def keep_leaves(self, after: int, leaves: bytes) -> None:
        """Write leaf hashes in their places, behind the first `after`, onto the disk."""
        descriptor = os.open(self._leaves, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, leaves, after * LEAF)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
