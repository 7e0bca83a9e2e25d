"""Finding lines by their terms: a full-text index on SQLite, an inverted index on an array on PostgreSQL.

One rule: what the two databases do differently about it stands here and nowhere else; both find the same lines, in the
order of their places.

SQLite: an FTS5 table without content (it holds posting lists alone: no text, no positions, no sizes), whose rowid is
the line's place. An intersection walks the lists from any place in either order, so a page costs the same wherever it
begins, and a rare or empty match is found without reading the lines (https://www.sqlite.org/fts5.html). PostgreSQL: a
table of text arrays under a GIN index; where terms are common its planner walks the lines by place instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import DDL, Column, ColumnElement, Connection, Table, event, literal_column, text
from sqlalchemy.sql.expression import FromClause, TableClause
from sqlalchemy.sql.expression import column as named_column
from sqlalchemy.sql.expression import table as named_table

# Terms are cut by us: a token is what stands between spaces, and SQLite has nothing more to say about it.
_SQLITE = """\
CREATE VIRTUAL TABLE {name} USING fts5(
    terms, content='', columnsize=0, detail=none, tokenize="ascii tokenchars '=#._:-'"
)"""
_IN_MEMORY = "INSERT INTO {name}({name}, rank) VALUES ('hashsize', 16777216)"  # bytes gathered before they are merged
_POSTGRESQL = (
    "CREATE TABLE {name} (place BIGINT PRIMARY KEY, terms TEXT[] NOT NULL)",
    "CREATE INDEX {name}_by_term ON {name} USING gin (terms)",
)


class TermsIndex:
    """The index beside a table of lines, whose key is the column `key`. It is made and dropped with that table."""

    def __init__(self, lines: Table, key: Column[Any]) -> None:
        self.lines, self.key = lines, key
        self.name = f"terms_of_{lines.name}"
        for statement in (_SQLITE, _IN_MEMORY):
            self._when("sqlite", "after_create", statement)
        for statement in _POSTGRESQL:
            self._when("postgresql", "after_create", statement)
        for dialect in ("sqlite", "postgresql"):
            self._when(dialect, "before_drop", "DROP TABLE IF EXISTS {name}")

    def _when(self, dialect: str, moment: str, statement: str) -> None:
        ddl = DDL(statement.format(name=self.name))  # type: ignore[no-untyped-call]
        event.listen(self.lines, moment, ddl.execute_if(dialect=dialect))

    def put(self, connection: Connection, terms: Sequence[tuple[int, str]]) -> None:
        """Add lines: the place of each, and its terms between spaces."""
        if not terms:
            return
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"INSERT INTO {self.name}(rowid, terms) VALUES (?, ?)", list(terms))
        else:
            statement = text(f"INSERT INTO {self.name} VALUES (:place, string_to_array(:terms, ' '))")
            connection.execute(statement, [{"place": place, "terms": found} for place, found in terms])

    def found(
        self, connection: Connection, terms: Sequence[str]
    ) -> tuple[FromClause, ColumnElement[int], ColumnElement[bool]]:
        """The lines that have all of these terms: what to select from, the place to order by, the condition."""
        sqlite = connection.dialect.name == "sqlite"
        index: TableClause = named_table(self.name, named_column("rowid" if sqlite else "place"))
        place: ColumnElement[int] = index.c.rowid if sqlite else index.c.place
        if sqlite:
            condition = text(f"{self.name} MATCH :terms").bindparams(terms=" ".join(f'"{term}"' for term in terms))
        else:
            condition = text(f"{self.name}.terms @> string_to_array(:terms, ' ')").bindparams(terms=" ".join(terms))
        matching: ColumnElement[bool] = literal_column("1") == literal_column("1")
        return index.join(self.lines, place == self.key), place, matching & condition
