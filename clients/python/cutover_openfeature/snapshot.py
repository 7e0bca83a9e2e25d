"""What the bucket holds: a rollout's snapshot under its id, and the mark `_position`.

One rule: this is the published format (docs/reference/flag-snapshot.md in Cutover's repository). Fields that are not
known here are ignored; a version that is not known here is not used.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

VERSIONS = (1, 2)
MARK = "_position"

UtcTime = Annotated[datetime, Meta(tz=True)]


class Unreadable(ValueError):
    """A value that cannot be answered from; the text says why."""


class Audience(Struct, frozen=True):
    """A group (by an attribute's values, or by ids; neither: every user), or a percentage of it."""

    percentage: float = 100.0
    group: str = ""
    attribute: str = ""
    any_of: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


class Exposure(Struct, frozen=True):
    """Who has the group on; an unknown `to` is an error, since nobody could say what it means."""

    to: Literal["nobody", "testers", "cohort", "percentage", "everyone"] = "nobody"
    audiences: tuple[Audience, ...] = ()


class Window(Struct, frozen=True):
    """When a tester has the group on: [opens, closes); closes None: until the window is taken away."""

    tester: str
    opens: UtcTime
    closes: UtcTime | None
    opened: bool = False


class Snapshot(Struct, frozen=True):
    """All that is needed to answer for one rollout's toggles at `revision`."""

    v: int
    rollout: str
    revision: int
    when: UtcTime
    phase: str
    toggles: tuple[str, ...]
    exposure: Exposure = Exposure()
    halted: bool = False
    windows: tuple[Window, ...] = ()
    testers: dict[str, str] = {}
    actor: str = "account"


class Mark(Struct, frozen=True):
    """Every snapshot up to `revision` is in the bucket."""

    revision: int


class _Version(Struct, frozen=True):
    v: int


_version = msgspec.json.Decoder(_Version)
_snapshot = msgspec.json.Decoder(Snapshot)
_mark = msgspec.json.Decoder(Mark)


def decode(data: bytes | msgspec.Raw) -> Snapshot:
    """A snapshot from the bucket's bytes. Raises Unreadable."""
    try:
        version = _version.decode(data).v
        if version not in VERSIONS:
            raise Unreadable(f"its version is {version}, this reader knows {VERSIONS}: install a newer one")
        return _snapshot.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def decode_mark(data: bytes) -> Mark:
    """The mark from the bucket's bytes. Raises Unreadable."""
    try:
        return _mark.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error
