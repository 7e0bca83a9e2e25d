"""Files that commands write.

One rule: a file under its own name is whole, and its owner's alone (0600): what testers said may be in it. It is
written beside it and renamed at its end, so what broke off is never taken for all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from services.client import CannotAsk


def write_whole(file: Path, pieces: Iterable[bytes]) -> int:
    """The pieces into the file; its size in bytes. Raises CannotAsk with the file's name where it cannot be written."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as draft:
            size = sum(draft.write(piece) for piece in pieces)
        part.replace(file)
    except OSError as error:
        raise CannotAsk(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return size
