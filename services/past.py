"""The past of a rollout: what the log said of it at an instant, or up to a revision.

One rule: time t means the records whose `when` is not after t, a revision the records up to it; both are prefixes of
the rollout's records, so the answer is a fold like any other, begun at what the projector kept nearest before.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from events.facts import Record
from projections import recalled
from projections.audit import instant
from projections.flags import FlagSnapshot
from projections.known import Known, added, decode_known
from projections.recalled import Recalled, carries_plan
from services.rollout.state import Rollout, apply
from services.tables import Generation, Position

EVERY = 200  # records of a rollout between two that are kept
LONG = 16 * 1024  # bytes

_state = msgspec.json.Decoder(Rollout)

Point: TypeAlias = datetime | int
"""An instant (aware), or a revision of the log."""


class NotYet(LookupError):
    """A revision that the log has not reached, as far as is known here."""


class Past(NamedTuple):
    """A rollout as it was. `now` is the instant to judge it at: blockers and windows depend on the time."""

    now: datetime
    state: Rollout
    known: Known

    @property
    def revision(self) -> int:
        """Of the last record that counts."""
        return self.known.revision

    @property
    def snapshot(self) -> FlagSnapshot:
        """Who had the toggles on, testers not filled in."""
        return self.known.snapshot


def is_kept(record: Record) -> bool:
    """Whether all that is known after this record is kept: a pure function of the log, so a rebuild keeps the same."""
    return record.ordinal % EVERY == 0 or carries_plan(record)


def packed(data: bytes) -> bytes:
    """What is kept: JSON, compressed once it is long (which costs more than it saves for a short one)."""
    return data if len(data) < LONG else zlib.compress(data, 1)


def _unpacked(data: bytes) -> bytes:
    return data if data.startswith(b"{") else zlib.decompress(data)


def past_of(connection: Connection, tables: Generation, at: Position, rollout: str, point: Point) -> Past | None:
    """The rollout as it was at `point`; None where it did not exist yet. Raises NotYet for a revision ahead."""
    if isinstance(point, int) and point > at.seq:
        raise NotYet(f"revision {point} is not known here: the last one is {at.seq}")
    base = _nearest(connection, tables, rollout, point)
    if base is None:
        return None
    state = _state.decode(_unpacked(base["state"]))
    known = decode_known(_unpacked(base["known"]))
    for one in _since(connection, tables, rollout, known.revision, point):
        state = apply(state, one.record, one.revision)
        known = added(known, one.record, one.revision, one.hash)
    return Past(max(state.when, _moment(connection, tables, point)), state, known)


def _moment(connection: Connection, tables: Generation, point: Point) -> datetime:
    """The instant itself, or when the last record of all up to the revision was written."""
    if isinstance(point, datetime):
        return point
    audit = tables.audit.c
    last = select(audit.at).where(audit.revision <= point).order_by(audit.revision.desc()).limit(1)
    return datetime.fromisoformat(connection.execute(last).scalar_one())


def upto(columns: Any, point: Point) -> ColumnElement[bool]:
    """The condition that a row belongs to a record up to this point."""
    condition = columns.at <= instant(point) if isinstance(point, datetime) else columns.revision <= point
    return cast("ColumnElement[bool]", condition)


def _nearest(connection: Connection, tables: Generation, rollout: str, point: Point) -> Mapping[str, Any] | None:
    """What was kept last, up to this point."""
    past = tables.past
    found = select(past).where(past.c.rollout == rollout, upto(past.c, point)).order_by(past.c.revision.desc()).limit(1)
    return cast("Mapping[str, Any] | None", connection.execute(found).mappings().first())


def _since(connection: Connection, tables: Generation, rollout: str, revision: int, point: Point) -> Sequence[Recalled]:
    """The records after this revision up to the point: fewer than EVERY, since another would have been kept."""
    past, audit = tables.past.c, tables.audit
    following = select(func.min(past.revision)).where(past.rollout == rollout, past.revision > revision)
    end = connection.execute(following).scalar()
    wanted = select(*(audit.c[name] for name in recalled.COLUMNS)).where(
        audit.c.rollout == rollout, audit.c.revision > revision, upto(audit.c, point)
    )
    if end is not None:
        wanted = wanted.where(audit.c.revision < end)
    rows = connection.execute(wanted.order_by(audit.c.revision, audit.c.n)).mappings()
    return list(recalled.recalled(cast("Sequence[Mapping[str, Any]]", rows)))
