"""After a gap in the log the tables stand still, but what is switched off must still reach the readers.

One rule: a rollout is followed on its own chain, from what the tables know of it, and only while that chain checks.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Connection, Engine, select

from events.codec import Unreadable
from projections.chain import BrokenChain
from projections.flags import FlagSnapshot
from projections.known import Known, decode_known, take
from services.ending import end_if_cancelled
from services.log.protocol import Log, LogError
from services.projector.publisher import TROUBLES, Publisher
from services.projector.tables import Generation, Position, read

logger = logging.getLogger("cutover.projector")

EVERY = 1.0  # seconds; only rollouts that somebody has on are asked for


async def follow_chains(log: Log, engine: Engine, publisher: Publisher) -> None:
    """Until cancelled: publish what each exposed rollout's own records say. `_position` is not written."""
    chains = await asyncio.to_thread(read, engine, _exposed)
    while True:
        end_if_cancelled()
        for rollout in sorted(chains):
            try:
                after = await _on(log, chains[rollout])
            except (BrokenChain, Unreadable) as error:
                logger.critical("rollout %s cannot be followed any more: %s", rollout, error)
                del chains[rollout]
            except LogError as error:
                logger.error("rollout %s waits: %s", rollout, error)
            else:
                await _publish(publisher, chains, after)
        await asyncio.sleep(EVERY)


async def _on(log: Log, known: Known) -> Known:
    """What is known after the records that the rollout has by now."""
    for entry in await log.read(known.snapshot.rollout, known.revision):
        known = take(known, entry.rollout, entry.revision, entry.data).known
    return known


async def _publish(publisher: Publisher, chains: dict[str, Known], after: Known) -> None:
    """A snapshot that cannot be written is taken up again in the next round."""
    rollout = after.snapshot.rollout
    if after.revision == chains[rollout].revision:
        return
    try:
        await publisher.publish_one(after.snapshot)
    except TROUBLES as error:
        logger.error("the flags of rollout %s cannot be published: %s: %s", rollout, type(error).__name__, error)
        return
    chains[rollout] = after
    if _is_off(after.snapshot):
        del chains[rollout]


def _is_off(snapshot: FlagSnapshot) -> bool:
    return snapshot.exposure.to == "nobody"


def _exposed(connection: Connection, tables: Generation, _at: Position) -> dict[str, Known]:
    states, stopped = tables.states.c, tables.stopped.c
    stored = connection.execute(select(states.known).where(states.rollout.not_in(select(stopped.rollout)))).scalars()
    known = (decode_known(bytes_) for bytes_ in stored)
    return {each.snapshot.rollout: each for each in known if not _is_off(each.snapshot)}
