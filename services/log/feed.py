"""One pass over a stream: an ephemeral pull consumer, read by callback, checked for what was dropped.

One rule: consumer sequences must be contiguous. nats-py drops messages on overflow after counting them, in silence;
a feed that misses one, or hears nothing for `SILENCE` seconds (the server sends heartbeats), raises Unknown and is
made anew from where its reader stands. Callbacks carry 70k messages a second and more; `fetch` 25k.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable

import msgspec
from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from events.codec import rollout_of
from services.log.protocol import Entry
from services.log.requests import Requests, Unknown
from services.nats.connection import Connection

BATCH = 2000  # messages asked for at once; again at half
BATCH_BYTES = 16 * 1024 * 1024
EXPIRES = 20.0  # seconds one pull stands
HEARTBEAT = 1.0
SILENCE = 3.0  # seconds without message or heartbeat until the consumer counts as lost
_ENDED = {"404", "408", "409"}
_STILL_THERE = ("batch completed", "message size exceeds maxbytes")


class Feed:
    """Entries of `stream` above `after`, of one `subject` or of all. Use as `async with` and iterate."""

    def __init__(self, requests: Requests, stream: str, *, after: int, subject: str = "") -> None:
        self._requests = requests
        self._stream = stream
        self._after = after
        self._subject = subject
        self._name = f"feed-{secrets.token_hex(8)}"
        self._inbox = requests.connection.new_inbox()
        self._subscription: Subscription | None = None
        self._arrived: list[Msg] = []
        self._wake: asyncio.Event = asyncio.Event()
        self._credit = 0
        self._received = 0
        self._lost = ""
        self._forget: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Feed:
        if isinstance(self._requests.connection, Connection):
            self._forget = self._requests.connection.on_reconnect(self._reconnected)
        try:
            self._subscription = await self._requests.connection.subscribe(self._inbox, cb=self._deliver)
            await self._create()
        except (errors.Error, OSError) as error:
            await self.__aexit__()
            raise Unknown(f"{type(error).__name__}: {error}") from error
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop the consumer without waiting: the server forgets it by itself a little later anyway."""
        self._forget()
        subject = f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}"
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
            if self._requests.connection.is_connected:
                await self._requests.send(subject, b"", reply=self._inbox)
        except (Unknown, errors.Error, OSError):
            return

    async def batches(self) -> AsyncGenerator[list[Entry], None]:
        """What arrived, as it arrives; never empty. Raises Unknown when the consumer is lost."""
        while True:
            if self._credit <= BATCH // 2 and not self._lost:
                await self._pull()
            if not self._arrived:
                await self._heard()
                continue
            arrived, self._arrived = self._arrived, []
            self._credit -= len(arrived)
            yield self._entries(arrived)

    def _entries(self, arrived: list[Msg]) -> list[Entry]:
        self._received += len(arrived)
        # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
        last = int(arrived[-1].reply.split(".", 7)[6])
        if last != self._received:
            raise Unknown(f"{last - self._received} messages were dropped on the way")
        return [Entry(int(msg.reply.split(".", 6)[5]), rollout_of(msg.subject), msg.data) for msg in arrived]

    async def _heard(self) -> None:
        """Wait for anything from the consumer."""
        if self._lost:
            raise Unknown(self._lost)
        self._wake.clear()
        try:
            async with asyncio.timeout(SILENCE):
                await self._wake.wait()
        except TimeoutError:
            raise Unknown(f"nothing heard from the consumer for {SILENCE:g} s") from None

    async def _deliver(self, msg: Msg) -> None:
        if msg.reply:
            self._arrived.append(msg)
        else:
            self._status(msg)
        self._wake.set()

    async def _reconnected(self) -> None:
        """The consumer may be gone with the server, and what was on its way is."""
        self._lost = "the connection was lost"
        self._wake.set()

    def _status(self, msg: Msg) -> None:
        headers = msg.headers or {}
        if headers.get("Status") not in _ENDED:
            return
        self._credit -= int(headers.get("Nats-Pending-Messages", 0))
        said = str(headers.get("Description", ""))
        if headers.get("Status") == "409" and not said.lower().startswith(_STILL_THERE):
            self._lost = f"the consumer ended: {said}"

    async def _create(self) -> None:
        config: dict[str, object] = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(30e9),
        }
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}"
        if self._subject:
            config["filter_subject"] = self._subject
            subject += f".{self._subject}"
        request = msgspec.json.encode({"stream_name": self._stream, "config": config, "action": "create"})
        answer = await self._requests.ask(subject, request, within=SILENCE)
        if error := msgspec.json.decode(answer.data).get("error"):
            raise Unknown(f"no consumer on {self._stream}: {error.get('description')} ({error.get('err_code')})")

    async def _pull(self) -> None:
        self._credit += BATCH
        request = {
            "batch": BATCH,
            "max_bytes": BATCH_BYTES,
            "expires": int(EXPIRES * 1e9),
            "idle_heartbeat": int(HEARTBEAT * 1e9),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        await self._requests.send(subject, msgspec.json.encode(request), reply=self._inbox)
