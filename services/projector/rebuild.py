"""Rebuild: the log folded from its first record into a new generation of tables, swapped in once.

One rule: readers see the old tables until the new ones are not behind them, and the flag bucket only where it differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set

from msgspec import Struct
from sqlalchemy import Engine

from services.flags.bucket import FlagBucket
from services.log.protocol import Entry, Log
from services.projector.attempts import take_attempts
from services.projector.folding import Folding, States, machine
from services.projector.projector import nobody_known, stored_snapshots
from services.projector.publisher import Hmacs, filled
from services.projector.tables import Position, begin_generation, drop_all_but_live, generation, prepare, read, swap

BATCH = 8000  # records a transaction: a rollout's state is written once in each


class Rebuilt(Struct, frozen=True):
    """What a rebuild has done: the generation that is live now, how far it goes, what it repaired in the bucket."""

    generation: int
    revision: int
    repaired: int
    removed: tuple[str, ...]  # keys of the bucket that no rollout stands behind
    stopped: dict[str, str]


def silent(_done: int, _of: int) -> None:
    """No progress is shown."""


async def rebuild(
    log: Log,
    engine: Engine,
    bucket: FlagBucket,
    progress: Callable[[int, int], None] = silent,
    *,
    hmacs: Hmacs = nobody_known,
    states: States | None = None,
) -> Rebuilt:
    """Rebuild all tables and repair the bucket, while the projector goes on. Raises Gap, Unavailable, Moved."""
    await asyncio.to_thread(prepare, engine)
    position = await asyncio.to_thread(begin_generation, engine)
    folding = Folding(generation(position.generation), states or machine())
    swapped = False
    while not swapped:
        position = await _catch_up(log, engine, folding, position, progress)
        position = position._replace(attempts_seq=await take_attempts(log, engine, position.generation))
        swapped = await asyncio.to_thread(swap, engine, position.generation)
    repaired, removed = await _repair(engine, bucket, hmacs, folding.stopped.keys())
    await asyncio.to_thread(drop_all_but_live, engine)
    return Rebuilt(position.generation, position.seq, repaired, removed, dict(folding.stopped))


async def _catch_up(
    log: Log, engine: Engine, folding: Folding, position: Position, progress: Callable[[int, int], None]
) -> Position:
    head = await log.head()
    if head <= position.seq:
        return position
    waiting: list[Entry] = []
    async for entries in log.follow(position.seq, until=head):
        waiting += entries
        if len(waiting) >= BATCH or waiting[-1].revision == head:
            position = await asyncio.to_thread(_commit, engine, folding, position, waiting)
            waiting = []
            progress(position.seq, head)
    return position


def _commit(engine: Engine, folding: Folding, position: Position, entries: Sequence[Entry]) -> Position:
    with engine.begin() as connection:
        changes = folding.take(connection, position, entries)
        folding.write(connection, changes)
    return changes.after()


async def _repair(engine: Engine, bucket: FlagBucket, hmacs: Hmacs, stopped: Set[str]) -> tuple[int, tuple[str, ...]]:
    """Write what differs; delete the keys of rollouts that the log does not know."""
    snapshots, upto = await asyncio.to_thread(read, engine, stored_snapshots)
    wanted = await asyncio.to_thread(filled, snapshots, hmacs)
    repaired = await bucket.repair(wanted, upto)
    held = await bucket.all()
    strangers = sorted(held.keys() - {snapshot.rollout for snapshot in wanted} - stopped)
    for name in strangers:
        await bucket.remove(name, held[name])
    return repaired, tuple(strangers)
