"""Testers' ids that can be given back, for readers that compare ids themselves (Flipper's clients).

One rule: an id is kept only for who was scheduled while such a reader stood in the plan, and never longer than their
row in the vault: the database removes it with that row, and lets none in without it.

Each is encrypted by AES-256-GCM under a key derived from the vault key, bound to the reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Engine, ForeignKey, LargeBinary, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from services.database import kept

_NONCE_BYTES = 12
_ASKED_AT_ONCE = 500  # databases bound the number of parameters of one statement

vault_ids = Table(
    "vault_ids",
    kept,
    Column("reference", String(32), ForeignKey("vault.reference", ondelete="CASCADE"), primary_key=True),
    Column("id", LargeBinary, nullable=False),
)


class TesterIds:
    """The table `vault_ids`. Its methods do SQL: call them in a thread."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        self._engine = engine
        self._cipher = AESGCM(key)
        vault_ids.create(engine, checkfirst=True)

    def keep(self, reference: str, user: str) -> bool:
        """Keep the id of the vault's reference; once is enough. False: the vault has no such reference (any more)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, user.encode(), reference.encode())
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(vault_ids).values(reference=reference, id=sealed))
        except IntegrityError:
            return self.holds(reference)
        return True

    def holds(self, reference: str) -> bool:
        """Whether the id of this reference is kept."""
        with self._engine.connect() as connection:
            return connection.scalar(select(vault_ids.c.id).where(vault_ids.c.reference == reference)) is not None

    def given_back(self, references: Iterable[str]) -> dict[str, str]:
        """Reference -> the user's id; who was erased, or was never kept, is left out."""
        wanted = sorted(set(references))
        found: dict[str, str] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                part = wanted[start : start + _ASKED_AT_ONCE]
                for row in connection.execute(select(vault_ids).where(vault_ids.c.reference.in_(part))):
                    found |= self._opened(row.reference, row.id)
        return found

    def _opened(self, reference: str, sealed: bytes) -> dict[str, str]:
        """Nothing where the bytes are not what was kept for this reference: nobody else's id is given instead."""
        try:
            user = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], reference.encode())
        except InvalidTag:
            return {}
        return {reference: user.decode()}
