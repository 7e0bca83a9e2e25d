"""OFREP 0.3.0, the OpenFeature Remote Evaluation Protocol: one flag, or all of them, for a context.

One rule: one moment, one answer. Every body that says no has `key`, `errorCode` and `errorDetails`, because that is
what the clients read. Source: open-feature/protocol, service/openapi.yaml.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec

from projections.flags import Answer, FlagSnapshot
from services.api.bodies import Disconnected
from services.api.reads import cors
from services.api.reads.context import Context, context_of
from services.api.reads.getting import wanted
from services.api.reads.moment import Moment, Moments
from services.api.reads.stream import Stream
from services.api.reads.tickets import Tickets
from services.api.reads.who import Readers
from services.api.reads.wire import Read, Refused, Reply

logger = logging.getLogger("cutover.flags")

FLAGS = "/ofrep/v1/evaluate/flags"
ONE = FLAGS + "/"
EVENTS = "/ofrep/v1/events"
INACTIVITY = 120  # seconds that a hidden page goes on listening
_CODES = {"malformed": "PARSE_ERROR", "context": "INVALID_CONTEXT", "not-found": "FLAG_NOT_FOUND"}
_POST = ((b"allow", b"POST, OPTIONS"),)
_GET = ((b"allow", b"GET, HEAD, OPTIONS"),)
_encode = msgspec.json.encode


class Ofrep:
    """The paths under `/ofrep/`."""

    def __init__(self, moments: Moments, readers: Readers, tickets: Tickets, stream: Stream) -> None:
        self._moments = moments
        self._readers = readers
        self._tickets = tickets
        self._stream = stream

    async def handle(self, read: Read) -> Reply:
        """The answer, whatever was sent."""
        try:
            return await self._handle(read)
        except Refused as refused:
            return _no(read, refused.status, _CODES.get(refused.slug, "GENERAL"), refused.words, refused.headers)
        except Disconnected:
            raise
        except Exception:
            logger.exception("%s %s failed", read.method, read.path)
            return _no(read, 500, "GENERAL", "something is wrong with the service; its own log says what")

    async def _handle(self, read: Read) -> Reply:
        if read.path.startswith(ONE) or read.path == FLAGS:
            if read.method == "POST":
                return await self._evaluated(read)
            if read.method != "OPTIONS":
                raise Refused("method-not-allowed", "flags are evaluated by POST", _POST)
            return Reply(204, headers=(*_POST, *cors.preflight()))
        if read.path == EVENTS:
            if read.method in ("GET", "HEAD"):
                return await self._stream.open(read)
            if read.method != "OPTIONS":
                raise Refused("method-not-allowed", "the stream of changes is read by GET", _GET)
            return Reply(204, headers=(*_GET, *cors.preflight()))
        raise Refused("not-found", f"there is nothing here; flags are evaluated at {FLAGS}")

    async def _evaluated(self, read: Read) -> Reply:
        who = await self._readers.known(read.headers)
        context = context_of(await read.body())
        moment = await self._moments.get(wanted(read, context.pin))
        if read.path != FLAGS:
            return _one(moment, read.path[len(ONE) :], context)
        ticket = self._tickets.made_for(who.subject)
        return _all(moment, context, ticket, read.headers.get(b"if-none-match", b"").decode("latin-1"))


# -- one flag


def _one(moment: Moment, key: str, context: Context) -> Reply:
    snapshot = moment.of_toggle(key)
    if snapshot is None:
        raise Refused("not-found", f"no rollout has the toggle '{key[:250]}'")
    found = moment.answer(snapshot, context.user, context.attributes)
    return moment.once(("ofrep", key, found), lambda: _made_one(moment, snapshot, key, found))


def _made_one(moment: Moment, snapshot: FlagSnapshot, key: str, found: Answer) -> Reply:
    more = {"revision": moment.revision, "version": f"r{moment.revision}", "pin": moment.pin}
    return Reply(200, _encode(_flag(moment, snapshot, key, found, more)))


def _flag(moment: Moment, snapshot: FlagSnapshot, key: str, found: Answer, more: dict[str, Any]) -> dict[str, Any]:
    """One flag as OFREP has it. `more` is metadata; it names the moment only where the flag stands alone."""
    metadata = {"rollout": snapshot.rollout, **more}
    reason: str = found.reason
    if moment.stale_since is not None:
        metadata |= {"staleSince": moment.stale_since.isoformat(), "lastReason": reason}
        reason = "STALE"
    return {"key": key, "value": found.value, "reason": reason, "variant": found.variant, "metadata": metadata}


# -- all flags


def _all(moment: Moment, context: Context, ticket: str, if_none_match: str) -> Reply:
    """The ticket is in the hash too: a client that never saw but 304 would come with one that has expired."""
    found = tuple(moment.answer(s, context.user, context.attributes) for s in moment.snapshots.values())
    reply, unchanged, digest = moment.once(("ofrep", found, ticket), lambda: _made_all(moment, found, ticket))
    return unchanged if if_none_match and same_answer(if_none_match, digest) else reply


def same_answer(if_none_match: str, digest: str) -> bool:
    """Whether the client has this very answer. A record that changed nothing for it is no reason to send it again."""
    return any(etag.strip().rstrip('"').endswith(f"-{digest}") for etag in if_none_match.split(","))


def _made_all(moment: Moment, found: tuple[Answer, ...], ticket: str) -> tuple[Reply, Reply, str]:
    """The answer, the one to a client that has it, and what tells whether it has."""
    body, digest = _bulk(moment, found, ticket)
    headers = ((b"etag", b'"r%d-%s"' % (moment.revision, digest.encode())),)
    return Reply(200, body, headers), Reply(304, headers=headers), digest


def _bulk(moment: Moment, found: tuple[Answer, ...], ticket: str) -> tuple[bytes, str]:
    """The body, and the hash of what matters in it: all but the revision."""
    flags = [
        _flag(moment, snapshot, key, answer, {})
        for snapshot, answer in zip(moment.snapshots.values(), found, strict=True)
        for key in snapshot.toggles
    ]
    metadata: dict[str, Any] = {"version": f"r{moment.revision}", "revision": moment.revision, "pin": moment.pin}
    if moment.stale_since is not None:
        metadata["staleSince"] = moment.stale_since.isoformat()
    where = {"requestUri": f"{EVENTS}?ticket={ticket}"}
    streams = [{"type": "sse", "endpoint": where, "inactivityDelaySec": INACTIVITY}]
    digest = hashlib.sha256(_encode([flags, ticket])).hexdigest()[:16]
    return _encode({"flags": flags, "metadata": metadata, "eventStreams": streams}), digest


# -- no


def _no(read: Read, status: int, code: str, words: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    key = read.path[len(ONE) :][:250] if read.path.startswith(ONE) else ""
    return Reply(status, _encode({"key": key, "errorCode": code, "errorDetails": words}), headers)
