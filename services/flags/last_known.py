"""What a reader keeps on disk: the flags as they were last, and the latest time it answered for.

One rule: a file counts only if it is whole; its first line is the SHA-256 of the rest. Several processes may share the
folder: what is there is only replaced by what is later.
"""

from __future__ import annotations

import hashlib
import logging
import os
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from events.codec import NOT_JSON
from events.facts import UtcTime
from projections.flags import FlagSnapshot

logger = logging.getLogger("cutover.flags")
Kept = TypeVar("Kept")


class Flags(Struct, frozen=True):
    """All snapshots of the bucket at a position, and when (by the wall clock) they were known to be current."""

    revision: int
    at: UtcTime
    snapshots: tuple[FlagSnapshot, ...]


class Used(Struct, frozen=True):
    """The latest time that an answer was given for: it must not be later than the next one's."""

    until: UtcTime


class LastKnown:
    """Two small files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._flags = folder / "last-known-flags"
        self._used = folder / "last-used-time"
        folder.mkdir(parents=True, exist_ok=True)

    def flags(self) -> Flags | None:
        """The flags as kept; None: none, or not whole."""
        return _read(self._flags, Flags)

    def keep_flags(self, flags: Flags) -> None:
        there = self.flags()
        if there is None or (there.revision, there.at) <= (flags.revision, flags.at):
            _write(self._flags, flags)

    def used(self) -> datetime | None:
        """The latest time an answer was given for."""
        kept = _read(self._used, Used)
        return kept.until if kept else None

    def keep_used(self, until: datetime) -> None:
        there = self.used()
        if there is None or there <= until:
            _write(self._used, Used(until))


def _read(path: Path, kind: type[Kept]) -> Kept | None:
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        logger.error("%s is not whole: its first line is not the SHA-256 of the rest; it is not used", path)
        return None
    try:
        return msgspec.json.decode(body, type=kind)
    except NOT_JSON as error:
        logger.error("%s cannot be read, it is not used: %s", path, error)
        return None


def _write(path: Path, kept: Struct) -> None:
    """A whole new file takes the old one's place, and stays after a power cut."""
    body = msgspec.json.encode(kept)
    new = path.with_suffix(f".new-{os.getpid()}")
    with new.open("wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
