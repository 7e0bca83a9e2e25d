"""The notary: follows the log, keeps the tree over it, and signs a checkpoint of it every few seconds.

One rule: it signs only what goes on from the last checkpoint, that of the stream and that of the file. A log that is
shorter, or has other bytes below it, is refused for good, loudly; who wants to know where, runs `cutover verify`.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from services.ending import end_if_cancelled
from services.log.protocol import Conflict, Entry, Gap, Log, LogError
from services.log.requests import Unknown
from services.notary import keys
from services.notary.checkpoint import Checkpoint, Handover, read_checkpoint
from services.notary.kept import LEAF, CheckpointStream, Folder
from services.notary.note import BadNote, Note, Signer
from services.notary.tree import Tree, leaf

logger = logging.getLogger("cutover.notary")

EVERY = 2.0  # seconds between checkpoints, while records come
LOOK = 30.0  # seconds between looks at whether it is the same stream, while none come
PAUSE = 0.5  # seconds before trying again
LAST_WORDS = 3.0  # seconds for the checkpoint on stop


class Refusing(Exception):
    """The log is not the one that was signed. The text says how it differs."""


class _Anew(Exception):
    """Begin again from what is kept: the key was handed over, or the stream was made again."""


class Notary:
    """One is enough; a second one signs the same bytes, and finds them signed."""

    def __init__(self, log: Log, kept: CheckpointStream, data: Path, *, every: float = EVERY) -> None:
        self._log = log
        self._kept = kept
        self._data = data
        self._every = every
        self._folder = Folder(data)
        self._refused = ""
        self._trouble = ""
        self._key: Signer | None = None
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._signed, self._tree = Tree(), Tree()  # as of the last checkpoint, and now
        self._leaves: list[bytes] = []  # between the two
        self._sequence = 0  # of the last checkpoint in the stream
        self._noted = ""  # the note there, if we put it there
        self._filed = ""  # the note in the file, if we put it there
        self._created = ""
        self._last_leaf = b""
        self._checked: tuple[Tree, int] | None = None  # what was expected and has come, still to be put on disk
        self._expected: dict[int, bytes] = {}  # roots that were signed, of sizes that the tree will reach
        self._grown = asyncio.Event()

    def problems(self) -> tuple[str, ...]:
        """Why nothing is signed, in words; empty: the notary does its work."""
        return tuple(words for words in (self._refused, self._trouble) if words)

    async def run(self) -> None:
        """Follow and sign until cancelled. Trouble is tried again; another log stops it for good."""
        try:
            while not self._refused:
                end_if_cancelled()
                await self._run()
            await asyncio.Event().wait()
        finally:
            with suppress(Exception):
                async with asyncio.timeout(LAST_WORDS):
                    await self._last_words()

    async def _run(self) -> None:
        try:
            await self._begin()
            await self._both(asyncio.create_task(self._follow()), asyncio.create_task(self._sign_on()))
        except (Refusing, Gap) as error:
            self._refused = f"the notary has stopped: {error}"
            logger.critical(self._refused)
        except _Anew as error:
            logger.info("the notary begins again: %s", error)
        except (LogError, Unknown, BadNote, OSError) as error:
            await self._troubled(error)

    async def _both(self, *tasks: asyncio.Task[None]) -> None:
        """Until one of them ends, which is with an error. (A TaskGroup of 3.11 leaves its caller `cancelling`.)"""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _troubled(self, error: BaseException) -> None:
        words = f"the notary waits: {error}"
        if words != self._trouble:
            logger.warning(words)
        self._trouble = words
        await asyncio.sleep(PAUSE)

    # -- beginning

    async def _begin(self) -> None:
        """Take up the tree where it was signed, and hold the log against it."""
        self._begin_empty()
        self._key = await asyncio.to_thread(keys.signer, self._data)
        await self._known()
        stream = await self._kept.log()
        size = max(self._expected, default=0)
        if stream.head < size:
            raise Refusing(f"the log ends at revision {stream.head}, but {size} were signed: its tail was cut off")
        if await asyncio.to_thread(self._folder.created) == stream.created:
            await asyncio.to_thread(self._take_leaves, size)
            await self._same_last_record()
        await asyncio.to_thread(self._folder.keep_created, stream.created)
        self._created = stream.created
        self._trouble = ""

    async def _known(self) -> None:
        """What was signed before: the last checkpoint of the stream, and that of the file."""
        last = await self._kept.last()
        if last is not None:
            self._sequence = last.sequence
            self._expect(await self._opened(last.note, "the last checkpoint of the stream"))
        latest = await asyncio.to_thread(self._folder.latest)  # after that: a handover that is finished moves it
        if latest is not None:
            self._expect(await self._opened(latest, "the checkpoint in the file"))
        if last is None and latest is not None:
            logger.critical("the stream CHECKPOINTS is empty, but a checkpoint was kept in a file: it was removed")
            self._sequence = await self._kept.append(latest, after=0)

    def _expect(self, checkpoint: Checkpoint) -> None:
        if self._expected.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
            raise Refusing(f"two checkpoints of {checkpoint.size} records have different roots: somebody else signs")

    async def _opened(self, note: str, what: str) -> Checkpoint:
        """The checkpoint, if our key signed it; a handover that was cut off is finished first."""
        assert self._key is not None
        try:
            checkpoint, parts = read_checkpoint(note)
            if checkpoint.handover is not None and checkpoint.handover.old == self._key.verifier:
                await self._take_over(note, parts, checkpoint.handover)
            if parts.signed_by(self._key.verifier) and checkpoint.origin == self._key.name:
                return checkpoint
        except BadNote as error:
            raise Refusing(f"{what} was changed: {error}") from error
        raise Refusing(f"{what} (of {checkpoint.size} records) is not signed by this notary's key")

    async def _take_over(self, note: str, parts: Note, handover: Handover) -> None:
        """Finish a rotation that was cut off after its handover was kept."""
        if not (parts.signed_by(handover.old) and parts.signed_by(handover.new)):
            raise Refusing("the handover of the key is not signed by both keys")
        latest = await asyncio.to_thread(self._folder.latest)
        if latest is not None and read_checkpoint(latest)[0].size > read_checkpoint(note)[0].size:
            raise Refusing("the handover of the key is of fewer records than the checkpoint in the file")
        await asyncio.to_thread(self._folder.keep, note)
        if not await asyncio.to_thread(keys.take_over, self._data, handover.new):
            raise Refusing(f"the key was handed over to {handover.new}, which is not in {self._data}")
        self._key = await asyncio.to_thread(keys.signer, self._data)

    def _take_leaves(self, size: int) -> None:
        """The tree from the leaf hashes on disk, if they give the roots that were signed."""
        found = self._folder.leaves(size)
        tree = Tree()
        for place in range(0, len(found), LEAF):
            tree.add(found[place : place + LEAF])
            if self._expected.get(tree.size) not in (None, tree.root() if tree.size in self._expected else None):
                break
        else:
            if tree.size == size:
                self._tree, self._signed, self._expected = tree, copy.deepcopy(tree), {}
                self._last_leaf = found[-LEAF:]
                return
        logger.warning("the kept leaf hashes are not those of the last checkpoint: the whole log is read again")

    async def _same_last_record(self) -> None:
        if self._tree.size:
            entry = await self._log.at(self._tree.size)
            if entry is None or leaf(entry.rollout, entry.data) != self._last_leaf:
                raise Refusing(f"revision {self._tree.size} of the log is not the one that was signed")

    # -- going on

    async def _follow(self) -> None:
        async for batch in self._log.follow(self._tree.size):
            end_if_cancelled()
            self._take(batch)
            if not self._expected:
                self._grown.set()

    def _take(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            hashed = leaf(entry.rollout, entry.data)
            self._tree.add(hashed)
            self._leaves.append(hashed)
            if self._tree.size in self._expected:
                self._compare(self._tree, len(self._leaves))

    def _compare(self, tree: Tree, count: int) -> None:
        """Hold `tree` (what was signed and `count` leaves more) against what was expected of its size."""
        if self._expected.pop(tree.size) != tree.root():
            raise Refusing(f"the first {tree.size} records of the log are not those that were signed: it was rewritten")
        if not self._expected:
            self._checked = copy.deepcopy(tree), count

    async def _sign_on(self) -> None:
        while True:
            end_if_cancelled()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._grown.wait()
            self._grown.clear()
            await self._sign()
            await asyncio.sleep(self._every)

    async def _sign(self) -> None:
        """Sign what the tree now holds, unless it is signed already."""
        assert self._key is not None
        await self._still_the_same()
        if self._checked is not None:
            await self._move(*self._checked)
            self._checked = None
        if self._expected:
            return
        if self._tree.size == self._signed.size:
            await self._file()  # a stop may have come in between
            return
        tree, count = copy.deepcopy(self._tree), len(self._leaves)
        note = Checkpoint(self._key.name, tree.size, tree.root()).signed([self._key])
        if note != self._noted:  # else a stop came before the leaves were on disk
            try:
                self._sequence = await self._kept.append(note, after=self._sequence)
            except Conflict:
                await self._another_signed()
                return
            self._noted = note
        await self._move(tree, count)
        await self._file()

    async def _file(self) -> None:
        """The last checkpoint, in the file as well."""
        if (note := self._noted) != self._filed:
            await asyncio.to_thread(self._folder.keep, note)
            self._filed = note

    async def _move(self, tree: Tree, count: int) -> None:
        """This tree is signed: its `count` new leaves go to the disk."""
        leaves = b"".join(self._leaves[:count])
        await asyncio.to_thread(self._folder.keep_leaves, self._signed.size, leaves)
        self._signed = tree
        del self._leaves[:count]

    async def _still_the_same(self) -> None:
        size = self._tree.size  # of before: while the answer is on its way more is read
        stream = await self._kept.log()
        if stream.created != self._created:
            raise _Anew("the log's stream was made again")
        if stream.head < size:
            raise Refusing(f"the log was read up to revision {size}, but now it ends at {stream.head}")

    async def _another_signed(self) -> None:
        """Another notary was quicker: what it signed must be what we would have."""
        last = await self._kept.last()
        if last is None:
            raise _Anew("the stream CHECKPOINTS was made again")
        checkpoint, _ = read_checkpoint(last.note)
        if checkpoint.handover is not None:
            raise _Anew("the key was handed over")
        await self._opened(last.note, "a checkpoint that somebody else signed")
        count = checkpoint.size - self._signed.size
        if count < 0:
            raise Refusing(f"a checkpoint of {checkpoint.size} records was kept after one of {self._signed.size}")
        self._expect(checkpoint)
        if count <= len(self._leaves):
            tree = copy.deepcopy(self._signed)
            for each in self._leaves[:count]:
                tree.add(each)
            self._compare(tree, count)
        self._sequence = last.sequence
        self._grown.set()

    async def _last_words(self) -> None:
        if self._created and not self._refused and not self._expected:
            await self._sign()
