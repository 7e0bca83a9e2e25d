"""Flag reads, answered while their bytes are being read: without a task, and without waiting for the loop's next turn.

One rule: whatever is not answered at once goes on to the ASGI application just as it came. That is every path that is
no flag read, and of flag reads the ones that wait for something, that are refused, or that come while another answer
of their connection is still under way.

uvicorn's own protocol reads the requests, so both ways agree on what was sent. It is told of a request when it is known
that nobody answers at once. An offer to go on in another protocol is never taken, so it is as if it were not there
(RFC 9110, 7.8).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeAlias

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.api.bodies import OTHER
from services.api.reads.wire import Reply

Answers: TypeAlias = Callable[[bytes, bytes, dict[bytes, bytes], bytes], Reply | None]
"""Method, target (path and query), headers by their names in lower case, body -> the answer; None: not at once."""

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


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
        self._replies: list[Reply] = []
        self._dates: list[tuple[bytes, bytes]] | None = None
        self._date = b""

    # -- what comes

    def data_received(self, data: bytes | memoryview) -> None:
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except HttpParserUpgrade as offer:  # the parser has ended the message behind its head
                    data = memoryview(data)[offer.args[0] :]
                    self._read_without_offer()
        except HttpParserError:
            words = "Invalid HTTP request received."
            self.logger.warning(words)
            self.send_400_response(words)

    def _read_without_offer(self) -> None:
        """Have the same head read again, by a parser that does not stop behind it. Raises HttpParserError: CONNECT."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise HttpParserError("there is no tunnel here")
        lines = [b"%s %s HTTP/%s" % (method, self._url, version)]
        lines += [b"%s: %s" % header for header in self._headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(b"\r\n".join((*lines, b"", b"")))

    # -- what the parser finds

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._body = None

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # it is read again
        if self._url.startswith(self._begins) and self._plain():
            self._named = dict(self._headers)
            self._body = None if b"expect" in self._named else []
            self._size = 0
        if self._body is None:
            self._pass_on()

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
            return
        self._body.append(body)
        self._size += len(body)
        if self._size > OTHER:
            self._pass_on()

    def on_message_complete(self) -> None:
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
        """Written when all connections that something came on were read, so that a client is woken once."""
        if not self._replies:
            self.loop.call_soon(self._write)
        self._replies.append(reply)
        self.on_response_complete()

    def _write(self) -> None:
        """Before anything that comes after it on this connection: uvicorn's tasks begin later than this is called."""
        replies, self._replies = self._replies, []
        if not replies or self.transport.is_closing():
            return
        dates = self.server_state.default_headers
        if dates is not self._dates:  # uvicorn makes a new list every second
            self._dates, self._date = dates, b"".join(b"%s: %s\r\n" % header for header in dates)
        for reply in replies:
            self.transport.write(b"".join((_STATUS_LINES[reply.status], self._date, reply.wire())))
