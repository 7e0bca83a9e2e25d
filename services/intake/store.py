"""The streams SIGNALS (what came, as it came) and OUTCOMES (what each led to).

One rule: a sender hears "accepted" once its signal is on disk, and whoever asks for the outcome of a signal is answered
from what was written down, so both outlive every restart and rebuild.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from nats.aio.client import Client

from events.signals import Origin, Outcome
from services.intake.rules import identity
from services.intake.understanding import HTTP, SUBJECT
from services.log import streams
from services.log.feed import Feed
from services.log.protocol import LogFull
from services.log.replies import ACKS, FOUND, INFOS, Ack, Info, insist
from services.log.requests import Requests, Unknown

CONSUMER = "intake"
OUTCOME = "rollouts.outcomes."
AGAIN = f"{OUTCOME}again."
AT_ONCE = 64  # signals on their way to disk; more are asked to come again
TRY = 2.5
LIMIT = 8.0


class Busy(Exception):
    """As many signals as can be are on their way to disk: come again in a second."""


class Kept(NamedTuple):
    """A signal that is on disk: its number. `again`: these bytes were there already."""

    number: int
    again: bool


class Listed(NamedTuple):
    """Outcomes, oldest first, and how many signals have none yet."""

    outcomes: list[Outcome]
    waiting: int


class SignalStore:
    """Both streams, over one connection. Methods raise Unavailable when nobody answers in time."""

    def __init__(self, connection: Client) -> None:
        self._requests = Requests(connection)
        self._under_way = 0

    # -- signals

    async def keep(self, kind: str, headers: Mapping[str, str], body: bytes, origin: Origin, by: str) -> Kept:
        """A signal that came by HTTP, as it came. Raises Busy, Unavailable, LogFull."""
        if self._under_way >= AT_ONCE:
            raise Busy
        self._under_way += 1
        try:
            whole = hashlib.sha256(body).hexdigest()[:32]
            sent = {**headers, SUBJECT: by, "Nats-Msg-Id": f"{kind}:{identity(origin)}:{whole}"}
            ack = await self._publish(f"{HTTP}{kind}", body, sent)
            return Kept(ack.seq, ack.duplicate)
        finally:
            self._under_way -= 1

    async def waiting(self) -> int:
        """How many signals have not been worked on yet."""
        info = await self._info(f"$JS.API.CONSUMER.INFO.{streams.SIGNALS}.{CONSUMER}")
        return info.num_pending + info.num_ack_pending if info.error is None else 0

    # -- outcomes

    async def write(self, outcome: Outcome, origin: Origin | None, *, again: bool = False) -> None:
        """Write an outcome down under the signal's identity; that of a repeated signal beside the first one's."""
        subject = f"{AGAIN}{outcome.number}" if again or origin is None else f"{OUTCOME}{identity(origin)}"
        await self._publish(subject, msgspec.json.encode(outcome), {"Nats-Msg-Id": f"outcome:{outcome.number}"})

    async def outcome_of(self, origin: Origin) -> Outcome | None:
        """What the signal with this identity led to; None: nothing is written down yet."""

        async def attempt() -> Outcome | None:
            query = msgspec.json.encode({"last_by_subj": f"{OUTCOME}{identity(origin)}"})
            answer = await self._requests.ask(f"$JS.API.STREAM.MSG.GET.{streams.OUTCOMES}", query, within=TRY)
            found = FOUND.decode(answer.data).there()
            return msgspec.json.decode(found.data, type=Outcome) if found else None

        return await insist(attempt, "the outcome cannot be read", limit=LIMIT)

    async def latest(self, count: int) -> Listed:
        """The last outcomes, oldest first."""

        async def attempt() -> list[Outcome]:
            info = await self._info(f"$JS.API.STREAM.INFO.{streams.OUTCOMES}")
            last = info.state.last_seq if info.state else 0
            if last == 0:
                return []
            found: list[Outcome] = []
            async with Feed(self._requests, streams.OUTCOMES, after=max(0, last - count)) as feed:
                async for batch in feed.batches():
                    found += [msgspec.json.decode(entry.data, type=Outcome) for entry in batch]
                    if batch[-1].revision >= last:
                        return found[-count:]
            raise AssertionError("a feed does not end by itself")

        return Listed(await insist(attempt, "the outcomes cannot be read", limit=LIMIT), await self.waiting())

    # -- inside

    async def _info(self, subject: str) -> Info:
        async def attempt() -> Info:
            answer = await self._requests.ask(subject, b"", within=TRY)
            return INFOS.decode(answer.data)

        return await insist(attempt, "no answer from JetStream", limit=LIMIT)

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> Ack:
        async def attempt() -> Ack:
            answer = await self._requests.ask(subject, data, within=TRY, headers=headers)
            ack = ACKS.decode(answer.data)
            if ack.error is not None:
                raise LogFull(ack.error.words()) if ack.error.code < 500 else Unknown(ack.error.words())
            return ack

        return await insist(attempt, "no answer to a signal; it may have been kept", limit=LIMIT)
