"""The past of a rollout: what the log said of it at an instant, or up to a revision.

One rule: time t means the records whose `when` is not after t, a revision the records up to it; both are prefixes of
the rollout's records, so the answer is a fold like any other, begun at what the projector kept nearest before.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, func, select

from events.facts import Record
from projections import recalled
from projections.audit import instant, place
from projections.explain import BEARING
from projections.flags import FlagSnapshot, fold
from projections.known import Known, added, decode_known
from projections.recalled import Recalled, carries_plan
from projections.rollouts import RolloutRow
from projections.terms import field
from services.projector.tables import Generation, Position
from services.rollout.state import Rollout, apply

EVERY = 200  # records of a rollout between two that are kept
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # when nothing had been written
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
    stopped: str  # why nothing is known after its last record; "": all is

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


def unpacked(data: bytes) -> bytes:
    """What `packed` made it of."""
    return data if data.startswith(b"{") else zlib.decompress(data)


def past_of(connection: Connection, tables: Generation, at: Position, rollout: str, point: Point) -> Past | None:
    """The rollout as it was at `point`; None where it did not exist yet. Raises NotYet for a revision ahead."""
    now = moment(connection, tables, at, point)
    base = _nearest(connection, tables, rollout, point)
    if base is None:
        return None
    state = _state.decode(unpacked(base["state"]))
    known = decode_known(unpacked(base["known"]))
    for one in _since(connection, tables, known, point):
        state = apply(state, one.record, one.revision)
        known = added(known, one.record, one.revision, one.hash)
    return Past(max(state.when, now), state, known, _stopped(connection, tables, known, point))


def moment(connection: Connection, tables: Generation, at: Position, point: Point) -> datetime:
    """The instant to judge a point at: itself, or when the last record up to it was written. Raises NotYet."""
    if isinstance(point, datetime):
        return point
    if point > at.seq:
        raise NotYet(f"revision {point} is not known here: the last one is {at.seq}")
    audit = tables.audit.c
    last = select(audit.at).where(audit.place < place(point + 1)).order_by(audit.place.desc()).limit(1)
    found = connection.execute(last).scalar()
    return datetime.fromisoformat(found) if found else EPOCH


def began(connection: Connection, tables: Generation, rollout: str) -> tuple[int, datetime] | None:
    """The revision of the rollout's first record, and when it was written."""
    past = tables.past.c
    first = select(past.revision, past.at).where(past.rollout == rollout).order_by(past.revision).limit(1)
    row = connection.execute(first).first()
    return (row.revision, datetime.fromisoformat(row.at)) if row else None


def rows_of(
    connection: Connection, tables: Generation, at: Position, live: Sequence[RolloutRow], point: Point
) -> list[RolloutRow]:
    """The lines of these rollouts as they stood at `point`, without those that did not exist yet. Raises NotYet."""
    moment(connection, tables, at, point)
    rows = []
    for row in live:
        if row.when <= point if isinstance(point, datetime) else row.revision <= point:
            rows.append(row)  # nothing has happened since
        elif then := past_of(connection, tables, at, row.id, point):
            rows.append(replace(then.known.row, retired=row.retired))
    return rows


def snapshots_back(
    connection: Connection, tables: Generation, rollout: str, point: Point
) -> Iterator[tuple[int, FlagSnapshot]]:
    """(revision, who had the toggles on after it), the latest first, for every record that bears on that."""
    while (row := _nearest(connection, tables, rollout, point)) is not None:
        known = decode_known(unpacked(row["known"]))
        snapshots = [(known.revision, known.snapshot)]
        for one in _since(connection, tables, known, point, BEARING):
            snapshots.append((one.revision, fold(snapshots[-1][1], one.record, one.revision)))
        yield from reversed(snapshots)
        point = known.bore if known.bore < known.revision else known.revision - 1


def upto(columns: Any, point: Point) -> ColumnElement[bool]:
    """The condition that a row belongs to a record up to this point."""
    condition = columns.at <= instant(point) if isinstance(point, datetime) else columns.revision <= point
    return cast("ColumnElement[bool]", condition)


def _nearest(connection: Connection, tables: Generation, rollout: str, point: Point) -> Mapping[str, Any] | None:
    """What was kept last, up to this point."""
    past = tables.past
    found = select(past).where(past.c.rollout == rollout, upto(past.c, point)).order_by(past.c.revision.desc()).limit(1)
    return cast("Mapping[str, Any] | None", connection.execute(found).mappings().first())


def _since(
    connection: Connection, tables: Generation, known: Known, point: Point, facts: Sequence[str] = ()
) -> Iterator[Recalled]:
    """The records after what is known, up to the point; with nothing but `facts` where given.

    They are fewer than EVERY, since another would have been kept: reading ends there.
    """
    past, audit, rollout = tables.past.c, tables.audit, known.snapshot.rollout
    following = select(func.min(past.revision)).where(past.rollout == rollout, past.revision > known.revision)
    ends = [connection.execute(following).scalar(), point + 1 if isinstance(point, int) else None]
    source, key, found = tables.audit_terms.found(connection, [field("rollout", rollout)])
    wanted = select(*(audit.c[name] for name in recalled.COLUMNS)).select_from(source)
    wanted = wanted.where(found, key >= place(known.revision + 1), upto(audit.c, point))
    for end in filter(None, ends):
        wanted = wanted.where(key < place(end))
    if facts:
        wanted = wanted.where(audit.c.fact.in_(facts))
    rows = connection.execute(wanted.order_by(key)).mappings()
    return recalled.recalled(cast("Iterable[Mapping[str, Any]]", rows))


def _stopped(connection: Connection, tables: Generation, known: Known, point: Point) -> str:
    """A stopped rollout's records after the one that stopped it are not folded: the point may lie behind it."""
    stopped, states, rollout = tables.stopped.c, tables.states.c, known.snapshot.rollout
    row = connection.execute(select(stopped.revision, stopped.why).where(stopped.rollout == rollout)).first()
    if row is None or (isinstance(point, int) and point < row.revision):
        return ""
    last = connection.execute(select(states.revision).where(states.rollout == rollout)).scalar()
    return str(row.why) if last == known.revision else ""
