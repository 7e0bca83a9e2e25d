"""The log in memory: for tests, simulations and benchmarks of everything above the log.

One rule: it answers as JetStreamLog does, from the same contract suite; only nothing survives the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from services.log.ids import check_id
from services.log.protocol import Conflict, Entry, Gap, LogFull, Unavailable

LARGEST = 1024 * 1024 - 1024  # bytes of a record
BATCH = 2000


class MemoryLog:
    """services.log.protocol.Log in a list. `reachable = False` makes it answer like a log that is down."""

    def __init__(self) -> None:
        self.reachable = True
        self._entries: list[Entry] = []
        self._attempts: list[Entry] = []
        self._of: dict[str, list[Entry]] = {}
        self._commands: dict[tuple[str, str], Entry] = {}
        self._grown = asyncio.Event()

    async def append(
        self, rollout: str, data: bytes, *, expected: int, command_id: str, expected_head: int | None = None
    ) -> int:
        self._reach(rollout)
        if len(data) > LARGEST:
            raise LogFull(f"a record of {len(data)} bytes for {rollout!r}; the log takes {LARGEST}")
        earlier = self._commands.get((rollout, command_id))
        if earlier is not None and earlier.revision <= expected:
            raise Conflict(f"rollout {rollout!r}: this command was accepted at revision {earlier.revision}")
        after = self._after(rollout, expected)
        if after and after[0].data == data:
            return after[0].revision
        at = self._last(rollout)
        if at != expected:
            raise Conflict(f"rollout {rollout!r}: expected its last revision to be {expected}, found {at}")
        if expected_head is not None and expected_head != len(self._entries):
            raise Conflict(f"expected the log's last revision to be {expected_head}, found {len(self._entries)}")
        return self._store(rollout, bytes(data), command_id)

    def _store(self, rollout: str, data: bytes, command_id: str) -> int:
        entry = Entry(len(self._entries) + 1, rollout, data)
        self._entries.append(entry)
        self._of.setdefault(rollout, []).append(entry)
        self._commands[rollout, command_id] = entry
        self._grown.set()
        self._grown = asyncio.Event()
        return entry.revision

    def _reach(self, rollout: str | None = None) -> None:
        if rollout is not None:
            check_id(rollout)
        if not self.reachable:
            raise Unavailable("the log in memory is switched off")

    def _after(self, rollout: str, after: int) -> list[Entry]:
        return [entry for entry in self._of.get(rollout, ()) if entry.revision > after]

    def _last(self, rollout: str) -> int:
        of = self._of.get(rollout)
        return of[-1].revision if of else 0

    async def read(self, rollout: str, after: int = 0) -> list[Entry]:
        self._reach(rollout)
        return self._after(rollout, after)

    async def last_revision(self, rollout: str) -> int:
        self._reach(rollout)
        return self._last(rollout)

    async def head(self) -> int:
        self._reach()
        return len(self._entries)

    async def at(self, revision: int) -> Entry | None:
        self._reach()
        return self._entries[revision - 1] if 1 <= revision <= len(self._entries) else None

    async def follow(self, after: int, *, until: int | None = None) -> AsyncIterator[Sequence[Entry]]:
        at = after
        while until is None or at < until:
            self._reach()
            if len(self._entries) < at:
                raise Gap(f"the log was read up to revision {at}, but its last is {len(self._entries)}")
            grown = self._grown
            batch = self._entries[at : min(at + BATCH, len(self._entries) if until is None else until)]
            if batch:
                at = batch[-1].revision
                yield batch
            else:
                await grown.wait()

    async def note_attempt(self, rollout: str, data: bytes) -> None:
        if self.reachable:
            self._attempts.append(Entry(len(self._attempts) + 1, rollout, bytes(data)))

    async def attempts(self, after: int) -> list[Entry]:
        self._reach()
        return self._attempts[after:]

    async def problems(self) -> list[str]:
        self._reach()
        return []
