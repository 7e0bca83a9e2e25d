"""The last known state in a file, so that a restart while NATS is away starts stale instead of cold.

One rule: a file counts only if it is whole; its first line is the SHA-256 of the rest. A later state stays there.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

logger = logging.getLogger("cutover.openfeature")


class Kept(Struct, frozen=True):
    """The bucket's values as they came, the revision they are known up to, and (in seconds since 1970) when they were
    last known to be current and the latest time that was answered for."""

    revision: int
    alive: float
    used: float
    values: tuple[msgspec.Raw, ...]


def read(path: Path) -> Kept | None:
    """What is kept there; None: nothing, or not whole."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() == digest:
            return msgspec.json.decode(body, type=Kept)
        logger.error("%s is not whole: its first line is not the SHA-256 of the rest; it is not used", path)
    except FileNotFoundError:
        pass
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        logger.error("%s cannot be read and is not used: %s", path, error)
    return None


def write(path: Path, kept: Kept) -> None:
    """A whole new file, readable by its owner alone, takes an older one's place. Trouble is logged."""
    if (there := read(path)) and there.revision > kept.revision:
        return
    body = msgspec.json.encode(kept)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        logger.error("the flags cannot be kept in %s: %s", path, error)
