"""The mark: how far the projector has come. The bucket's key `_position` holds it, and says that somebody is alive.

One rule: it is written after the snapshots it speaks of, so who reads it in the bucket's order has them all. The last
of those snapshots carries it as well: whoever follows the bucket need not wait for another message.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from events.facts import UtcTime

MARK = "_position"  # no rollout's id begins with _
HEADER = "Cutover-Position"  # of a snapshot: the mark that holds with it


class Mark(Struct, frozen=True):
    """All snapshots up to `revision` are in the bucket; `hash` is that of the record there. At least every second."""

    revision: int
    when: UtcTime
    hash: str


_marks = msgspec.json.Decoder(Mark)


def encode_mark(mark: Mark) -> bytes:
    """The mark as the bucket holds it."""
    return msgspec.json.encode(mark)


def decode_mark(data: bytes) -> Mark:
    """A mark from the bucket's bytes; raises one of NOT_JSON (events/codec.py)."""
    return _marks.decode(data)
