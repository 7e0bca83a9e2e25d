"""The moment that an answer is made from: one state of all toggle groups, and one time.

One rule: who answers takes one moment and nothing else. It never changes: between two edges of testers' windows
everybody gets the same answer from the same state, so what was encoded for one caller is kept for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from projections.flags import Answer, FlagSnapshot, evaluate
from services.api.reads.pins import EPOCH, Pin, parsed
from services.api.reads.waiting import before_waiting
from services.api.reads.wire import Refused, Reply
from services.api.service import ReadsFlags
from services.flags.states import KEPT_FOR, FlagState

PATIENCE = 1.0  # seconds for what is on its way
RETRY: tuple[tuple[bytes, bytes], ...] = ((b"retry-after", b"1"),)
_LONGEST = timedelta(hours=1)
_NEVER = datetime.max.replace(tzinfo=UTC)
_KEPT_FOR = timedelta(seconds=KEPT_FOR)
_MOST_PINNED = 64
MOST_ENCODED = 4096  # answers that are kept encoded
ROOM = 16 * 1024 * 1024  # bytes of them
_ROOM_PINNED = 1024 * 1024  # of a moment that is not the newest

Made = TypeVar("Made")


class Moment:
    """`at` is the last edge of a window, `until` the next one (None: there is none). `stale_since`: see FlagReader.

    It `ends` at the next edge, and after an hour: nothing that was made of it is older.
    """

    __slots__ = ("_encoded", "_hmac", "_room", "_size", "at", "ends", "pin", "stale_since", "state", "until")

    def __init__(
        self,
        state: FlagState,
        at: datetime,
        stale_since: datetime | None,
        hmac: Callable[[str], str],
        room: int = ROOM,
    ) -> None:
        self.state = state
        self.at = state.edge_upto(at) or EPOCH
        self.until = state.edge_after(at)
        self.ends = min(self.until or _NEVER, at + _LONGEST)
        self.stale_since = stale_since
        self.pin = str(Pin(state.revision, self.at))
        self._hmac = hmac
        self._encoded: dict[Hashable, Any] = {}
        self._room = room
        self._size = 0

    @property
    def revision(self) -> int:
        return self.state.revision

    @property
    def snapshots(self) -> Mapping[str, FlagSnapshot]:
        """Every rollout that answers, by id."""
        return self.state.snapshots

    def of_toggle(self, key: str) -> FlagSnapshot | None:
        """The snapshot of the rollout that a toggle belongs to; None: nobody's, or retired."""
        return self.state.of_toggle(key)

    def answer(self, snapshot: FlagSnapshot, user: str | None, attributes: Mapping[str, str]) -> Answer:
        """Whether this user has the whole group on."""
        return evaluate(snapshot, user, self.at, self._hmac, attributes)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What was made of this moment under that key, made now if it was not. A key begins with its protocol."""
        made: Made | None = self._encoded.get(key)
        if made is None:
            made = make()
            if len(self._encoded) >= MOST_ENCODED or self._size >= self._room:
                self._encoded.clear()
                self._size = 0
            self._encoded[key] = made
            self._size += _bytes_of(made)
        return made


def _bytes_of(made: object) -> int:
    """What a body takes, or all of several."""
    match made:
        case bytes():
            return len(made)
        case Reply():
            return len(made.body)
        case tuple():
            return sum(map(_bytes_of, made))
    return 0


class Wanted(NamedTuple):
    """What a read asks of its moment: not before this revision and time, or exactly this pin ("": the newest)."""

    revision: int = 0
    time: datetime = EPOCH
    pin: str = ""


ANY = Wanted()


class Moments:
    """Gives the moment for a read: the newest, or a pinned one."""

    def __init__(self, flags: ReadsFlags, hmac: Callable[[str], str]) -> None:
        self._flags = flags
        self._hmac = hmac
        self._newest: Moment | None = None
        self._pinned: dict[tuple[int, datetime], Moment] = {}
        self.given: Moment | None = None
        """What `get` gave last."""

    def now(self) -> Moment:
        """The newest. Raises Refused while nothing is known."""
        flags, newest = self._flags, self._newest
        state, now, stale_since = flags.state, flags.time(), flags.stale_since
        if newest is None or newest.state is not state or newest.stale_since != stale_since or now >= newest.ends:
            if flags.cold:
                raise Refused("cold", "no flags are known here yet: ask again, or use your default", RETRY)
            newest = self._newest = Moment(state, now, stale_since, self._hmac)
        return newest

    async def get(self, wanted: Wanted = ANY) -> Moment:
        """The moment wanted; what is on its way is waited for, a second at most.

        Raises Refused: 400 for a pin that is none or of the future, 410 for one that is not kept any more, 503 for
        what has not arrived.
        """
        if wanted is ANY:
            found = self.now()
        elif wanted.pin:
            found = await self._at(wanted)
        else:
            await self._arrived(wanted.revision, wanted.time)
            found = self.now()
        self.given = found
        return found

    async def _at(self, wanted: Wanted) -> Moment:
        pin = parsed(wanted.pin)
        if pin is None:
            raise Refused("malformed", f"a pin looks like r12@1659096000000000 or r12; found '{wanted.pin[:40]}'")
        time = pin.time or EPOCH
        if (time - self._flags.time()).total_seconds() > PATIENCE:
            raise Refused("malformed", f"the pin {pin} is of a time that has not come yet")
        await self._arrived(max(pin.revision, wanted.revision), max(time, wanted.time))
        newest = self.now()
        state = self._flags.past(pin.revision)
        if state is None:
            raise _gone(pin, newest.revision)
        at = state.edge_upto(pin.time or self._flags.time()) or EPOCH
        if state is newest.state and at == newest.at:
            return newest
        moment = self._pinned_at(at, state, newest.stale_since)
        if moment.until is not None and moment.until + _KEPT_FOR <= self._flags.time():
            raise _gone(pin, newest.revision)  # a window that closed is not opened again by an old pin
        return moment

    def _pinned_at(self, at: datetime, state: FlagState, stale_since: datetime | None) -> Moment:
        """One for all pins between two edges."""
        key = state.revision, at
        moment = self._pinned.get(key)
        if moment is None or moment.state is not state or moment.stale_since != stale_since:
            moment = self._pinned[key] = Moment(state, at, stale_since, self._hmac, _ROOM_PINNED)
            while len(self._pinned) > _MOST_PINNED:
                self._pinned.pop(next(iter(self._pinned)))
        return moment

    async def _arrived(self, revision: int, time: datetime) -> None:
        """Wait for the revision, and for the edge of a window that another process has already seen pass."""
        flags = self._flags
        if revision > flags.position or time > flags.time():
            await before_waiting()
        if revision > flags.position and not await flags.wait_for(revision, PATIENCE):
            words = f"revision {revision} was asked for; {flags.position} is held here"
            raise Refused("behind", words, RETRY)
        if (ahead := (time - flags.time()).total_seconds()) > 0:
            await asyncio.sleep(min(ahead, PATIENCE))
        if time > flags.time():
            raise Refused("behind", "a time was asked for that has not come here yet", RETRY)


def _gone(pin: Pin, held: int) -> Refused:
    return Refused("gone", f"{pin} is not kept any more (five minutes are): begin again, at revision {held}")
