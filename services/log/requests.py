"""Requests to the server over one inbox, and the answers told apart: said, refused, or unknown.

One rule: whatever does not end in an answer from the server is Unknown, never a failure: more than half of the
publishes that time out were stored. Leaner than nats-py's `request` (no task and no random token each), as every
append passes here.
"""

from __future__ import annotations

import asyncio
from itertools import count

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.nats.connection import Connection


class Unknown(Exception):
    """Nobody said what became of it. The text says why."""


class Requests:
    """Request and reply over `connection`; after a reconnection all waiting ones end at once as Unknown."""

    def __init__(self, connection: Client) -> None:
        self.connection = connection
        self._inbox = ""
        self._opening: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    async def ask(self, subject: str, data: bytes, *, within: float, headers: dict[str, str] | None = None) -> Msg:
        """The server's answer within `within` seconds; Unknown otherwise."""
        if not self.connection.is_connected:
            await self._connected(within)
        if not self._inbox:
            await self._open()
        loop = asyncio.get_running_loop()
        reply = f"{self._inbox}{next(self._numbers)}"
        answer: asyncio.Future[Msg] = loop.create_future()
        self._waiting[reply] = answer
        alarm = loop.call_later(within, self._fail, reply, f"no answer within {within:g} s")
        try:
            await self.connection.publish(subject, data, reply=reply, headers=headers)
            msg = await answer
        except (errors.Error, OSError) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from error
        finally:
            alarm.cancel()
            self._waiting.pop(reply, None)
        if not msg.data and msg.headers and msg.headers.get("Status") == "503":
            raise Unknown("nobody answers for the stream")
        return msg

    async def send(self, subject: str, data: bytes, reply: str) -> None:
        """Publish without waiting; a lost connection is Unknown."""
        try:
            await self.connection.publish(subject, data, reply=reply)
        except (errors.Error, OSError) as error:
            raise Unknown(f"{type(error).__name__}: {error}") from error

    async def _connected(self, within: float) -> None:
        """Wait for the connection rather than let nats-py buffer: what it buffers is sent again as well."""
        end = asyncio.get_running_loop().time() + within
        while not self.connection.is_connected:
            if self.connection.is_closed:
                raise Unknown("the connection is closed")
            if asyncio.get_running_loop().time() > end:
                raise Unknown(f"no connection within {within:g} s")
            await asyncio.sleep(0.02)

    async def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._subscribe())
        try:
            await asyncio.shield(self._opening)
        except (errors.Error, OSError) as error:
            self._opening = None
            raise Unknown(f"{type(error).__name__}: {error}") from error

    async def _subscribe(self) -> None:
        prefix = f"{self.connection.new_inbox()}."
        await self.connection.subscribe(f"{prefix}*", cb=self._answered)
        if isinstance(self.connection, Connection):
            self.connection.on_reconnect(self._reconnected)
        self._inbox = prefix

    async def _answered(self, msg: Msg) -> None:
        waiting = self._waiting.get(msg.subject)
        if waiting is not None and not waiting.done():
            waiting.set_result(msg)

    async def _reconnected(self) -> None:
        for reply in tuple(self._waiting):
            self._fail(reply, "the connection was lost")

    def _fail(self, reply: str, why: str) -> None:
        waiting = self._waiting.get(reply)
        if waiting is not None and not waiting.done():
            waiting.set_exception(Unknown(why))
