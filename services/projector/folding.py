"""A batch of the log's records, folded into rows.

One rule: memory runs ahead of the tables only between `take` and the commit; if the commit fails, throw the Folding
away and make a new one, which loads from the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from events.codec import Unreadable, digest
from events.facts import Record
from projections.audit import COLUMNS, Values, instant
from projections.chain import BrokenChain
from projections.flags import FlagSnapshot
from projections.known import Known, decode_known, encode, take
from projections.kpis import KpiRow
from projections.rollouts import RolloutRow
from services.log.protocol import Entry, Gap
from services.projector.tables import AUDIT_BLOCK, Generation, Position
from services.projector.trail_times import note_times
from services.projector.writing import put, replace_rows
from services.views.past import is_kept, packed

HOT = 10_000
_PLACE_AND_TIME = itemgetter(COLUMNS.index("place"), COLUMNS.index("at"))


class States(NamedTuple):
    """The machine's own fold: what it is, how a record is added, and its type as stored."""

    apply: Callable[[Any, Record, int], Any]
    type: Any


def machine() -> States:
    """The state machine of services/rollout."""
    from services.rollout.state import Rollout, apply

    return States(apply, Rollout)


class Hot(msgspec.Struct, frozen=True):
    """One rollout in memory: what the projections know, and the machine's state."""

    known: Known
    state: Any


class Changes:
    """What a batch adds to the tables, and where it ends."""

    def __init__(self, before: Position) -> None:
        self.before = before
        self.seq, self.hash = before.seq, before.hash
        self.audit: list[Values] = []
        self.terms: list[tuple[int, str]] = []  # what each of these lines is found by
        self.rollouts: dict[str, Hot] = {}
        self.kpis: dict[tuple[str, str, str], KpiRow] = {}
        self.stopped: dict[str, tuple[int, str]] = {}
        self.past: list[Values] = []
        self.claims: list[Values] = []

    def after(self) -> Position:
        """The position once these changes are committed."""
        return self.before._replace(seq=self.seq, hash=self.hash)

    def snapshots(self) -> list[FlagSnapshot]:
        """The changed rollouts' snapshots, testers not filled in yet."""
        return [hot.known.snapshot for hot in self.rollouts.values()]


class Folding:
    """The rollouts in memory of one generation. Used by one thread at a time."""

    def __init__(self, tables: Generation, states: States) -> None:
        self.tables = tables
        self.stopped: dict[str, str] = {}
        self._states = states
        self._decode = msgspec.json.Decoder(states.type).decode
        self._encode = msgspec.json.Encoder().encode
        self._hot: dict[str, Hot] = {}

    def load_stopped(self, connection: Connection) -> None:
        """Remember which rollouts were stopped before."""
        table = self.tables.stopped
        self.stopped = {row.rollout: row.why for row in connection.execute(select(table).order_by(table.c.rollout))}

    def take(self, connection: Connection, before: Position, entries: Sequence[Entry]) -> Changes:
        """Fold entries that follow `before`, from where the tables stand; raises Gap where a revision is missing."""
        self._load(connection, {entry.rollout for entry in entries})
        return self.fold(before, entries)

    def fold(self, before: Position, entries: Sequence[Entry]) -> Changes:
        """The same from what is in memory alone."""
        changes = Changes(before)
        for entry in entries:
            if entry.revision != changes.seq + 1:
                raise Gap(f"revision {changes.seq + 1} expected, found {entry.revision}")
            self._one(changes, entry)
            changes.seq = entry.revision
        changes.hash = digest(entries[-1].data) if entries else before.hash
        return changes

    def _one(self, changes: Changes, entry: Entry) -> None:
        """One entry; what is wrong with it stops its rollout and no other."""
        if entry.rollout in self.stopped:
            return
        hot = self._hot.pop(entry.rollout, None)  # and to the end again: what is used last goes last
        try:
            taken = take(hot.known if hot else None, entry.rollout, entry.revision, entry.data)
            state = self._states.apply(hot.state if hot else None, taken.record, entry.revision)
        except (Unreadable, BrokenChain) as error:
            self._stop(changes, entry, str(error))
        except Exception as error:  # a record this program cannot fold must not take the others' flags down
            self._stop(changes, entry, f"cannot be folded: {type(error).__name__}: {error}")
        else:
            self._note_past(changes, hot.known if hot else None, taken.known, taken.record, state)
            changes.audit += taken.lines.values
            changes.terms += taken.lines.terms
            self._note_kpis(changes, hot.known if hot else None, taken.known)
            self._hot[entry.rollout] = changes.rollouts[entry.rollout] = Hot(taken.known, state)

    def _stop(self, changes: Changes, entry: Entry, why: str) -> None:
        self.stopped[entry.rollout] = why
        changes.stopped[entry.rollout] = (entry.revision, why)

    def _note_past(self, changes: Changes, old: Known | None, new: Known, record: Record, state: Any) -> None:
        """Which toggles are new to the rollout; and, now and then, all that is known, so that the past is near."""
        held = old.snapshot.toggles if old else ()
        changes.claims += [(key, record.rollout, new.revision) for key in new.snapshot.toggles if key not in held]
        if is_kept(record):
            stored = (packed(self._encode(state)), packed(encode(new)))
            changes.past.append((record.rollout, new.revision, instant(record.when), *stored))

    def _note_kpis(self, changes: Changes, old: Known | None, new: Known) -> None:
        if old and old.kpis is new.kpis:
            return
        before = old.kpis.rows if old else {}
        for key, row in new.kpis.rows.items():
            if before.get(key) is not row:
                changes.kpis[row.rollout, row.of, row.item] = row

    def _load(self, connection: Connection, rollouts: set[str]) -> None:
        """Have these rollouts in memory, those that the tables know; the ones unused for longest make room."""
        missing = sorted(rollouts - self._hot.keys() - self.stopped.keys())
        table = self.tables.states
        for start in range(0, len(missing), 500):
            part = select(table).where(table.c.rollout.in_(missing[start : start + 500]))
            for row in connection.execute(part):
                self._hot[row.rollout] = Hot(decode_known(row.known), self._decode(row.state))
        for rollout in list(self._hot)[: max(0, len(self._hot) - HOT)]:
            if rollout not in rollouts:
                del self._hot[rollout]

    def write(self, connection: Connection, changes: Changes) -> None:
        """The rows of these changes, and the position, in the caller's transaction. Raises tables.Moved."""
        tables = self.tables
        tables.move(connection, changes.before, changes.seq, changes.hash)
        put(connection, tables.audit, changes.audit)
        put(connection, tables.past, changes.past)
        put(connection, tables.claims, changes.claims)
        tables.audit_terms.put(connection, changes.terms)
        note_times(connection, tables.audit_times, AUDIT_BLOCK, map(_PLACE_AND_TIME, changes.audit))
        replace_rows(connection, tables.rollouts, [line(hot.known.row) for hot in changes.rollouts.values()])
        replace_rows(connection, tables.states, [self.stored(*each) for each in changes.rollouts.items()])
        replace_rows(connection, tables.kpis, [kpi(row) for row in changes.kpis.values()])
        put(connection, tables.stopped, [(name, *why) for name, why in changes.stopped.items()])

    def stored(self, rollout: str, hot: Hot) -> tuple[Any, ...]:
        return (rollout, hot.known.revision, self._encode(hot.state), encode(hot.known))


def line(row: RolloutRow) -> tuple[Any, ...]:
    """A row of `rollouts`."""
    toggles = msgspec.json.encode(row.toggles).decode()
    said = (row.id, row.title, row.phase, row.stage, row.exposure, row.halted, row.revision)
    return (*said, instant(row.entered_at), instant(row.when), toggles)


def kpi(row: KpiRow) -> tuple[Any, ...]:
    """A row of `kpis`."""
    named = (row.rollout, row.of, row.item)
    return (*named, row.value, row.target, row.verdict, row.revision, row.late, row.frozen)
