"""Tickets for the stream of changes: an EventSource sends no headers, so its URL carries who may listen.

One rule: a ticket opens the stream and nothing else, for a subject who still has a live token, for less than a day. It
is signed, not stored, with a key that all processes on one vault key derive alike.

A ticket is the same for six hours, so that a URL does not change without need, and then lasts at least twelve more.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from services.api.reads.wire import Refused

CHANGES = 6 * 3600  # seconds
PERIODS = 3  # that one lasts: the one it was made in, and two more
_PURPOSE = b"cutover flag reads: tickets"
_MAC_BYTES = 16
_MOST = 1000


class Ticket(NamedTuple):
    """Until `expires` (seconds since 1970) `subject` may listen."""

    expires: int
    subject: str


class Tickets:
    """Makes and reads tickets. No I/O."""

    def __init__(self, derive: Callable[[bytes], bytes], now: Callable[[], datetime]) -> None:
        """`derive` gives a key for a purpose; every process that answers for the same flags gives the same."""
        self._key = derive(_PURPOSE)
        self._now = now
        self._made: dict[Ticket, str] = {}

    def made_for(self, subject: str) -> str:
        """The ticket of a subject, safe in a URL."""
        ticket = Ticket((self._seconds() // CHANGES + PERIODS) * CHANGES, subject)
        made = self._made.get(ticket)
        if made is None:
            if len(self._made) >= _MOST:
                self._made.clear()
            said = f"{ticket.expires}.{_text(subject.encode())}"
            made = self._made[ticket] = f"{said}.{self._mac(said)}"
        return made

    def read(self, text: str) -> Ticket:
        """Whose it is. Raises Refused, 401, when it has expired or was not made here."""
        said, _, mac = text.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(said).encode()):
            raise Refused("unauthorized", "this stream's URL is none of ours: evaluate the flags again for another")
        expires, _, subject = said.partition(".")
        ticket = Ticket(int(expires), _bytes(subject).decode())
        if self.left(ticket) <= 0:
            raise Refused("unauthorized", "this stream's URL has expired: evaluate the flags again for another")
        return ticket

    def left(self, ticket: Ticket) -> int:
        """Seconds until it expires."""
        return ticket.expires - self._seconds()

    def _seconds(self) -> int:
        return int(self._now().timestamp())

    def _mac(self, said: str) -> str:
        return _text(hmac.digest(self._key, said.encode(), hashlib.sha256)[:_MAC_BYTES])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:  # not one of ours: the mac was right
        return b""
