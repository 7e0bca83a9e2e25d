"""Signed notes and their keys, as C2SP defines them: https://c2sp.org/signed-note (Ed25519, signature type 0x01).

One rule: a signature counts only if its key's name and hash are those of a key one trusts; others are passed over, and
one that claims to be of a trusted key and is not makes the whole note worthless.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
PRIVATE = "PRIVATE+KEY+"  # as Go's sumdb/note writes signers
_NAME = re.compile(r"[^\s+]+")
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class BadNote(ValueError):
    """A text that is not a signed note or a key, or a signature that is not one. The text says what is wrong."""


class Verifier(NamedTuple):
    """A public key and its name; `str` of it is the C2SP vkey `name+hash+key`."""

    name: str
    public: bytes

    @property
    def hash(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || type || key)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


class Signer(NamedTuple):
    """A private key (the 32-byte seed) and its name; `str` of it is the text that the key file holds."""

    name: str
    seed: bytes

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def __str__(self) -> str:
        return f"{PRIVATE}{self.name}+{self.verifier.hash.hex()}+{base64.b64encode(ED25519 + self.seed).decode()}"


def new_signer(name: str) -> Signer:
    """A key nobody else has."""
    return Signer(name, Ed25519PrivateKey.generate().private_bytes_raw())


def read_verifier(text: str) -> Verifier:
    """A vkey's text; BadNote for anything else."""
    name, found, key = _key(text)
    verifier = Verifier(name, key)
    if verifier.hash != found:
        raise BadNote(f"the key of {name!r} does not have the hash {found.hex()} that stands beside it")
    return verifier


def read_signer(text: str) -> Signer:
    """The text of a key file; BadNote for anything else, never saying it."""
    if not text.startswith(PRIVATE):
        raise BadNote(f"not a private key: expected a text that begins with {PRIVATE}")
    name, found, seed = _key(text.removeprefix(PRIVATE))
    signer = Signer(name, seed)
    if signer.verifier.hash != found:
        raise BadNote(f"the private key of {name!r} does not have the hash that stands beside it")
    return signer


def _key(text: str) -> tuple[str, bytes, bytes]:
    """Name, hash and the 32 bytes of the key."""
    parts = text.strip().split("+", 2)
    try:
        name, found, key = parts[0], bytes.fromhex(parts[1]), base64.b64decode(parts[2], validate=True)
    except (IndexError, ValueError, binascii.Error):
        raise BadNote("not a key: expected name+hash+base64") from None
    if not _NAME.fullmatch(name) or len(found) != 4 or len(key) != 33 or key[:1] != ED25519:
        raise BadNote("not a key: expected name+hash+base64 of an Ed25519 key (type 1, 32 bytes)")
    return name, found, key[1:]


def sign(text: str, signers: Iterable[Signer]) -> str:
    """The note: the text (lines, each with its end), a blank line, and a signature line of each signer."""
    if not text.endswith("\n") or "\n\n" in text or text.startswith("\n"):
        raise BadNote("a note's text is lines that are not empty, each with its end")
    lines = []
    for signer in signers:
        signature = Ed25519PrivateKey.from_private_bytes(signer.seed).sign(text.encode())
        lines.append(f"— {signer.name} {base64.b64encode(signer.verifier.hash + signature).decode()}\n")
    return f"{text}\n{''.join(lines)}"


class Note(NamedTuple):
    """A note as it came, its signatures not yet checked: (name, key hash, signature)."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signed_by(self, verifier: Verifier) -> bool:
        """Whether it bears this key's signature; BadNote if it claims to and does not."""
        for name, found, signature in self.signatures:
            if (name, found) == (verifier.name, verifier.hash):
                try:
                    Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, self.text.encode())
                except (InvalidSignature, ValueError):
                    raise BadNote(f"the signature of {name}+{found.hex()} does not fit the text") from None
                return True
        return False


def read_note(note: str) -> Note:
    """A note's parts; BadNote for what is not one."""
    head, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise BadNote("not a signed note: expected a text, a blank line and signatures")
    signatures = []
    for line in tail[:-1].split("\n"):
        match = _LINE.fullmatch(line)
        try:
            raw = base64.b64decode(match[2], validate=True) if match else b""
        except binascii.Error:
            raw = b""
        if match is None or len(raw) < 5:
            raise BadNote(f"not a signature line: {line[:80]!r}")
        signatures.append((match[1], raw[:4], raw[4:]))
    return Note(head + "\n", tuple(signatures))
