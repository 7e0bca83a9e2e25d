"""A connection to NATS that never gives up and notices a frozen server.

One rule: every role connects through here, so that all have the same options. nats-py's defaults stop reconnecting
after 60 tries and notice a frozen server only after minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

logger = logging.getLogger("cutover.nats")

PING_EVERY = 1  # seconds; a frozen server is given up after three of them
RECONNECT_WAIT = 0.1  # seconds between tries at one server
CONNECT_LIMIT = 10.0  # seconds for the first connection

REFUSED = "Authorization"  # in the words of a server that does not let us in: asking again is of no use

Listener = Callable[[], Awaitable[None]]


class CannotConnect(ConnectionError):
    """No server answered, or it refused us, within the limit. The text names the address and the last error."""


class Connection(Client):
    """nats-py's client, with any number of listeners told of each reconnection (in the order they came)."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[Listener] = []
        self._coming: asyncio.Task[None] | None = None

    def come(self, options: dict[str, Any]) -> None:
        """Connect as soon as a server can be reached, however long that takes; until then `is_connected` is False."""
        self._coming = asyncio.create_task(self.connect(**options))

    async def close(self) -> None:
        """Hang up, or stop trying."""
        if self._coming is not None:
            await _end(self._coming)
        with suppress(AssertionError):  # nats-py has not even begun
            await super().close()

    def on_reconnect(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` awaited after each reconnection; call the result to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """None where the block cannot be read: nats-py would stop reading, as often as the message is sent again."""
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except (IndexError, UnicodeDecodeError):
            return None
        return found

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """The server takes subjects that are no UTF-8, at which nats-py would stop reading as well."""
        message: Msg = super()._build_message(sid, subject.decode(errors="replace").encode(), reply, data, headers)
        return message

    async def _tell_listeners(self) -> None:
        logger.info("connected to NATS again")
        for listener in tuple(self._listeners):
            try:
                await listener()
            except Exception:  # one listener's fault must not keep the others from hearing of it
                logger.exception("a listener to NATS reconnections failed")


async def connect_nats(
    url: str,
    *,
    name: str,
    on_reconnect: Listener | None = None,
    limit: float = CONNECT_LIMIT,
    **options: Any,
) -> Connection:
    """Connect to `url` (`nats://user:password@host:port`, several separated by commas) within `limit` seconds.

    From then on the connection comes back by itself for ever. `options` go to nats-py and win over ours.
    Raises CannotConnect.
    """
    try:
        where = without_password(url)
    except ValueError as error:
        raise CannotConnect(f"not the address of a NATS server: {error}") from error
    errors = _Errors()
    until = asyncio.get_running_loop().time() + limit
    while True:
        connection = Connection()
        if on_reconnect is not None:
            connection.on_reconnect(on_reconnect)
        found = _options(url, name, connection, errors) | options
        if await _first(connection, found, until):
            connection.options["allow_reconnect"] = True
            errors.connected = True
            return connection
        if REFUSED in errors.last:
            raise CannotConnect(f"cannot connect to NATS at {where}: {errors.last}")
        if asyncio.get_running_loop().time() >= until:
            raise CannotConnect(f"no NATS server at {where} within {limit:g} s: {errors.last}")
        await asyncio.sleep(RECONNECT_WAIT)


async def connect_in_time(url: str, *, name: str, limit: float) -> Connection:
    """The same, for who can do without for a while: after `limit` seconds it goes on connecting by itself.

    Raises CannotConnect when a server refuses us.
    """
    try:
        return await connect_nats(url, name=name, limit=limit)
    except CannotConnect as error:
        if REFUSED in str(error) or isinstance(error.__cause__, ValueError):
            raise
        logger.warning("%s; going on without", error)
    errors, connection = _Errors(), Connection()
    errors.connected = True  # from now on each kind of error is worth a line
    connection.come(_options(url, name, connection, errors))
    return connection


async def _first(connection: Connection, options: dict[str, Any], until: float) -> bool:
    """One try at the first connection; nats-py's own would go on for ever, and hold on to what it had opened."""
    trying = asyncio.create_task(connection.connect(**options, allow_reconnect=False))
    try:
        await asyncio.wait({trying}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
        await _end(trying)
        if not trying.cancelled() and trying.exception() is None:
            return True
    except BaseException:
        await _end(trying)
        await connection.close()
        raise
    await connection.close()
    return False


async def _end(trying: asyncio.Task[None]) -> None:
    """Cancel until it ends: nats-py can swallow a cancellation, and then tries for ever."""
    while not trying.done():
        trying.cancel()
        await asyncio.wait({trying}, timeout=0.2)


def jetstream(connection: Client) -> JetStreamContext:
    """JetStream's API over this connection."""
    return connection.jetstream()


def without_password(url: str) -> str:
    """The same URL (or several, separated by commas) fit for a log: user and password left out."""
    return ",".join(_address(part) for part in url.split(","))


def _address(url: str) -> str:
    parts = urlsplit(url.strip() if "://" in url else f"nats://{url.strip()}")
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


class _Errors:
    """Keeps the last error; says it once a kind while disconnected, as nats-py repeats it at every try."""

    def __init__(self) -> None:
        self.last = "it did not answer"
        self.connected = False

    async def __call__(self, error: Exception) -> None:
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if self.connected and words != self.last:
            logger.warning("NATS: %s", words)
        self.last = words


def _options(url: str, name: str, connection: Connection, errors: _Errors) -> dict[str, Any]:
    async def on_error(error: Exception) -> None:  # nats-py insists on real coroutine functions
        await errors(error)

    async def on_reconnected() -> None:
        await connection._tell_listeners()

    return {
        "servers": [part.strip() for part in url.split(",")],
        "name": name,
        "error_cb": on_error,
        "reconnected_cb": on_reconnected,
        "connect_timeout": 2,
        "reconnect_time_wait": RECONNECT_WAIT,
        "max_reconnect_attempts": -1,
        "ping_interval": PING_EVERY,
        "max_outstanding_pings": 2,
    }
