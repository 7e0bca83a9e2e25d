"""Flag reads, answered while their bytes are being read: without a task, and without waiting for the loop's next turn.

One rule: whatever is not answered at once goes on to the ASGI application just as it came. That is every path that is
no flag read, and of flag reads the ones that wait for something, that are refused, or that come while another answer
of their connection is still under way.

uvicorn's own protocol reads the requests, so both ways agree on what was sent. It is told of a request when it is known
that nobody answers at once. An offer to go on in another protocol is never taken, so it is as if it were not there
(RFC 9110, 7.8).
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Any, TypeAlias, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.api.bodies import OTHER
from services.api.problems import MEDIA_TYPE, encoded, failed
from services.api.reads.wire import Reply, by_name

Answers: TypeAlias = Callable[[bytes, bytes, dict[bytes, bytes], bytes], Reply | None]
"""Method, target (path and query), headers by their names in lower case, body -> the answer; None: not at once."""

HEAD = 64 * 1024  # bytes of a request before its body, and of what comes within or behind it and is no body
LINGER = 1.0  # seconds in which more is read and thrown away: a client that is still sending does not see an answer
PATIENCE = 10.0  # seconds between two looks at a connection; at the second one nobody waits any longer

_NOTHING = -1
_TOO_LONG = Reply(
    431,
    encoded(failed("head-too-large", f"at most {HEAD} bytes are read before a body")),
    ((b"connection", b"close"),),
    MEDIA_TYPE.encode(),
)
_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


class TooLong(Exception):
    """The head of a request is over its limit."""


class _Deaf:
    """A parser that finds nothing."""

    def feed_data(self, data: bytes | memoryview) -> None:
        pass


class _Flow(FlowControl):
    """Reads no further while requests wait for their turn: uvicorn would at each answer, and keep all of it."""

    def __init__(self, transport: Transport, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if self.read_paused and not self._waiting:
            super().resume_reading()


class AtOnce(HttpToolsProtocol):
    """One connection."""

    def __init__(self, answers: Answers, begins: tuple[bytes, ...], **uvicorns: Any) -> None:
        """`begins`: how the targets of those requests begin that `answers` may be asked for."""
        super().__init__(**uvicorns)
        self._answers = answers
        self._begins = begins
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._named: dict[bytes, bytes] = {}
        self._body: list[bytes] | None = None  # None: what is being read is uvicorn's
        self._size = 0
        self._kept = 0  # bytes that the parser keeps to itself until they are whole; _NOTHING: no message is under way
        self._looked: list[tuple[bytes, bytes]] | None = None  # the headers of the message that was waited for then
        self._looks: TimerHandle | None = None
        self._replies: list[Reply] = []
        self._queued = 0  # bytes of them, but for the first
        self._dates: list[tuple[bytes, bytes]] | None = None
        self._date = b""

    # -- whose turn it is

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))
        self.flow = _Flow(cast(Transport, transport), self.pipeline)
        self._looks = self.loop.call_later(PATIENCE, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looks:
            self._looks.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """End the connection of who owes us the same message as at the last look, and has sent nothing of its body."""
        if self._awaited() and self._looked is self._headers:
            self.transport.close()
            return
        self._looked = self._headers
        self._looks = self.loop.call_later(PATIENCE, self._look)

    def _awaited(self) -> bool:
        """Whether it is the client's turn, and no other timer says for how long."""
        theirs = self._kept != _NOTHING or self._idle()
        return theirs and self.timeout_keep_alive_task is None and not self.flow.read_paused

    # -- what comes

    def data_received(self, data: bytes | memoryview) -> None:
        if len(data) > HEAD:
            for start in range(0, len(data), HEAD):
                if not self.transport.is_closing():
                    self.data_received(memoryview(data)[start : start + HEAD])
            return
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except HttpParserUpgrade as offer:  # the parser has ended the message behind its head
                    data = memoryview(data)[offer.args[0] :]
                    self._read_without_offer()
            if self._kept != _NOTHING:
                self._keep(len(data))
        except HttpParserError as error:
            if isinstance(error.__context__, TooLong):
                self._end_too_long()
            else:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")

    def _read_without_offer(self) -> None:
        """Have the same head read again, by a parser that does not stop behind it. Raises HttpParserError: CONNECT."""
        if self.parser.get_method() == b"CONNECT":
            raise HttpParserError("there is no tunnel here")
        head = self._head(but=b"upgrade")
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(head)

    def _head(self, but: bytes = b"") -> bytes:
        """What was read of it, as it came; `but`: a header to leave out."""
        parser = self.parser
        lines = [b"%s %s HTTP/%s" % (parser.get_method(), self._url, parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self._headers if header[0] != but]
        return b"\r\n".join((*lines, b"", b""))

    def _keep(self, size: int) -> None:
        """Count a segment at whose end a message is under way: all of it, unless something has come whole in it."""
        if not self._kept:
            self._kept, self._looked = 1, None
            return
        self._kept += size
        if self._kept > HEAD:
            self._end_too_long()

    def _end_too_long(self) -> None:
        if self._idle():
            self._replies.append(_TOO_LONG)
            self._write()
        self.parser = cast(HttpRequestParser, _Deaf())
        self._kept = _NOTHING
        self.loop.call_later(LINGER, self.transport.close)

    # -- what the parser finds

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._body = None
        self._kept = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._kept:
            if len(self._head()) > HEAD:
                raise TooLong
            self._kept = 0
        if self.parser.should_upgrade():
            return  # it is read again
        if self._url.startswith(self._begins) and self._plain():
            self._named = dict(self._headers)
            if len(self._named) < len(self._headers):
                self._named = by_name(self._headers)
            self._body = None if b"expect" in self._named else []
            self._size = 0
        if self._body is None:
            self._pass_on()

    def on_body(self, body: bytes) -> None:
        self._kept = 0
        if self._body is None:
            super().on_body(body)
            return
        self._body.append(body)
        self._size += len(body)
        if self._size > OTHER:
            self._pass_on()

    def on_message_complete(self) -> None:
        self._kept = _NOTHING
        if self._body is not None:
            reply = self._answers(self.parser.get_method(), self._url, self._named, b"".join(self._body))
            if reply is not None:
                self._queue(reply)
                return
            self._pass_on()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # -- what else may happen before the replies are written

    def eof_received(self) -> None:
        self._write()
        super().eof_received()

    def send_400_response(self, msg: str) -> None:
        self._write()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        self._write()
        super().shutdown()

    # -- which way

    def _idle(self) -> bool:
        """Whether no answer is under way on this connection."""
        return self.cycle is None or self.cycle.response_complete

    def _plain(self) -> bool:
        """Whether nothing is under way on this connection, and it stays open."""
        parser, cycle = self.parser, self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.flow.write_paused
        )

    def _pass_on(self) -> None:
        """Tell uvicorn what has been read of this request."""
        body, self._body = self._body, None
        super().on_message_begin()
        super().on_url(self._url)
        for name, value in self._headers:
            super().on_header(name, value)
        super().on_headers_complete()
        for part in body or ():
            super().on_body(part)

    def _queue(self, reply: Reply) -> None:
        """Written when all connections that something came on were read, so that a client is woken once.

        Many are written before: whether their client reads them is to be known before more is answered.
        """
        self._replies.append(reply)
        self.on_response_complete()
        if len(self._replies) == 1:
            self.loop.call_soon(self._write)
            return
        self._queued += len(reply.body)
        if self._queued > HIGH_WATER_LIMIT:
            self._write()

    def _write(self) -> None:
        """Before anything that comes after it on this connection: uvicorn's tasks begin later than this is called."""
        replies, self._replies, self._queued = self._replies, [], 0
        if not replies or self.transport.is_closing():
            return
        dates = self.server_state.default_headers
        if dates is not self._dates:  # uvicorn makes a new list every second
            self._dates, self._date = dates, b"".join(b"%s: %s\r\n" % header for header in dates)
        for reply in replies:
            self.transport.write(b"".join((_STATUS_LINES[reply.status], self._date, reply.wire())))
