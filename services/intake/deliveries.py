"""Messages of a durable consumer, handed out one at a time over an inbox of our own.

One rule: a message is told from a word of the server's by its reply subject alone, which nobody but the server writes.
By their headers nats-py's own `fetch` takes a signal that carries a header `Status` for the server's, and loses it.
"""

from __future__ import annotations

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.log.protocol import Unavailable

GRACE = 1.0  # seconds after a request's end in which the server says so
_DELIVERED = "$JS.ACK."
_NOTHING_YET = ("404", "408")


class Deliveries:
    """Use as `async with`."""

    def __init__(self, connection: Client, stream: str, consumer: str) -> None:
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Deliveries:
        self._subscription = await self._connection.subscribe(self._connection.new_inbox())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def next(self, within: float) -> Msg | None:
        """The next message; None: none came within so many seconds. Raises Unavailable and nats.errors.Error."""
        assert self._subscription is not None
        request = msgspec.json.encode({"batch": 1, "expires": int(within * 1e9)})
        await self._connection.publish(self._subject, request, reply=self._subscription.subject)
        try:
            message = await self._subscription.next_msg(within + GRACE)
        except errors.TimeoutError:
            return None
        if message.reply.startswith(_DELIVERED):
            return message
        said = message.headers or {}
        if said.get("Status") in _NOTHING_YET:
            return None
        raise Unavailable(f"none is handed out: {said.get('Status', '')} {said.get('Description', '')}".rstrip())
