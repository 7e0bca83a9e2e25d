"""Server-sent events as bytes: written by the service, read by its clients.

One rule: an event's id is a revision, and an id without data moves a reader's place without telling anything.
Source: the HTML standard, 9.2 "Server-sent events" (parsing and interpreting an event stream).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MEDIA_TYPE = "text/event-stream"
_ID = re.compile(r"[0-9]{1,18}")


class Told(NamedTuple):
    """One event as it was read. `id` is the last one seen ("": none yet), `event` is "message" unless it says else."""

    id: str
    event: str
    data: str


def written(revision: int, data: bytes, event: str = "") -> bytes:
    """One event. `data` is one line (JSON as msgspec writes it); `event` "": a message."""
    kind = b"event: %b\n" % event.encode() if event else b""
    return b"id: %d\n%bdata: %b\n\n" % (revision, kind, data)


def place(revision: int) -> bytes:
    """No event, only where the reader stands: what it asks for when it comes back."""
    return b"id: %d\n\n" % revision


def opening(revision: int, retry: int) -> bytes:
    """The beginning of a stream: come back after `retry` milliseconds, and from here."""
    return b"retry: %d\n%b" % (retry, place(revision))


def read(chunks: Iterable[bytes]) -> Iterator[Told]:
    """Every event of a stream, and (with "" as data) every id that comes without one.

    `chunks` are its bytes, cut anywhere. An event cut off in the middle is dropped, as the standard says.
    """
    event, data, id_ = "", list[str](), ""
    for line in _lines(chunks):
        if not line:
            yield Told(id_, event or "message", "\n".join(data))
            event, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and _ID.fullmatch(value):
            id_ = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines end in a line feed, as `written` ends them. (`str.splitlines` would cut at U+2028, which JSON may hold.)"""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode()
