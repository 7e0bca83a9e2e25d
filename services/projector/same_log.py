"""Whether the log is the one that the tables were made of.

One rule: a log that is shorter than the tables, or has other bytes at their position, is another log; nobody goes on
over it.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Engine

from events.codec import digest
from services.log.protocol import Log
from services.projector.tables import Position, prepare


class WrongLog(Exception):
    """The log is not the one that the tables were made of."""


async def same_log(log: Log, position: Position) -> None:
    """Return if the log has, at the tables' position, the record that the tables know; else raise WrongLog."""
    if position.seq == 0:
        return
    head = await log.head()
    if head < position.seq:
        raise WrongLog(f"the tables hold revision {position.seq}, but the log ends at {head}")
    entry = await log.at(position.seq)
    if entry is None:
        raise WrongLog(f"the tables hold revision {position.seq}, which the log does not have")
    found = digest(entry.data)
    if found != position.hash:
        raise WrongLog(f"revision {position.seq} of the log has the hash {found}; the tables know {position.hash}")


async def disagreement(log: Log, database: Engine) -> list[str]:
    """One sentence if the tables were made of another log; none if they agree."""
    try:
        await same_log(log, await asyncio.to_thread(prepare, database))
    except WrongLog as error:
        return [str(error)]
    return []
