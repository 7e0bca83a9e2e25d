"""What can come of sending something to a receiver over HTTP.

One rule: only an answer that the same request would get again is final; everything else is tried again, when the
receiver says, or later and later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol

import httpx

from services.herald.news import Message

LIMIT = 10.0  # seconds for one request and its whole answer
MOST_BYTES = 16 * 1024 * 1024  # of an answer: a hundred issues of the longest kind fit
LONGEST = 3600.0  # seconds that a receiver may make us wait
SECONDARY = 60.0  # seconds where a limit names no time: what GitHub asks for in that case
_LATER = (408, 425)


class Sent(NamedTuple):
    """It is there; `url` is where, if the receiver says so."""

    url: str = ""


class NotSent(NamedTuple):
    """It cannot be sent, and trying again would not help."""

    why: str


class Again(NamedTuple):
    """It may or may not have arrived. `after`: the seconds that the receiver asks for, None: it does not say."""

    why: str
    after: float | None = None


Outcome = Sent | NotSent | Again


class Receiver(Protocol):
    """Somewhere that messages go."""

    async def deliver(self, message: Message, issue: str) -> Outcome:
        """Send it once, unless it is there already. `issue` is the link of its GitHub issue, if there is one."""
        ...


async def asked(client: httpx.AsyncClient, method: str, url: str, **request: object) -> httpx.Response | Again:
    """One request, answered in full within the limit; a lost connection or a silent receiver is worth another try. The
    URL is never named: it may be a secret (a webhook's is)."""
    try:
        async with asyncio.timeout(LIMIT), client.stream(method, url, timeout=LIMIT, **request) as response:  # type: ignore[arg-type]
            return await _read(response)
    except (TimeoutError, httpx.TimeoutException) as error:
        return Again(f"no answer within {LIMIT:g} s ({type(error).__name__})")
    except httpx.TransportError as error:
        return Again(f"the connection failed ({type(error).__name__})")


async def _read(response: httpx.Response) -> httpx.Response | Again:
    """The answer with its body; no receiver of ours has more to say than so many bytes."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            return Again(f"answered {response.status_code} with more than {MOST_BYTES} bytes")
    headers = [(name, value) for name, value in response.headers.multi_items() if name != "content-encoding"]
    return httpx.Response(response.status_code, headers=headers, content=b"".join(parts))


def refused(response: httpx.Response, says: str = "") -> Again | NotSent:
    """What an answer that is no success means."""
    why = f"answered {response.status_code}{f': {says}' if says else ''}"
    wait = wait_of(response.headers)
    if response.status_code == 429 or (response.status_code == 403 and _limited(response.headers, says)):
        return Again(why, SECONDARY if wait is None else wait)
    if response.status_code in _LATER or response.status_code >= 500:
        return Again(why, wait)
    return NotSent(why)


def _limited(headers: Mapping[str, str], says: str) -> bool:
    """A 403 may be a rate limit: it says how long, or that nothing remains, or so in words."""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0" or "rate limit" in says.lower()


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds until the receiver wants to hear from us again, at most an hour."""
    if (text := headers.get("retry-after")) is not None:
        return _bounded(_seconds(text))
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        return _bounded(float(headers["x-ratelimit-reset"]) - time.time())
    return None


def _seconds(text: str) -> float | None:
    """Retry-After in both its forms (RFC 9110): seconds, or a date."""
    if text.strip().isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 0.0), LONGEST)
