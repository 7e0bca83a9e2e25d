"""Since when the herald tells: what an old log holds at the first start is history, and nobody wants to hear it.

One rule: the revision is kept beside the log's tables, written at the first start and never changed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Engine, Integer, Table, insert, select
from sqlalchemy.exc import IntegrityError

from services.database import kept

herald = Table(
    "herald",
    kept,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),  # the last revision of which nothing is told
)


def first_start(engine: Engine, head: int) -> int:
    """The last revision that is history: `head` at the first start, and the same ever after."""
    herald.create(engine, checkfirst=True)
    if (known := started(engine)) is not None:
        return known
    try:
        with engine.begin() as connection:
            connection.execute(insert(herald).values(id=1, since=head))
    except IntegrityError:  # another process was first
        return started(engine) or 0
    return head


def started(engine: Engine) -> int | None:
    """The last revision that is history; None before the first start."""
    with engine.connect() as connection:
        found: int | None = connection.scalar(select(herald.c.since).where(herald.c.id == 1))
    return found
