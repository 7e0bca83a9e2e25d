"""Rows into tables, by the driver's own executemany.

One rule: SQLAlchemy's compiler writes the SQL, once for each table and database. Its work for every row, or every time
anew, would be most of what a rebuild costs and most of what a change of flags waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Delete, Dialect, Table, bindparam, delete, insert
from sqlalchemy.sql.elements import CompilerElement

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """The driver's SQL, and the parameters' names where it does not take them by place."""

    sql: str
    names: tuple[str, ...]


def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows given as tuples in the order of the table's columns."""
    execute(connection, insert, table, rows)


def replace_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert these rows, whose key comes first, in place of those that have the same keys."""
    width = len(table.primary_key)
    execute(connection, _delete_by_key, table, [row[:width] for row in rows])
    put(connection, table, rows)


def execute(
    connection: Connection, make: Callable[[Table], CompilerElement], table: Table, rows: Sequence[Row]
) -> None:
    """Carry out the statement that `make` gives for the table once for each row of parameters, in their order there."""
    if not rows:
        return
    statement = _statement(make, table, connection.dialect)
    named = [dict(zip(statement.names, row, strict=True)) for row in rows] if statement.names else list(rows)
    connection.exec_driver_sql(statement.sql, named)


@lru_cache(maxsize=256)
def _statement(make: Callable[[Table], CompilerElement], table: Table, dialect: Dialect) -> Statement:
    compiled: Any = make(table).compile(dialect=dialect)
    return Statement(str(compiled), () if compiled.positional else tuple(compiled.params))


def _delete_by_key(table: Table) -> Delete:
    return delete(table).where(*(column == bindparam(column.name) for column in table.primary_key))
