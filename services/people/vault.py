"""Who the testers are: the only place that knows, outside the log, and the only one that must forget.

One rule: the log holds a random reference and ciphertext; this table maps the HMAC of a user's id to the reference
and holds the tester's own key. Erasing a tester destroys both; the log still verifies and says nothing more.

The vault key lies in a file outside the database; nothing is done with it but to derive others (HKDF). One is for the
ids: a user's id is not stored here, only its HMAC-SHA256 (`tester_ids.py` keeps some beside). An application that
evaluates by itself gets that one (`hmac_key`), and can open nothing with it. Another wraps each tester's own key by
AES-256-GCM, bound to its reference. With a tester's key their texts are sealed (AES-256-SIV, RFC 5297: the same text
gives the same ciphertext, so a repeated command hashes alike). No row is cached: another process may erase it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec.structs import replace
from sqlalchemy import Column, DateTime, Engine, LargeBinary, String, Table, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from services.database import erasing, kept
from services.people.sealing import SessionCommand, covered
from services.people.tester_ids import TesterIds
from services.rollout.commands import Command, ScheduleSession
from services.secret_file import made_once

KEY_BYTES = 32
SEALED = "enc:"
ERASED = "erased"
"""What stands for a text that cannot be kept or read because its tester's key is gone."""

NOBODY_YET = "t-" + "0" * 16
"""What a dry run calls a tester whom the vault does not know: it must not make them known."""

_IDS = b"cutover vault: tester ids"
_KEYS = b"cutover vault 2: tester keys"  # 2: before it, ids were keyed with the vault key itself; such rows do not open
_READABLE = b"cutover vault: readable ids"
_ASKED_AT_ONCE = 500  # databases bound the number of parameters of one statement
_NONCE_BYTES = 12

vault = Table(
    "vault",
    kept,
    Column("hmac", String(64), primary_key=True),
    Column("reference", String(32), nullable=False, unique=True),
    Column("key", LargeBinary, nullable=False),
    Column("created", DateTime, nullable=False, server_default=func.now()),
)


class VaultError(Exception):
    """The vault cannot do it; the text says why and never whom it is about."""


class Erased(VaultError):
    """No key is held for this reference: it was erased, or never was one."""


def vault_key(path: Path) -> bytes:
    """The vault key, from a file (mode 0600) that the first use makes. Raises VaultError for a wrong length."""
    return _whole(path, made_once(path, lambda: secrets.token_bytes(KEY_BYTES)))


def held_vault_key(path: Path) -> bytes:
    """The vault key of a service that has been started. Raises VaultError when it cannot be read, and makes none."""
    try:
        return _whole(path, path.read_bytes())
    except OSError as error:
        raise VaultError(f"the vault key {path} cannot be read: {error.strerror}") from error


def _whole(path: Path, key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise VaultError(f"the vault key {path} must be {KEY_BYTES} bytes long; found {len(key)}")
    return key


def hmac_key(key: bytes) -> bytes:
    """The 32 bytes under which users' ids are HMACed, from the vault key. Who has them can tell which of the ids they
    know are testers'; they open nothing, and the vault key does not follow from them (HKDF-SHA256, RFC 5869)."""
    return _derived(key, _IDS)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(key)


class Vault:
    """The table `vault` under one key. Its methods do SQL: call them in a thread, all but `hmac` and `derived`."""

    def __init__(self, engine: Engine, key: bytes) -> None:
        """Raises VaultError when the key is not the one the stored testers were sealed with."""
        if len(key) != KEY_BYTES:
            raise VaultError(f"a vault key is {KEY_BYTES} bytes long; found {len(key)}")
        self._engine = engine
        self._hmac_key = hmac_key(key)
        self._wrapping = AESGCM(_derived(key, _KEYS))
        vault.create(engine, checkfirst=True)
        self._ids = TesterIds(engine, _derived(key, _READABLE))
        self._check_key()

    def hmac(self, user: str) -> str:
        """HMAC-SHA256 of the user's id (UTF-8) under the tester key, in hexadecimal. No I/O."""
        return hmac.digest(self._hmac_key, user.encode(), hashlib.sha256).hex()

    def derived(self, purpose: bytes) -> bytes:
        """32 bytes for another purpose, the same wherever the vault key is; they say nothing about it. No I/O."""
        return HKDF(SHA256(), 32, salt=None, info=purpose).derive(self._hmac_key)

    def reference(self, user: str) -> str:
        """The user's random reference; made at the first call, the same for ever until erased."""
        known = self._reference_of(user)
        return known if known is not None else self._create(user)

    def hmacs(self, references: Iterable[str]) -> dict[str, str]:
        """Reference -> HMAC of the user's id; erased and unknown references are left out."""
        wanted = sorted(set(references))
        found: dict[str, str] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _ASKED_AT_ONCE):
                part = wanted[start : start + _ASKED_AT_ONCE]
                rows = connection.execute(select(vault.c.reference, vault.c.hmac).where(vault.c.reference.in_(part)))
                found.update((row.reference, row.hmac) for row in rows)
        return found

    def keep_id(self, reference: str, user: str) -> None:
        """Keep the id itself of a tester whom a reader must be able to name. `user` is what they were scheduled by.

        Raises VaultError when that is only a reference whose id was never kept, Erased when the tester is.
        """
        if user == reference:
            if not self._ids.holds(reference):
                raise VaultError(
                    f"the plan's reader flipper has to be told the tester's id, and of {reference} none is kept: "
                    "schedule the session by the id of the user"
                )
        elif not self._ids.keep(reference, user):
            raise Erased(f"{reference} was erased just now")

    def ids(self, references: Iterable[str]) -> dict[str, str]:
        """Reference -> the user's id, where it was kept; for a caller that may see testers."""
        return self._ids.given_back(references)

    def erase(self, user: str) -> bool:
        """Destroy the user's row, key and kept id, on the disk too. False: there was none."""
        with erasing(self._engine) as connection:
            gone = connection.execute(delete(vault).where(vault.c.hmac == self.hmac(user)))
            return gone.rowcount > 0

    # -- commands on their way into the log

    def seal(self, command: Command, tester: str = "") -> Command:
        """The command as the log may hold it: no identity, no free text about a session.

        `tester` is the reference of the session that the command names; without one (there is no such session, so
        the command will be refused) its texts are dropped. Deterministic, and sealing twice changes nothing.
        Raises Erased when it holds what a tester said whose key is gone; a reason beside it becomes ERASED then.
        """
        if not isinstance(command, SessionCommand):
            return command
        if isinstance(command, ScheduleSession):
            command = replace(command, tester=self._tester(command))
            tester = command.tester if command.tester != NOBODY_YET else ""
        cover = _Cover(self, tester)
        return covered(command, cover.said, cover.beside)

    def holds(self, reference: str) -> bool:
        """Whether there still is a key for this reference."""
        return reference in self.hmacs((reference,))

    def known(self, user: str) -> str:
        """The reference of a user's id; "" when the vault knows nobody by it. Makes nobody known."""
        return self._reference_of(user) or ""

    def seal_text(self, reference: str, text: str) -> str:
        """The text under the tester's key, "enc:" and base64url. "" stays "". Raises Erased."""
        return _sealed(self._cipher(reference), reference, text) if text else ""

    def open_text(self, reference: str, text: str) -> str:
        """What was sealed for that reference; text that was never sealed comes back as it is.

        Raises Erased when the key is gone, VaultError when the text was not sealed for this reference.
        """
        if not text.startswith(SEALED):
            return text
        opened = _opened(self._cipher(reference), reference, text)
        if opened is None:
            raise VaultError(f"this text was not sealed for {reference}, or was changed")
        return opened

    # -- inside

    def _tester(self, command: ScheduleSession) -> str:
        """The reference; one that is in the vault already stands for itself (people see no other name)."""
        if not command.tester or command.tester in self.hmacs((command.tester,)):
            return command.tester
        if command.dry_run:
            return self._reference_of(command.tester) or NOBODY_YET
        return self.reference(command.tester)

    def _reference_of(self, user: str) -> str | None:
        with self._engine.connect() as connection:
            found: str | None = connection.scalar(select(vault.c.reference).where(vault.c.hmac == self.hmac(user)))
        return found

    def _create(self, user: str) -> str:
        """A new row; when another process was first, its reference is the user's."""
        reference = "t-" + secrets.token_hex(8)
        key = self._wrap(reference, AESSIV.generate_key(512))
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(vault).values(hmac=self.hmac(user), reference=reference, key=key))
        except IntegrityError:
            return self.reference(user)  # theirs; or our reference was taken, and the next try draws another
        return reference

    def _cipher(self, reference: str) -> AESSIV:
        with self._engine.connect() as connection:
            wrapped = connection.scalar(select(vault.c.key).where(vault.c.reference == reference))
        if wrapped is None:
            raise Erased(f"the vault holds no key for {reference}: it was erased")
        return AESSIV(self._unwrap(reference, wrapped))

    def _wrap(self, reference: str, key: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, key, reference.encode())

    def _unwrap(self, reference: str, wrapped: bytes) -> bytes:
        nonce, ciphertext = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return self._wrapping.decrypt(nonce, ciphertext, reference.encode())
        except InvalidTag as error:
            raise VaultError(
                f"the vault key does not open the key of {reference}: this is not the vault.key that the testers were "
                "sealed with, or a Cutover before 0.1.0 sealed them"
            ) from error

    def _check_key(self) -> None:
        """A lost and newly made key, or ids keyed in another way, would make every tester a stranger without a word."""
        with self._engine.connect() as connection:
            row = connection.execute(select(vault.c.reference, vault.c.key).limit(1)).first()
        if row is not None:
            self._unwrap(row.reference, row.key)


class _Cover:
    """One command's texts under its tester's key, which is fetched at the first text."""

    def __init__(self, safe: Vault, tester: str) -> None:
        self._safe = safe
        self._tester = tester
        self._cipher: AESSIV | None = None

    def said(self, text: str) -> str:
        """Sealed; "" without a tester. Raises Erased."""
        if not self._tester:
            return ""
        if self._cipher is None:
            self._cipher = self._safe._cipher(self._tester)
        return _sealed(self._cipher, self._tester, text)

    def beside(self, text: str) -> str:
        """The same, but nothing is refused for it: a window must close whether or not its reason can be kept."""
        try:
            return self.said(text)
        except Erased:
            return ERASED


def _sealed(cipher: AESSIV, reference: str, text: str) -> str:
    """Ciphertext; what already is ciphertext for this reference stays as it is."""
    if text.startswith(SEALED) and _opened(cipher, reference, text) is not None:
        return text
    return SEALED + base64.urlsafe_b64encode(cipher.encrypt(text.encode(), [reference.encode()])).decode()


def _opened(cipher: AESSIV, reference: str, text: str) -> str | None:
    try:
        data = base64.b64decode(text.removeprefix(SEALED).encode(), altchars=b"-_", validate=True)
        return cipher.decrypt(data, [reference.encode()]).decode()
    except (binascii.Error, InvalidTag, ValueError):
        return None
