"""The worker: reads SIGNALS in order, one at a time, and asks the engine for what follows.

One rule: a signal is acknowledged once its outcome is written down. What cannot be understood is an outcome too, so it
never blocks those behind it; what the log cannot take now is tried again until it can, so nothing overtakes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from events.codec import decode
from events.facts import Actor
from events.signals import Effect, Origin, Outcome, Result, Signal, Told
from services.analysis.readings import Kept
from services.ending import end_if_cancelled
from services.engine.messages import Accepted, Ask, Refusal, Reply, Request
from services.intake import cloudevents, readings, rules
from services.intake.deliveries import Deliveries
from services.intake.rules import Order
from services.intake.standing import Standings
from services.intake.store import CONSUMER, SignalStore
from services.intake.understanding import arrived, identify, understand
from services.intake.wrong import NotUnderstood
from services.log.protocol import Log, LogError
from services.log.streams import SIGNALS

logger = logging.getLogger("cutover.intake")

LISTEN = 5.0  # seconds one request for a signal stands
PAUSE = 0.5  # seconds before something is tried again
ACK_WAIT = 4.0  # seconds after which a signal is handed out again whose worker gives no sign of life
BEAT = 1.0
_TROUBLES = (errors.Error, JetStreamError, OSError, LogError)


class Intake:
    """One worker. Several beside each other share the consumer, which hands out one signal at a time."""

    def __init__(self, connection: Client, store: SignalStore, log: Log, ask: Ask, kept: Kept | None = None) -> None:
        self._connection = connection
        self._js = connection.jetstream()
        self._store = store
        self._log = log
        self._standings = Standings(log)
        self._ask = ask
        self._kept = kept
        self._last = 0
        self._waiting_after: int | None = None
        self._trouble = ""

    def problems(self) -> tuple[str, ...]:
        """What keeps signals from being worked on, in words."""
        return (self._trouble,) if self._trouble else ()

    async def run(self) -> None:
        """Work for ever, whatever happens."""
        while True:
            end_if_cancelled()
            try:
                await self._listen()
            except _TROUBLES as error:
                self._say(f"signals wait: {type(error).__name__}: {error}")
            except Exception as error:  # a fault of ours must not take everything else down with it
                logger.exception("the worker begins again")
                self._say(f"signals wait: {type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE)

    async def _listen(self) -> None:
        async with Deliveries(self._connection, SIGNALS, CONSUMER) as deliveries:
            floor = (await self._consumer()).ack_floor
            self._last = int(floor.stream_seq) if floor else 0
            self._trouble = ""
            while True:
                end_if_cancelled()
                message = await deliveries.next(LISTEN)
                if message is None:
                    await self._look()
                else:
                    await self._work(message)

    async def _consumer(self) -> api.ConsumerInfo:
        """The consumer that all workers share, made where it is missing."""
        try:
            found: api.ConsumerInfo = await self._js.consumer_info(SIGNALS, CONSUMER)
        except NotFoundError:
            found = await self._js.add_consumer(SIGNALS, config=_config())
        return found

    async def _look(self) -> None:
        """Nothing came: say so if signals waited the last time too, and none has been worked on since."""
        info = await self._consumer()
        waiting = (info.num_pending or 0) + (info.num_ack_pending or 0)
        done = info.ack_floor.stream_seq if info.ack_floor else 0
        if waiting and self._waiting_after == done:
            self._say(f"signals wait ({waiting}), and none has been worked on since signal {done}")
        else:
            self._trouble = ""
        self._waiting_after = done if waiting else None

    async def _work(self, message: Msg) -> None:
        """One signal, tried until its outcome is written down; meanwhile none is handed out."""
        beating = asyncio.create_task(_beat(message))
        try:
            await self._finish(message)
        finally:
            beating.cancel()

    async def _finish(self, message: Msg) -> None:
        while True:
            try:
                await self._note_lost(message)
                await self._take(message)
                await message.ack()
                self._last = max(self._last, message.metadata.sequence.stream)
                self._trouble = ""
                return
            except LogError as error:
                self._say(f"signals wait: {error}")
                await asyncio.sleep(PAUSE)
                end_if_cancelled()

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            logger.warning(trouble)
        self._trouble = trouble

    async def _note_lost(self, message: Msg) -> None:
        """SIGNALS has a limit: what it dropped before it was read is at least told."""
        number, expected = message.metadata.sequence.stream, self._last + 1
        if not self._last or number <= expected:
            return
        why = f"signals {expected} to {number - 1} were dropped before they were read: the stream {SIGNALS} was full"
        logger.error(why)
        await self._store.write(Outcome(expected, _received(message), "", "", "kept", why), None)

    async def _take(self, message: Msg) -> None:
        subject, body = message.subject, message.data
        headers = {name.lower(): value for name, value in (message.headers or {}).items()}
        number, came = message.metadata.sequence.stream, arrived(subject, headers)
        base = Outcome(number, _received(message), came.way, came.by, "kept", "")
        try:
            origin = identify(subject, headers, body)
        except NotUnderstood as error:
            await self._store.write(_with(base, None, why=f"not understood: {error}"), None)
            return
        except Exception as error:  # a fault of ours: kept and told, and those behind it go on
            await self._store.write(_with(base, None, why=_failed(number, error)), None)
            return
        before = await self._store.outcome_of(origin)
        if before is not None and before.number == number:
            return
        if before is not None and before.result != "kept":  # what led to nothing may lead to something by now
            await self._store.write(
                _with(base, origin, result="already", why=_repeated(before, origin)), origin, again=True
            )
            return
        await self._store.write(await self._outcome(base, subject, headers, body, origin), origin)

    async def _outcome(
        self, base: Outcome, subject: str, headers: Mapping[str, str], body: bytes, origin: Origin
    ) -> Outcome:
        standings = await self._standings.latest()
        try:
            if self._kept is not None and readings.is_reading(origin):
                over: cloudevents.Over = "nats" if base.way == "nats" else "http"
                why = await readings.keep(self._kept, over, headers, body, base.received)
                return _with(base, origin, result="done", why=why)
            signal = understand(subject, headers, body, origin)
            wanted = rules.orders(signal, standings, base.received)
        except NotUnderstood as error:
            return _with(base, origin, why=f"not understood: {error}")
        except LogError:
            raise
        except Exception as error:  # a fault of ours: kept and told, and those behind it go on
            return _with(base, origin, why=_failed(base.number, error))
        by = Actor((base.by or origin.source)[:200], "ci")
        effects = tuple([await self._send(order, by) for order in wanted.orders])
        why = wanted.why or _why(effects)
        return _with(base, origin, signal=signal, result=_result(effects), why=why, effects=effects)

    async def _send(self, order: Order, by: Actor) -> Effect:
        """One command and its answer. Raises LogError while the engine cannot say."""
        try:
            reply = await self._ask(Request(order.rollout, order.command_id, by, order.command))
        except Exception as error:  # a fault of ours: kept and told, and those behind it go on
            logger.exception("a command to %r failed", order.rollout)
            reply = Refusal("internal", (f"the engine failed at it ({type(error).__name__}); it says why in its log",))
        if not isinstance(reply, Accepted) and reply.code == "unavailable":
            raise LogError("; ".join(reply.reasons))
        return effect(order, reply, await self._stored_command(reply))

    async def _stored_command(self, reply: Reply) -> str:
        """Which command this id was used for, where it was used before; else ""."""
        if isinstance(reply, Accepted) or reply.code != "command-id-reused":
            return ""
        entry = await self._log.at(reply.revision)
        return decode(entry.data).command if entry is not None else ""


def _failed(number: int, error: Exception) -> str:
    """In words; the log has all of it."""
    logger.error("signal %d cannot be worked on", number, exc_info=error)
    return f"the service failed at it ({type(error).__name__}); it says why in its log"


async def _beat(message: Msg) -> None:
    """Say that the signal is being worked on, until cancelled."""
    while True:
        await asyncio.sleep(BEAT)
        with contextlib.suppress(errors.Error, JetStreamError, OSError):
            await message.in_progress()


def effect(order: Order, reply: Reply, stored: str = "") -> Effect:
    """The answer to one command. The same id told by somebody else, or in other words, was told before: if it was the
    same command that was `stored` under it."""
    name = str(order.command.__struct_config__.tag)
    if isinstance(reply, Accepted):
        told: Told = "already" if reply.already else "done"
        return Effect(order.rollout, name, order.command_id, told, reply.revision)
    if reply.code == "command-id-reused" and stored == name:
        return Effect(order.rollout, name, order.command_id, "already", reply.revision)
    return Effect(order.rollout, name, order.command_id, "refused", reply.revision, reply.reasons)


def _result(effects: tuple[Effect, ...]) -> Result:
    told = {each.told for each in effects}
    for result in ("refused", "done", "already"):
        if result in told:
            return result
    return "kept"


def _why(effects: tuple[Effect, ...]) -> str:
    """The answers in words, one after the other."""
    return "; ".join(_words(each) for each in effects)


def _words(each: Effect) -> str:
    match each.told:
        case "done":
            return f"{each.command} on {each.rollout}: revision {each.revision}"
        case "already":
            return f"{each.command} on {each.rollout}: so already (revision {each.revision})"
    return f"{each.command} on {each.rollout} is refused: {'; '.join(each.reasons)}"


def _repeated(before: Outcome, origin: Origin) -> str:
    """Why the same source and id a second time does nothing."""
    same = before.sha256 == origin.sha256
    other = "" if same else "; it says something else than the first: a sender gives each event an id of its own"
    return f"signal {before.number} again (same source and id): {before.why}{other}"


def _with(base: Outcome, origin: Origin | None, *, signal: Signal | None = None, **fields: object) -> Outcome:
    """The outcome filled in, its texts cut: what came may be long, what is listed is not."""
    texts: dict[str, str] = {"why": str(fields.pop("why", "")), "says": rules.says(signal) if signal else ""}
    if origin is not None:
        texts |= {"source": origin.source, "id": origin.id, "type": origin.type, "by": base.by or origin.source}
        fields["sha256"] = origin.sha256
    return replace(base, **fields, **{field: rules.cut(text) for field, text in texts.items()})


def _received(message: Msg) -> datetime:
    """When the stream took it."""
    when = message.metadata.timestamp
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _config() -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=CONSUMER,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT,
        max_deliver=-1,
        max_ack_pending=1,
    )
