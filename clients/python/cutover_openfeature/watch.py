"""The watch on the bucket: a thread of its own with an event loop of its own.

One rule: a connection that breaks is given up, and another one is made with a new subscription. A subscription that
outlives its connection can be blind without a word; silence is answered by subscribing anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from inspect import signature
from itertools import cycle
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import DeliverPolicy
from nats.js.errors import Error as JetStreamError

from cutover_openfeature.known import Known
from cutover_openfeature.snapshot import MARK

logger = logging.getLogger("cutover.openfeature")

INBOX = "_INBOX_flags"
"""Answers come to inboxes of our own, so that an account may be allowed to hear these and no others."""

ENDING = ("cannot schedule new futures after", "can't create new thread at interpreter shutdown")
"""What Python says when the interpreter ends, before this thread does, and no other thread is to be had."""

OWN = frozenset({"allow_reconnect", "inbox_prefix", "max_reconnect_attempts", "reconnect_time_wait", "servers"})

TICK = 0.1  # seconds
PAUSE = (0.1, 0.4)  # seconds until the next server is tried, at random
BLIND_AFTER = 2.5  # seconds of silence until the subscription is made anew; doubled each time that did not help
PATIENCE = 30.0  # seconds it is doubled up to


class Watch:
    """Keeps `known` up to date from `start()` to `stop()`; `on_tick` is called in its thread after every change and
    ten times a second."""

    def __init__(
        self, servers: Sequence[str], known: Known, on_tick: Callable[[], None], bucket: str, options: dict[str, Any]
    ) -> None:
        self._servers = cycle(servers)
        self._known = known
        self._on_tick = on_tick
        self._bucket = bucket
        self._options = options
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cutover-openfeature", daemon=True)
        self._subscription: Any = None
        self._heard = 0.0
        self._patience = BLIND_AFTER
        self._troubles: dict[str, str] = {}  # by server

    def start(self) -> None:
        """Begin; nothing is waited for."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up, and wait until the thread has ended (or, from a child process, not)."""
        self._ending.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        watching = asyncio.create_task(self._watch())
        while not self._ending.is_set():
            self._tick()
            await asyncio.sleep(TICK)
        while not watching.done():  # nats-py can swallow a cancellation
            watching.cancel()
            await asyncio.wait({watching}, timeout=0.2)

    def _tick(self) -> None:
        """Whatever is wrong in there must not end the watch."""
        try:
            self._known.turn()
            self._on_tick()
        except Exception as error:
            if not str(error).startswith(ENDING):
                logger.exception("the flags' watch is in trouble and goes on")

    async def _watch(self) -> None:
        for server in self._servers:
            try:
                await self._stay(server)
            except (errors.Error, JetStreamError, OSError) as error:
                self._say(server, f"{type(error).__name__}: {error}")
            except Exception as error:  # an address that is none, a certificate: said, and tried again
                self._say(server, repr(error))
            if self._ending.is_set():
                return
            await asyncio.sleep(random.uniform(*PAUSE))

    def _say(self, server: str, trouble: str) -> None:
        """It is tried several times a second, and said once."""
        if trouble != self._troubles.get(server):
            logger.warning("cannot watch the flags at %s: %s", _address(server), trouble)
        self._troubles[server] = trouble

    async def _stay(self, server: str) -> None:
        """Watch over one connection until it breaks."""
        connection, self._subscription = Client(), None
        try:
            await connection.connect(**{**_options(server), **self._options})
            while connection.is_connected and not self._ending.is_set():
                if self._subscription is None or time.monotonic() - self._heard > self._patience:
                    await self._subscribe(connection)
                    self._troubles.pop(server, None)
                await asyncio.sleep(TICK)
        finally:
            with suppress(Exception):  # whatever it thinks of being closed
                await connection.close()

    async def _subscribe(self, connection: Client) -> None:
        if self._subscription is not None:
            self._patience = min(2 * self._patience, PATIENCE)
            with suppress(errors.Error, JetStreamError, OSError):
                await self._subscription.unsubscribe()
        self._subscription = await connection.jetstream().subscribe(
            f"$KV.{self._bucket}.>",
            stream=f"KV_{self._bucket}",
            cb=self._receive,
            ordered_consumer=True,
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            idle_heartbeat=1.0,
        )
        self._heard = time.monotonic()

    async def _receive(self, msg: Msg) -> None:
        """One value of the bucket, in the bucket's order."""
        self._heard = time.monotonic()
        key = msg.subject.removeprefix(f"$KV.{self._bucket}.")
        if msg.headers and "KV-Operation" in msg.headers:
            self._known.removed(key)
        elif key == MARK:
            if self._known.mark(msg.data, msg.metadata.sequence.stream):
                self._patience = BLIND_AFTER
        else:
            self._known.value(key, msg.data)
        if msg.metadata.num_pending == 0:
            self._known.caught_up()
            self._tick()


async def _on_error(error: Exception) -> None:
    """nats-py tells here what it also raises, and prints it otherwise."""
    logger.debug("NATS: %r", error)


def _address(server: str) -> str:
    """Without a password."""
    return server.rpartition("@")[2].rpartition("//")[2]


def check(options: Iterable[str]) -> None:
    """Raises ValueError for an option of nats.connect that the watch depends on, and for one that does not exist."""
    for name in options:
        if name in OWN:
            raise ValueError(f"'{name}' is the provider's own to set")
        if name not in signature(Client.connect).parameters:
            raise ValueError(f"neither the provider nor nats.connect has an option '{name}'")


def _options(server: str) -> dict[str, Any]:
    return {
        "servers": [server],
        "name": "cutover-openfeature",
        "inbox_prefix": INBOX.encode(),
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,  # of a server that refuses: 60 otherwise, two seconds apart (0 or less: for ever)
        "reconnect_time_wait": 0.05,
        "connect_timeout": 2,
        "ping_interval": 1,
        "max_outstanding_pings": 2,
        "error_cb": _on_error,
    }
