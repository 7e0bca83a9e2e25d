"""The SQL database: how to open it, and the tables that a rebuild never touches.

One rule: whatever only SQLite knows stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

kept = MetaData()
"""Tables that are not folds of the log: tokens, the vault. Their modules add them here."""


def connect(url: str) -> Engine:
    """An engine for the URL; SQLite gets its folder, WAL and an fsync a commit. Makes the kept tables."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(target)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_pragmas)
    _make_kept(engine)
    return engine


def _make_kept(engine: Engine) -> None:
    """Roles start together: whether a table is there is asked by the statement that makes it."""
    with engine.begin() as connection:
        for table in kept.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    """Readers beside one writer (WAL); a committed row survives a power cut (FULL); wait for a lock, 10 s."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def erasing(engine: Engine) -> Iterator[Connection]:
    """A transaction whose deleted rows leave no bytes behind.

    SQLite only unlinks what is deleted: have it zeroed, and the write-ahead log, which still holds it, cut off.
    """
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        yield connection
        connection.commit()
        if sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.commit()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection whose queries all see the database as it is at the first of them."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # its driver begins a transaction only before a write
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection
