"""Flag reads by GET: what each may ask of its moment, and what each answer says of it.

One rule: these are fields of the query and headers, so that bodies stay as their protocols have them.
"""

from __future__ import annotations

from services.api.reads.moment import Moment, Wanted
from services.api.reads.pins import EPOCH, Pin, parsed, revision_of
from services.api.reads.wire import Headers, Read, Refused

READS = ("GET", "HEAD")


def wanted(read: Read) -> Wanted:
    """`?at=` (a pin), `?at_least=` (a revision, or a pin), and the revision of an ETag of ours in `If-None-Match`.

    Raises Refused for an `at_least` that is neither.
    """
    query = read.query if read.query_string else {}
    seen = read.headers.get(b"if-none-match", b"")
    least = Pin(revision_of(seen.decode("latin-1")) if seen else 0)
    if text := query.get("at_least", ""):
        told = parsed(text)
        if told is None:
            raise Refused("malformed", f"at_least must be a revision or a pin; found '{text[:40]}'")
        least = Pin(max(least.revision, told.revision), told.time)
    return Wanted(least.revision, least.time or EPOCH, query.get("at", ""))


def about(moment: Moment) -> Headers:
    """The revision and pin that an answer is for; and where it is the last known state, since when."""
    found = ((b"cutover-revision", b"%d" % moment.revision), (b"cutover-pin", moment.pin.encode()))
    if moment.stale_since is None:
        return found
    return (*found, (b"cutover-stale-since", moment.stale_since.isoformat().encode()))
