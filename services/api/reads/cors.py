"""What pages of other origins may ask, and may read of the answer (the Fetch standard's CORS protocol).

One rule: a page without a token gets nothing by it that anybody else would not get. OFREP is asked with a token in a
header, so any origin may; VA.gov's endpoint is asked "with credentials", so the origin is named, not `*`.
"""

from __future__ import annotations

from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

WITH_CREDENTIALS = "/v0/"
METHODS = b"GET, HEAD, POST, OPTIONS"
ALLOWED = (
    b"authorization, content-type, if-none-match, x-api-key, x-key-inflection, source-app-name, x-csrf-token, "
    b"last-event-id, cache-control"
)
EXPOSED = b"ETag, Retry-After, Cutover-Revision, Cutover-Pin, Cutover-Stale-Since"
_ANY: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED),
)
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", ALLOWED),
    (b"access-control-max-age", b"600"),
)


def headers(path: str, origin: bytes) -> Headers:
    """What goes with every answer to a page of this origin."""
    if not path.startswith(WITH_CREDENTIALS):
        return _ANY
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"origin"),
    )


def preflight() -> Headers:
    """What goes with the answer to OPTIONS besides."""
    return _PREFLIGHT
