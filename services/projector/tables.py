"""The tables of the projections, made once per generation; which generation is live, and how far each has come.

One rule: a generation is a fold of the log from revision 1 to its `seq`, and its `seq` moves in the same transaction
as its rows. Readers choose the live one inside their transaction, so a rebuild swaps with one UPDATE.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from projections.audit import FACTS_IN_A_RECORD
from services.database import reading
from services.projector.terms_index import TermsIndex

logger = logging.getLogger("cutover.projector")

FOLD = 3  # raise it where the same records give other rows than before: the tables are then made anew
TRIES = 5  # of a drop that readers stand in the way of
ATTEMPTS_BLOCK = 1024  # attempts in a block of `attempts_times`
AUDIT_BLOCK = 1024 * FACTS_IN_A_RECORD  # places: 1,024 revisions
_Place = BigInteger().with_variant(Integer, "sqlite")  # on SQLite the row's own number, under which it is stored

Result = TypeVar("Result")

_shared = MetaData()
generations = Table(
    "generations",
    _shared,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("live", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of the last record folded, 0: none
    Column("hash", String(64), nullable=False),  # of its stored bytes
    Column("attempts_seq", BigInteger, nullable=False),
)

_SEEN = (generations.c.generation == bindparam("number")) & (generations.c.live == bindparam("was_live"))
_MOVE = (
    update(generations)
    .where(_SEEN, generations.c.seq == bindparam("was"))
    .values(seq=bindparam("to"), hash=bindparam("digest"))
)
_MOVE_ATTEMPTS = (
    update(generations)
    .where(_SEEN, generations.c.attempts_seq == bindparam("was"))
    .values(attempts_seq=bindparam("to"))
)


class Position(NamedTuple):
    """How far a generation has come, and whether it was the live one when this was read."""

    generation: int
    seq: int
    hash: str
    attempts_seq: int
    live: bool


class Moved(Exception):
    """Somebody else moved this generation's position, or swapped it away: load it again."""


class Generation:
    """The tables of one generation, and the statements that write them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.metadata = MetaData()
        self.rollouts = self._table(
            "rollouts",
            Column("rollout", String(63), primary_key=True),
            Column("title", Text, nullable=False),
            Column("phase", String(32), nullable=False),
            Column("stage", Integer, nullable=False),
            Column("exposure", Text, nullable=False),
            Column("halted", Boolean, nullable=False),
            Column("revision", BigInteger, nullable=False),
            Column("entered_at", String(27), nullable=False),
            Column("at", String(27), nullable=False),
            Column("toggles", Text, nullable=False),
        )
        self.states = self._table(
            "states",
            Column("rollout", String(63), primary_key=True),
            Column("revision", BigInteger, nullable=False),
            Column("state", LargeBinary, nullable=False),  # services.rollout.state.Rollout as JSON
            Column("known", LargeBinary, nullable=False),  # projections.known.Known as JSON
        )
        self.past = self._table(  # what was known at some records, so that going back in time need not fold them all
            "past",
            Column("rollout", String(63), primary_key=True),
            Column("revision", BigInteger, primary_key=True, autoincrement=False),
            Column("at", String(27), nullable=False),
            Column("state", LargeBinary, nullable=False),  # as in `states`, compressed
            Column("known", LargeBinary, nullable=False),
        )
        self.claims = self._table(  # a rollout lists a toggle that it did not list before
            "claims",
            Column("toggle", String(250), primary_key=True),
            Column("rollout", String(63), primary_key=True),
            Column("revision", BigInteger, primary_key=True, autoincrement=False),
        )
        self.audit = self._table(
            "audit",
            Column("place", _Place, primary_key=True, autoincrement=False),  # of its revision and n: audit.place
            Column("revision", BigInteger, nullable=False),
            Column("n", Integer, nullable=False),
            Column("rollout", String(63), nullable=False),
            Column("ordinal", Integer, nullable=False),
            Column("at", String(27), nullable=False),
            Column("subject", Text, nullable=False),
            Column("role", String(32), nullable=False),
            Column("titles", Text, nullable=False),
            Column("command", String(64), nullable=False),
            Column("command_id", Text, nullable=False),
            Column("fact", String(64), nullable=False),
            Column("says", Text, nullable=False),
            Column("data", Text, nullable=False),
            Column("reason", Text, nullable=False),
            Column("note", Text, nullable=False),
            Column("evidence", Text, nullable=False),
            Column("previous", String(64), nullable=False),
            Column("hash", String(64), nullable=False),
            *_where(),
        )
        self.audit_terms = TermsIndex(self.audit, self.audit.c.place)
        self.audit_times = self._times("audit_times")
        self.kpis = self._table(
            "kpis",
            Column("rollout", String(63), primary_key=True),
            Column("step", String(250), primary_key=True),
            Column("item", String(1000), primary_key=True),
            Column("value", Text, nullable=False),
            Column("target", Text, nullable=False),
            Column("verdict", String(16)),
            Column("revision", BigInteger, nullable=False),
            Column("late", Boolean, nullable=False),
            Column("frozen", Text),
        )
        self.attempts = self._table(
            "attempts",
            Column("seq", _Place, primary_key=True, autoincrement=False),
            Column("rollout", Text, nullable=False),
            Column("at", String(27), nullable=False),
            Column("subject", Text, nullable=False),
            Column("role", String(32), nullable=False),
            Column("titles", Text, nullable=False),
            Column("command", String(64), nullable=False),
            Column("command_id", Text, nullable=False),
            Column("code", String(32), nullable=False),
            Column("reasons", Text, nullable=False),
            Column("reason", Text, nullable=False),
            *_where(),
        )
        self.attempts_terms = TermsIndex(self.attempts, self.attempts.c.seq)
        self.attempts_times = self._times("attempts_times")
        self.stopped = self._table(
            "stopped",
            Column("rollout", String(63), primary_key=True),
            Column("revision", BigInteger, nullable=False),
            Column("why", Text, nullable=False),
        )
        self.fold = self._table("fold", Column(f"fold_{FOLD}", Integer, primary_key=True))  # no rows: the name says it

    def _table(self, name: str, *columns: Column[Any]) -> Table:
        return Table(f"{name}_g{self.number}", self.metadata, *columns)

    def _times(self, name: str) -> Table:
        """The times of each block of a stream's places (see `trail_times`)."""
        block = Column("block", BigInteger, primary_key=True, autoincrement=False)
        return self._table(name, block, *(Column(end, String(27), nullable=False) for end in ("first", "last")))

    def tables(self) -> dict[str, Table]:
        """Every table by its name without the generation."""
        suffix = f"_g{self.number}"
        return {table.name.removesuffix(suffix): table for table in self.metadata.sorted_tables}

    def move(self, connection: Connection, before: Position, seq: int, digest: str) -> None:
        """The position goes from where it was seen to `seq`, or Moved. First in a transaction: it takes the lock."""
        self._moved(connection, before, _MOVE, {"was": before.seq, "to": seq, "digest": digest})

    def move_attempts(self, connection: Connection, before: Position, seq: int) -> None:
        """The same for the refused attempts, which are a stream of their own."""
        self._moved(connection, before, _MOVE_ATTEMPTS, {"was": before.attempts_seq, "to": seq})

    def _moved(self, connection: Connection, before: Position, move: Update, by: dict[str, Any]) -> None:
        if connection.execute(move, {"number": self.number, "was_live": before.live, **by}).rowcount != 1:
            raise Moved(f"generation {self.number} was moved or swapped by somebody else")


def _where() -> Iterator[Column[Any]]:
    """How the rollout stood, and the way in, as records and attempts have it."""
    for name in ("phase", "environment", "source"):
        yield Column(name, Text, nullable=False)


@lru_cache(maxsize=8)
def generation(number: int) -> Generation:
    """The tables of a generation by its number."""
    return Generation(number)


# -- generations


def prepare(engine: Engine) -> Position:
    """Make what is missing, and give the live generation's position. Safe for several processes at once."""
    for last in (False, False, True):
        try:
            return _prepare(engine)
        except DatabaseError:  # another process was quicker in making it
            if last:
                raise
    raise AssertionError("the last try returns or raises")


def _prepare(engine: Engine) -> Position:
    _shared.create_all(engine)
    with engine.begin() as connection:
        live = live_position(connection)
        if live and _of_this_shape(connection, live.generation):
            return live
        number = _next_number(connection)
        if live:  # whoever made them wrote other columns: they are a fold of the log, so it is folded anew
            logger.warning("the tables are of another version: they are made anew from the log")
            connection.execute(update(generations).values(live=False))
        connection.execute(insert(generations).values(generation=number, live=True, seq=0, hash="", attempts_seq=0))
        generation(number).metadata.create_all(connection)
    return Position(number, 0, "", 0, True)


def _of_this_shape(connection: Connection, number: int) -> bool:
    """Whether every table of this generation is there with the columns that this program writes."""
    found = inspect(connection)
    names = set(found.get_table_names())
    return all(
        table.name in names and [column["name"] for column in found.get_columns(table.name)] == table.columns.keys()
        for table in generation(number).metadata.sorted_tables
    )


def _next_number(connection: Connection) -> int:
    return int(connection.execute(select(func.max(generations.c.generation))).scalar() or 0) + 1


def live_position(connection: Connection) -> Position | None:
    """Where the live generation stands; None before the first start."""
    return _position(connection, generations.c.live.is_(True))


def position_of(connection: Connection, number: int) -> Position | None:
    """Where a generation stands; None when it is gone."""
    return _position(connection, generations.c.generation == number)


def _position(connection: Connection, condition: Any) -> Position | None:
    row = connection.execute(select(generations).where(condition)).first()
    return Position(row.generation, row.seq, row.hash, row.attempts_seq, row.live) if row else None


def begin_generation(engine: Engine) -> Position:
    """A new generation, not live, from the beginning; leftovers of rebuilds that were cut off are dropped."""
    drop_all_but_live(engine)
    with engine.begin() as connection:
        number = _next_number(connection)
        generation(number).metadata.drop_all(connection)  # left by a drop that was cut off
        connection.execute(insert(generations).values(generation=number, live=False, seq=0, hash="", attempts_seq=0))
        generation(number).metadata.create_all(connection)
    return Position(number, 0, "", 0, False)


def swap(engine: Engine, number: int) -> bool:
    """Make this generation live if it is not behind the live one; False: it is, catch up first."""
    with engine.begin() as connection:
        connection.execute(update(generations).values(live=generations.c.live))  # locks every position
        live, new = live_position(connection), position_of(connection, number)
        if new is None:
            raise Moved(f"generation {number} is gone: another rebuild has begun")
        if live and (new.seq < live.seq or new.attempts_seq < live.attempts_seq):
            return False
        connection.execute(update(generations).values(live=generations.c.generation == number))
    return True


def drop_all_but_live(engine: Engine) -> None:
    """Drop the tables and positions of every other generation."""
    with engine.begin() as connection:
        others = select(generations.c.generation).where(generations.c.live.is_(False))
        numbers = list(connection.execute(others).scalars())
        connection.execute(delete(generations).where(generations.c.generation.in_(numbers)))
    for number in numbers:
        _drop(engine, generation(number))


def _drop(engine: Engine, tables: Generation) -> None:
    """One table a transaction: on PostgreSQL a drop waits for readers, who may be waiting for what else was dropped.

    A table has its index of terms with it, so that even then one of the two may be told to try again.
    """
    for table in reversed(tables.metadata.sorted_tables):
        for left in reversed(range(TRIES)):
            try:
                with engine.begin() as connection:
                    table.drop(connection, checkfirst=True)
                break
            except OperationalError:
                if not left:
                    raise


# -- reading


def read(engine: Engine, ask: Callable[[Connection, Generation, Position], Result]) -> Result:
    """`ask` in one read transaction, with the tables that are live in it and their position.

    Where the database lets a swap drop tables under a reader that has not touched them yet, it asks again.
    """
    for _ in range(3):
        with reading(engine) as connection:
            position = live_position(connection)
            if position is None:
                raise LookupError("the tables have not been made yet: the projector has never run")
            try:
                return ask(connection, generation(position.generation), position)
            except DatabaseError:
                if _live_number(engine) == position.generation:
                    raise
    raise LookupError("the tables are swapped again and again: is a rebuild running in a loop?")


def _live_number(engine: Engine) -> int:
    with engine.connect() as connection:
        position = live_position(connection)
    return position.generation if position else 0


def dump(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the live generation, in the order of their keys: two folds of one log dump the same."""

    def rows(connection: Connection, tables: Generation, _position: Position) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for name, table in tables.tables().items()
        }

    return read(engine, rows)
