"""Bearer tokens: how somebody shows who they are.

One rule: a token is shown once and stored only as its SHA-256; whatever happens to one is added to `token_changes`,
from which nothing is ever taken away. Both tables are outside the log: a rebuild never touches them.

A fast hash is enough: a token is 256 random bits, not a password that could be guessed.
"""

from __future__ import annotations

import builtins
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import Column, Connection, Engine, Integer, RowMapping, String, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError

from events.facts import Actor
from events.plan.names import nearest
from services.database import kept
from services.people.identity import (
    ROLES,
    TokenConflict,
    TokenError,
    UnknownName,
    identity,
    same_person,
)
from services.secret_file import made_once

__all__ = ["PREFIX", "ROLES", "TokenChange", "TokenConflict", "TokenError", "TokenRow", "Tokens", "UnknownName"]

PREFIX = "cut_"  # so that people and secret scanners recognize one
FIRST_ADMIN = "admin"
FRESH_FOR = 2.0  # seconds after which a revocation by another process is known here, at the latest

_TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")

tokens = Table(
    "tokens",
    kept,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(100), nullable=False, index=True),
    Column("role", String(32), nullable=False),
    Column("titles", Text, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created", String(40), nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("revoked", String(40), nullable=False, server_default=""),
    Column("revoked_by", String(100), nullable=False, server_default=""),
)
token_changes = Table(
    "token_changes",
    kept,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(40), nullable=False),
    Column("by", String(100), nullable=False),
    Column("what", String(16), nullable=False),
    Column("token", Integer, nullable=False),
    Column("subject", String(100), nullable=False),
    Column("role", String(32), nullable=False),
    Column("titles", Text, nullable=False),
)
_live = tokens.c.revoked == ""


class TokenRow(Struct, frozen=True):
    """One token, without itself. Times are ISO 8601 in UTC; `revoked` "": it is live."""

    id: int
    name: str
    role: str
    titles: tuple[str, ...]
    created: str
    created_by: str
    revoked: str
    revoked_by: str


class TokenChange(Struct, frozen=True):
    """What (`added`, `revoked`) happened to a token, when and by whom."""

    id: int
    at: str
    by: str
    what: str
    token: int
    name: str
    role: str
    titles: tuple[str, ...]


class Tokens:
    """The two tables. Its methods do SQL: call them in a thread, and `who` too unless `fresh()`."""

    def __init__(
        self, engine: Engine, now: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """`now` is what is written down; `ticks` (seconds) only says how old the live tokens in memory are."""
        self._engine = engine
        self._now = now
        self._ticks = ticks
        self._known: dict[str, Actor] = {}
        self._read_at: float | None = None
        self.version = 0
        """Another number whenever the live tokens are others than they were when they were last read."""
        for table in (tokens, token_changes):
            table.create(engine, checkfirst=True)

    def add(self, name: str, role: str, titles: Iterable[str], by: str) -> str:
        """A new token for that name; it can never be shown again.

        Raises TokenError for an unknown role or a name that cannot be one, TokenConflict when the same person's live
        tokens have another role or other titles.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        self._add(token, identity(name, role, titles), by)
        return token

    def revoke(self, name: str, by: str) -> int:
        """End all live tokens of that name; how many there were.

        Raises UnknownName, and TokenConflict when nobody with the role admin would be left.
        """
        with self._engine.begin() as connection:
            ending = connection.execute(select(tokens).where(tokens.c.subject == name, _live)).mappings().all()
            if not ending:
                raise UnknownName(self._nobody(connection, name))
            for row in ending:
                self._end(connection, row, by)
            if connection.scalar(select(tokens.c.id).where(tokens.c.role == "admin", _live).limit(1)) is None:
                raise TokenConflict(f"'{name}' is the last admin: add a token for another admin first")
        self._read_at = None
        return len(ending)

    def list(self) -> tuple[TokenRow, ...]:
        """All tokens that ever were, oldest first."""
        return tuple(
            TokenRow(
                id=row["id"],
                name=row["subject"],
                role=row["role"],
                titles=_titles(row),
                created=row["created"],
                created_by=row["created_by"],
                revoked=row["revoked"],
                revoked_by=row["revoked_by"],
            )
            for row in self._all(tokens)
        )

    def history(self) -> tuple[TokenChange, ...]:
        """Every change, oldest first."""
        return tuple(
            TokenChange(
                id=row["id"],
                at=row["at"],
                by=row["by"],
                what=row["what"],
                token=row["token"],
                name=row["subject"],
                role=row["role"],
                titles=_titles(row),
            )
            for row in self._all(token_changes)
        )

    def fresh(self) -> bool:
        """Whether `who` would answer from memory."""
        return self._read_at is not None and self._ticks() - self._read_at < FRESH_FOR

    def who(self, token: str) -> Actor | None:
        """Whose token it is; None: nobody's, or it was revoked (by another process: up to 2 s ago).

        What is looked up and compared is the hash, so the time it takes says nothing about any token.
        """
        if not self.fresh():
            self._read()
        return self._known.get(_hashed(token))

    def recalled(self, token: str, seconds: float) -> Actor | None:
        """Whose token it was when the tables were last read, at most so long ago. No SQL.

        For reads of flags while the database is away: an application must not lose its flags with it.
        """
        if self._read_at is None or self._ticks() - self._read_at > seconds:
            return None
        return self._known.get(_hashed(token))

    def somebody(self, subject: str) -> bool:
        """Whether somebody of that name had a live token when the tables were last read. No SQL."""
        return any(actor.subject == subject for actor in self._known.values())

    def ensure_admin(self, path: Path) -> bool:
        """At the first start, when there never was an admin: the token of one, in a file (mode 0600).

        An existing file is never written to: its token becomes the admin's (it was put there, or the first start
        was cut off between the file and the table). True: there was no admin before.
        Raises TokenError when the file holds no token.
        """
        with self._engine.connect() as connection:
            if connection.scalar(select(tokens.c.id).where(tokens.c.role == "admin").limit(1)) is not None:
                return False
        held = made_once(path, lambda: f"{PREFIX}{secrets.token_urlsafe(32)}\n".encode())
        token = held.decode(errors="replace").strip()
        if not _TOKEN.fullmatch(token):
            raise TokenError(f"{path} must hold a token, {PREFIX} and 43 letters, digits, - or _; it holds none")
        try:
            self._add(token, identity(FIRST_ADMIN, "admin", ()), by="first start")
        except IntegrityError:  # another process on the same folder was first, with the same token
            return False
        return True

    # -- inside

    def _add(self, token: str, actor: Actor, by: str) -> None:
        """The row goes first: it takes the write lock, so that nobody adds a different one beside our check."""
        with self._engine.begin() as connection:
            row = {"token_hash": _hashed(token), "created": self._written_now(), "created_by": by, **_columns(actor)}
            (number,) = connection.execute(insert(tokens).values(row).returning(tokens.c.id)).one()
            others = select(tokens).where(tokens.c.subject == actor.subject, _live, tokens.c.id != number)
            for other in connection.execute(others).mappings():
                same_person(_actor(other), actor)
            self._note(connection, "added", by, number, actor)
        self._read_at = None

    def _end(self, connection: Connection, row: RowMapping, by: str) -> None:
        ended = {"revoked": self._written_now(), "revoked_by": by}
        connection.execute(update(tokens).where(tokens.c.id == row["id"]).values(ended))
        self._note(connection, "revoked", by, row["id"], _actor(row))

    def _note(self, connection: Connection, what: str, by: str, token: int, actor: Actor) -> None:
        change = {"at": self._written_now(), "by": by, "what": what, "token": token, **_columns(actor)}
        connection.execute(insert(token_changes).values(change))

    def _read(self) -> None:
        """The time is taken first. A role that this program does not know (a newer one wrote it) gives no right."""
        started = self._ticks()
        with self._engine.connect() as connection:
            rows = connection.execute(select(tokens).where(_live)).mappings().all()
        known = {row["token_hash"]: _actor(row) for row in rows if row["role"] in ROLES}
        if known != self._known:
            self._known = known
            self.version += 1
        self._read_at = started

    def _all(self, table: Table) -> builtins.list[RowMapping]:
        with self._engine.connect() as connection:
            return [*connection.execute(select(table).order_by(table.c.id)).mappings()]

    def _nobody(self, connection: Connection, name: str) -> str:
        names = connection.scalars(select(tokens.c.subject).where(_live).distinct()).all()
        return f"nobody named '{name}' has a live token{nearest(name, names)}"

    def _written_now(self) -> str:
        return self._now().isoformat(timespec="milliseconds")


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _columns(actor: Actor) -> dict[str, str]:
    titles = msgspec.json.encode(actor.titles).decode()
    return {"subject": actor.subject, "role": actor.role, "titles": titles}


def _titles(row: RowMapping) -> tuple[str, ...]:
    return msgspec.json.decode(row["titles"], type=tuple[str, ...])


def _actor(row: RowMapping) -> Actor:
    return Actor(subject=row["subject"], role=row["role"], titles=_titles(row))
