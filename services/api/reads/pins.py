"""A pin: the revision and the time that answers are made for, as one word, `r12@1659096000000000`.

One rule: a pin fixes both, so that neither a record nor a tester's window that opens or closes in the middle of a page
load can mix its flags. The time is the last edge of a window (microseconds since 1970 in UTC; 0: there was none yet),
so that all processes give the same pin for the same answers.

An ETag, `"r12-5f0e..."`, names the revision too, and a hash of what was answered.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PIN = re.compile(r"r?([0-9]{1,18})(?:@([0-9]{1,18}))?")
_ETAG = re.compile(r'"r([0-9]{1,18})-[0-9a-f]+"')


class Pin(NamedTuple):
    """`time` None: only the revision is fixed, the time is now."""

    revision: int
    time: datetime | None = None

    def __str__(self) -> str:
        return f"r{self.revision}" if self.time is None else f"r{self.revision}@{(self.time - EPOCH) // _MICROSECOND}"


def parsed(text: str) -> Pin | None:
    """A pin, `r12` or `12`; None: it is none of ours."""
    found = _PIN.fullmatch(text)
    if found is None:
        return None
    revision, time = found.groups()
    try:
        return Pin(int(revision), None if time is None else EPOCH + int(time) * _MICROSECOND)
    except OverflowError:  # after the year 9999
        return None


def revision_of(etags: str) -> int:
    """The highest revision among ETags of ours in a header's value; 0: none is there."""
    return max((int(revision) for revision in _ETAG.findall(etags)), default=0)
