"""What a flag read may ask of its moment, and what an answer by GET says of it.

One rule: these are fields of the query and headers, the same for every protocol, so that bodies stay as they are.
"""

from __future__ import annotations

from services.api.reads.moment import ANY, Moment, Wanted
from services.api.reads.pins import EPOCH, Pin, parsed, revision_of
from services.api.reads.wire import Headers, Read, Refused

READS = ("GET", "HEAD")


def wanted(read: Read, pin: str = "") -> Wanted:
    """Exactly `?at=` (a pin; without it `pin`, which came some other way), and nothing older than the client knows of:
    by `?at_least=` (a revision, or a pin), by an ETag of ours in `If-None-Match`, and by OFREP's `?flagConfigEtag=`,
    which an event of the stream has told.

    Raises Refused for an `at_least` that is neither. An ETag that is none of ours says nothing.
    """
    etags = read.headers.get(b"if-none-match", b"")
    if not (etags or read.query_string):
        return Wanted(pin=pin) if pin else ANY
    query = read.query if read.query_string else {}
    known = [Pin(revision_of(etags.decode("latin-1")))]
    if text := query.get("at_least", ""):
        known.append(_at_least(text))
    if text := query.get("flagConfigEtag", ""):
        known.append(parsed(text.strip('"')) or Pin(revision_of(text)))
    revision, time = max(each.revision for each in known), max(each.time or EPOCH for each in known)
    return Wanted(revision, time, query.get("at", "") or pin)


def _at_least(text: str) -> Pin:
    found = parsed(text)
    if found is None:
        raise Refused("malformed", f"at_least must be a revision or a pin; found '{text[:40]}'")
    return found


def about(moment: Moment) -> Headers:
    """The revision and pin that an answer is for; and where it is the last known state, since when."""
    found = ((b"cutover-revision", b"%d" % moment.revision), (b"cutover-pin", moment.pin.encode()))
    if moment.stale_since is None:
        return found
    return (*found, (b"cutover-stale-since", moment.stale_since.isoformat().encode()))
