"""Refused attempts into their table: a stream of their own, beside the log.

One rule: nothing depends on them but the trail. One that cannot be read is said and left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy import Engine

from events.codec import Unreadable, decode_attempt
from events.facts import Attempt
from projections.audit import attempt_values, instant
from projections.terms import of_attempt
from services.log.protocol import Entry, Log
from services.projector.tables import ATTEMPTS_BLOCK, Moved, Position, generation, live_position, position_of
from services.projector.trail_times import note_times
from services.projector.writing import put

logger = logging.getLogger("cutover.projector")


async def take_attempts(log: Log, engine: Engine, number: int | None = None) -> int:
    """Fold what is new into a generation (None: the live one), and give its place in the attempts. Raises Moved."""
    position = await asyncio.to_thread(_position, engine, number)
    entries = await log.attempts(position.attempts_seq)
    if not entries:
        return position.attempts_seq
    await asyncio.to_thread(keep_attempts, engine, position, entries)
    return entries[-1].revision


def _position(engine: Engine, number: int | None) -> Position:
    with engine.connect() as connection:
        position = live_position(connection) if number is None else position_of(connection, number)
    if position is None:
        raise Moved("there are no tables yet, or not any more")
    return position


def keep_attempts(engine: Engine, position: Position, entries: Sequence[Entry]) -> None:
    """Add these attempts to the generation that stands at `position`. Raises Moved."""
    tables = generation(position.generation)
    read = [(entry.revision, attempt) for entry in entries if (attempt := _attempt(entry)) is not None]
    with engine.begin() as connection:
        tables.move_attempts(connection, position, entries[-1].revision)
        put(connection, tables.attempts, [attempt_values(seq, attempt) for seq, attempt in read])
        tables.attempts_terms.put(connection, [(seq, of_attempt(attempt)) for seq, attempt in read])
        times = ((seq, instant(attempt.when)) for seq, attempt in read)
        note_times(connection, tables.attempts_times, ATTEMPTS_BLOCK, times)


def _attempt(entry: Entry) -> Attempt | None:
    try:
        return decode_attempt(entry.data)
    except Unreadable as error:
        logger.error("refused attempt %d is left out of the trail: %s", entry.revision, error)
        return None
