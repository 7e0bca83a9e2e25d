"""All records of one rollout, as the log holds them: what the report and a criterion's history are made of.

One rule: they are read from the log itself and their chain is checked; where it is broken, nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from events.codec import Unreadable, decode, digest
from events.facts import Record
from projections.chain import BrokenChain, check_chain
from services.log.protocol import Entry, Log
from services.views.past import Point


class Stored(NamedTuple):
    """A rollout's records, (revision, record), oldest first; `hash` is of the last one's stored bytes."""

    records: Sequence[tuple[int, Record]]
    hash: str


class NotIntact(Exception):
    """A record that cannot be read, or does not follow the one before it; the text names its revision."""


async def records_of(log: Log, rollout: str, point: Point | None = None) -> Stored:
    """The records up to an instant or a revision; none where the rollout did not exist then.

    Raises NotIntact, and LogError where the log cannot be reached.
    """
    return upto(await log.read(rollout), rollout, point)


def upto(entries: Sequence[Entry], rollout: str, point: Point | None) -> Stored:
    """The same, of entries that were read."""
    found: list[tuple[int, Record]] = []
    own, ordinal = "", 0
    for revision, _, data in entries:
        try:
            record = decode(data)
            check_chain(own, ordinal, record, rollout)
        except (Unreadable, BrokenChain) as error:
            raise NotIntact(f"revision {revision}: {error}") from error
        if point is not None and (revision > point if isinstance(point, int) else record.when > point):
            break
        found.append((revision, record))
        own, ordinal = digest(data), record.ordinal
    return Stored(found, own)
