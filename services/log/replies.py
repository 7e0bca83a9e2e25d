"""What JetStream answers, and asking it until it does.

One rule: an answer that nobody gave is Unknown and is asked for again, within a limit; only then it is Unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from services.log.protocol import Unavailable
from services.log.requests import Unknown

PAUSES = (0.02, 0.05, 0.1, 0.25)  # seconds between tries, the last one again and again
NO_SUCH_MESSAGE = 10037
WRONG_SEQUENCE = frozenset({10071, 10164})  # the last one is another than was expected

T = TypeVar("T")


class Failure(Struct):
    """Why the server does not do it: `code` as in HTTP, `err_code` as JetStream numbers its reasons."""

    code: int = 0
    err_code: int = 0
    description: str = ""

    def words(self) -> str:
        return f"{self.description} ({self.err_code})"


class Ack(Struct):
    """Of a publish: where the message stands. `duplicate`: it, or one with its id, was there already."""

    seq: int = 0
    duplicate: bool = False
    error: Failure | None = None


class Stored(Struct):
    """A message of a stream."""

    subject: str
    seq: int
    data: bytes = b""


class Found(Struct):
    """Of a question for one message."""

    message: Stored | None = None
    error: Failure | None = None

    def there(self) -> Stored | None:
        """The message; None: there is none. Raises Unknown where the server could not look."""
        if self.error is not None and self.error.err_code != NO_SUCH_MESSAGE:
            raise Unknown(self.error.words())
        return self.message


class State(Struct):
    """Of a stream."""

    last_seq: int


class Info(Struct):
    """Of a stream (`state`) or of a consumer (what is pending)."""

    state: State | None = None
    num_pending: int = 0
    num_ack_pending: int = 0
    error: Failure | None = None


ACKS = msgspec.json.Decoder(Ack)
FOUND = msgspec.json.Decoder(Found)
INFOS = msgspec.json.Decoder(Info)


async def insist(
    attempt: Callable[[], Awaitable[T]], failing: str, *, limit: float, pauses: Sequence[float] = PAUSES
) -> T:
    """Try again while the outcome is unknown, for up to `limit` seconds; then Unavailable with `failing`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    waits = iter(pauses)
    while True:
        try:
            return await attempt()
        except Unknown as why:
            if loop.time() > deadline:
                raise Unavailable(f"{failing}: {why}") from why
            await asyncio.sleep(next(waits, pauses[-1]))
