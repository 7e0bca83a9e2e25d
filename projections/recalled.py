"""Records out of the trail's rows: what a fold needs of them, without the log.

One rule: a record that carries a plan cannot be recalled, since the trail only names plans; whoever goes back in time
starts from what was kept at that record or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from events.codec import VERSION
from events.facts import Actor, Fact, PlanAdopted, PlanRevised, Record

_WITH_PLAN = frozenset((PlanAdopted, PlanRevised))
_fact = msgspec.json.Decoder(Fact)
_titles = msgspec.json.Decoder(tuple[str, ...])

COLUMNS = (
    *("revision", "n", "rollout", "ordinal", "at", "subject", "role", "titles", "command", "command_id", "data"),
    *("reason", "note", "previous", "hash"),
)
"""What is asked of the trail for it."""


class Recalled(NamedTuple):
    """A record as the trail has it: its revision, the hash of its stored bytes, and itself.

    It holds everything that happened, who, when and why; not its evidence nor its command's hash.
    """

    revision: int
    hash: str
    record: Record


def carries_plan(record: Record) -> bool:
    """Whether one of its facts holds a plan: the trail cannot give it back."""
    return not _WITH_PLAN.isdisjoint(map(type, record.facts))


def recalled(rows: Iterable[Mapping[str, Any]]) -> Iterator[Recalled]:
    """The records that these rows of one rollout's trail (in its order) were made of.

    Raises msgspec.ValidationError at a record that carries a plan.
    """
    for revision, same in groupby(rows, key=lambda row: int(row["revision"])):
        lines = list(same)
        first = lines[0]
        record = Record(
            v=VERSION,
            rollout=first["rollout"],
            ordinal=first["ordinal"],
            previous=first["previous"],
            when=datetime.fromisoformat(first["at"]),
            who=Actor(first["subject"], first["role"], _titles.decode(first["titles"])),
            command=first["command"],
            command_id=first["command_id"],
            command_hash="",
            facts=tuple(_fact.decode(line["data"]) for line in lines),
            reason=first["reason"],
            note=first["note"],
        )
        yield Recalled(revision, first["hash"], record)
