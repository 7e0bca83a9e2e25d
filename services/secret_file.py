"""A secret in a file of its own: readable by its owner alone, made once, never overwritten.

One rule: of two processes that make the same file one wins, and both read what the winner wrote, whole.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def made_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """The file's bytes; when there is none, `make()` is written to it first, with mode 0600."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write(draft, make())
            _publish(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    """A new file (O_EXCL) that has reached the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _publish(draft: Path, path: Path) -> None:
    """Give the finished file its name, unless somebody was first: a link, unlike a rename, never replaces."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
