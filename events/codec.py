"""Bytes <-> Record, and the subjects they travel on.

One rule: stored bytes are never re-encoded. A hash is always of the bytes as they were read. What is read from them
holds no U+0000, which PostgreSQL cannot keep: everybody reads U+FFFD instead, so that tables and checks agree.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from events.facts import Attempt, Record

VERSION = 1
LOG_SUBJECT = "rollouts.log."
COMMAND_SUBJECT = "rollouts.command."
ATTEMPT_SUBJECT = "rollouts.attempts."

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, or not of the type that is asked for."""

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")  # an escape, and no backslash that stands before "u0000"
_records = msgspec.json.Decoder(Record)
_attempts = msgspec.json.Decoder(Attempt)
_encoder = msgspec.json.Encoder()


class Unreadable(ValueError):
    """Stored bytes that are not a record of a version this program knows."""


def encode(value: Record | Attempt) -> bytes:
    """JSON in UTF-8, fields in the order of the struct, defaults left out."""
    return _encoder.encode(value)


def without_nul(data: bytes) -> bytes:
    """JSON as it is, but with U+FFFD for every U+0000 in its texts; the same object where there is none."""
    if rb"\u0000" not in data:
        return data
    return _NUL.sub(rb"\1" + "\ufffd".encode(), data)


def holds_nul(data: bytes) -> bool:
    """Whether a text in this JSON holds U+0000."""
    return without_nul(data) != data


def decode(data: bytes) -> Record:
    """A record from its stored bytes; `Unreadable` names what is wrong with them."""
    try:
        record = _records.decode(without_nul(data))
    except NOT_JSON as error:
        raise Unreadable(f"not a record: {error}; found {data[:80]!r}") from error
    if record.v != VERSION:
        raise Unreadable(f"a record of version {record.v}; this program knows version {VERSION}")
    return record


def decode_attempt(data: bytes) -> Attempt:
    """A refused attempt from its stored bytes."""
    try:
        return _attempts.decode(without_nul(data))
    except NOT_JSON as error:
        raise Unreadable(f"not an attempt: {error}; found {data[:80]!r}") from error


def digest(data: bytes) -> str:
    """SHA-256 of the bytes, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def log_subject(rollout: str) -> str:
    """The subject on which this rollout's records are stored."""
    return LOG_SUBJECT + rollout


def command_subject(rollout: str) -> str:
    """The subject on which this rollout's commands are asked (request/reply)."""
    return COMMAND_SUBJECT + rollout


def attempt_subject(rollout: str) -> str:
    """The subject on which refused attempts at this rollout are kept."""
    return ATTEMPT_SUBJECT + rollout


def rollout_of(subject: str) -> str:
    """The rollout a subject of ours is about: its last token."""
    return subject.rsplit(".", 1)[-1]
