"""OFREP's stream of changes (`eventStreams`): server-sent events that tell a client to evaluate its flags again.

One rule: an event carries no values, only the pin that its client must not be answered before. One is sent when a
record changes what anybody may be answered, when a tester's window opens or closes, and when a client comes that may
have missed one; so nothing is missed, whatever happened to the connection.

Source: open-feature/protocol ADR 0008; WHATWG HTML, server-sent events.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

import msgspec

from services import descriptors
from services.api.bodies import Send
from services.api.reads.moment import RETRY, Moment, Moments
from services.api.reads.pins import Pin, parsed
from services.api.reads.tickets import Ticket, Tickets
from services.api.reads.who import Readers
from services.api.reads.wire import Read, Refused, Reply
from services.api.service import ReadsFlags

BEAT = 15.0  # seconds between signs of life, and between looks at whether the listener may still listen
LONGEST_SLEEP = 1.0  # seconds; the clock that windows go by may run faster than ours
MOST = 5_000  # streams of one process; half of its descriptors at most, so that commands can connect
LATER = ((b"retry-after", b"30"),)
CONTENT_TYPE = b"text/event-stream"
_UNBUFFERED = ((b"x-accel-buffering", b"no"),)
_BEGIN = b"retry: 1000\n\n"
_ALIVE = b":\n\n"


class _Listener:
    """One open stream."""

    __slots__ = ("gone", "wake")

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.gone = False

    async def watch(self, read: Read) -> None:
        await read.gone()
        self.gone = True
        self.wake.set()


class Stream:
    """All open streams of this process: what is sent is encoded once, for all."""

    def __init__(self, flags: ReadsFlags, moments: Moments, readers: Readers, tickets: Tickets) -> None:
        self._flags = flags
        self._moments = moments
        self._readers = readers
        self._tickets = tickets
        self._listeners: set[_Listener] = set()
        self._latest = Pin(0)
        self._event = b""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        flags.listen(self._changed)

    async def open(self, read: Read) -> Reply:
        """The answer that goes on. Raises Refused."""
        ticket = self._tickets.read(read.query.get("ticket", ""))
        if not await self._readers.live(ticket.subject):
            raise Refused("unauthorized", "whoever this stream's URL was made for has no live token any more")
        if self._closed:
            raise Refused("not-ready", "the service is stopping", RETRY)
        if len(self._listeners) >= min(MOST, descriptors.most() // 2):
            raise Refused("too-many", f"{len(self._listeners)} streams are open here: ask again, or poll", LATER)
        if not self._listeners:
            self._ring(self._moments.now())
        seen = parsed(read.headers.get(b"last-event-id", b"").decode("latin-1"))

        async def run(send: Send) -> None:
            await self._run(read, send, ticket, missed=not _upto(seen, self._latest))

        return Reply(200, b"", _UNBUFFERED, CONTENT_TYPE, run)

    def close(self) -> None:
        """End all streams; their clients come again by themselves."""
        self._closed = True
        for listener in self._listeners:
            listener.wake.set()

    # -- one stream

    async def _run(self, read: Read, send: Send, ticket: Ticket, missed: bool) -> None:
        listener = _Listener()
        self._listeners.add(listener)
        watching = asyncio.create_task(listener.watch(read))
        self._arm()
        try:
            await _write(send, _BEGIN + (self._event if missed else b""))
            while not await self._ended(listener, ticket):
                rung = listener.wake.is_set()
                listener.wake.clear()
                await _write(send, self._event if rung else _ALIVE)
            if not listener.gone:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._listeners.discard(listener)
            watching.cancel()

    async def _ended(self, listener: _Listener, ticket: Ticket) -> bool:
        """Wait for something to send; whether there is nobody to send it to any more."""
        beat = min(BEAT, max(self._tickets.left(ticket), 0))
        with suppress(TimeoutError):
            async with asyncio.timeout(beat):
                await listener.wake.wait()
        if self._closed or listener.gone:
            return True
        if listener.wake.is_set():
            return False
        return self._tickets.left(ticket) <= 0 or not await self._readers.live(ticket.subject)

    # -- what is sent to all

    def _changed(self) -> None:
        """A record has changed what is answered."""
        if self._listeners:
            self._ring(self._moments.now())
            self._arm()

    def _ring(self, moment: Moment) -> None:
        self._latest = Pin(moment.revision, moment.at)
        self._event = _event(moment, self._flags.time())
        for listener in self._listeners:
            listener.wake.set()

    def _arm(self) -> None:
        """Come back when the next window opens or closes."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        moment = self._moments.now()
        if self._listeners and moment.until is not None:
            ahead = (moment.until - self._flags.time()).total_seconds()
            delay = min(max(ahead, 0.001), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        moment = self._moments.now()
        if moment.at != self._latest.time:
            self._ring(moment)
        self._timer = None
        self._arm()


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _upto(seen: Pin | None, latest: Pin) -> bool:
    """Whether a client that has seen this has missed nothing."""
    if seen is None or seen.time is None or latest.time is None:
        return False
    return seen.revision >= latest.revision and seen.time >= latest.time


def _event(moment: Moment, now: datetime) -> bytes:
    """The client sends `etag` back as `flagConfigEtag` when it evaluates again."""
    data = {"type": "refetchEvaluation", "etag": f'"{moment.pin}"', "lastModified": int(now.timestamp())}
    return b"id: %s\nevent: message\ndata: %s\n\n" % (moment.pin.encode(), msgspec.json.encode(data))
