"""Commands over NATS: how the engine is asked from another process (request/reply, served by FastStream).

One rule: a question that got no answer may have been carried out; whoever asked sends the same command id again.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from faststream.nats import NatsBroker
from faststream.nats.annotations import NatsMessage
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from events.codec import COMMAND_SUBJECT, NOT_JSON, command_subject
from services.engine.messages import Ask, Refusal, Reply, Request

logger = logging.getLogger(__name__)

PATIENCE = 15.0  # seconds; the engine itself gives up on the log after about 10
AT_ONCE = 64

_requests = msgspec.json.Decoder(Request)
_replies = msgspec.json.Decoder(Reply)


def serve(broker: NatsBroker, ask: Ask) -> None:
    """Answer requests on `rollouts.command.*`; engines beside each other share them."""

    @broker.subscriber(f"{COMMAND_SUBJECT}*", queue="engine", max_workers=AT_ONCE, decoder=_as_it_is)
    async def command(message: NatsMessage) -> bytes:
        return msgspec.json.encode(await _answer(ask, message.body))


async def _as_it_is(message: Any) -> bytes:
    """The body is decoded by us, so that what is wrong with it is answered and not timed out."""
    return bytes(message.body)


async def _answer(ask: Ask, body: bytes) -> Reply:
    try:
        request = _requests.decode(body)
    except NOT_JSON as error:
        return Refusal("invalid", (f"not a request: {error}",))
    try:
        return await ask(request)
    except Exception:
        logger.exception("a command to %r failed", request.rollout)
        return Refusal("internal", ("the engine failed at this command; it says why in its log",))


class RemoteEngine:
    """Asks whichever engine answers on NATS."""

    def __init__(self, connection: Client, *, patience: float = PATIENCE) -> None:
        self._connection = connection
        self._patience = patience

    async def ask(self, request: Request) -> Reply:
        """One request and its reply; silence and no engine are a Refusal "unavailable"."""
        subject = command_subject(request.rollout if request.rollout.isascii() and request.rollout else "-")
        if any(c in request.rollout for c in " .*>\t\r\n"):
            return Refusal("unknown-rollout", (f"{request.rollout[:80]!r} is no rollout's id",))
        try:
            answer = await self._connection.request(subject, msgspec.json.encode(request), timeout=self._patience)
        except NoRespondersError:
            return Refusal("unavailable", ("no engine is running: commands wait, reads go on",))
        except (TimeoutError, NatsError) as error:
            return Refusal("unavailable", (f"the engine gave no answer ({error or 'timeout'}): send it again",))
        reply: Reply = _replies.decode(answer.data)
        return reply
