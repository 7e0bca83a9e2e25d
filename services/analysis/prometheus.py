"""Prometheus by its HTTP API: one question, one answer or words about why there is none.

One rule: an answer is kept with the bytes it came as, because they are evidence; nothing is judged here. Queries
travel in the body of a POST, so that no proxy logs them.
Source: https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import httpx
import msgspec
from msgspec import Struct

from events.codec import NOT_JSON

TIMEOUT = 5.0  # seconds for one question
MOST_BYTES = 32 * 1024 * 1024
RAW = 2048  # bytes of an answer kept as evidence
SHOWN = 160  # characters of a wrong answer in words


class Series(Struct, frozen=True):
    """One series: its labels, and its points (Unix seconds, value)."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Answer(Struct, frozen=True, dict=True):
    """What the server found."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...]
    body: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def raw(self) -> str:
        """The first 2 KiB as text."""
        return self.body[:RAW].decode("utf-8", "replace")


class NoAnswer(Exception):
    """The server could not be asked, or said no. The text is for people; `body` is what came instead."""

    def __init__(self, text: str, body: bytes = b"") -> None:
        super().__init__(text)
        self.body = body


class _Result(Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: tuple[tuple[float, str], ...] = ()


class _Data(Struct):
    resultType: Literal["vector", "matrix", "scalar", "string"]
    result: Any


class _Envelope(Struct):
    status: str
    data: _Data | None = None
    error: str = ""
    errorType: str = ""
    warnings: tuple[str, ...] = ()


_envelopes = msgspec.json.Decoder(_Envelope)


class Prometheus:
    """A server at `url` (`http://user:password@host:9090/prefix` is possible); `token` goes as Bearer."""

    def __init__(self, url: str, token: str = "", *, timeout: float = TIMEOUT) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        where = httpx.URL(url.rstrip("/"))
        who = (where.username, where.password) if where.username else None
        bare = where.copy_with(username=None, password=None)  # an address is logged, a password must not be
        self._timeout = timeout
        self._http = httpx.AsyncClient(base_url=bare, headers=headers, auth=who, timeout=timeout)

    async def close(self) -> None:
        await self._http.aclose()

    async def query(self, query: str, at: datetime) -> Answer:
        """The query's value at one instant. Raises NoAnswer."""
        return await self._ask("/api/v1/query", {"query": query, "time": f"{at.timestamp():.3f}"})

    async def query_range(self, query: str, start: float, end: float, step: float) -> Answer:
        """The query's values at start, start + step, .. up to end (Unix seconds). Raises NoAnswer."""
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return await self._ask("/api/v1/query_range", asked)

    async def _ask(self, path: str, asked: dict[str, str]) -> Answer:
        form = {**asked, "timeout": f"{self._timeout:g}s"}
        try:
            async with self._http.stream("POST", path, data=form) as response:
                body = await _bounded(response)
        except httpx.TimeoutException:
            raise NoAnswer(f"Prometheus gave no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"Prometheus cannot be reached: {error or type(error).__name__}") from None
        return _answer(response.status_code, response.headers.get("content-type", ""), body)


async def _bounded(response: httpx.Response) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise NoAnswer(f"Prometheus answered with more than {MOST_BYTES} bytes: the query finds too much")
    return b"".join(parts)


def _answer(status: int, kind: str, body: bytes) -> Answer:
    """The answer in the body. Raises NoAnswer with what the server said instead."""
    try:
        envelope = _envelopes.decode(body)
    except NOT_JSON:
        said = " ".join(body[:SHOWN].decode("utf-8", "replace").split())
        kind = kind.partition(";")[0] or "no content type"
        raise NoAnswer(f"expected JSON from Prometheus, found {kind} with status {status}: {said!r}", body) from None
    if envelope.status != "success" or envelope.data is None or status != 200:
        why = f"{envelope.errorType}: {envelope.error}" if envelope.error else f"status {envelope.status!r}"
        raise NoAnswer(f"Prometheus refused the query ({status}): {why[:SHOWN]}", body)
    try:
        return Answer(_series(envelope.data), envelope.warnings, body)
    except (msgspec.ValidationError, ValueError) as error:
        raise NoAnswer(f"Prometheus answered with what is no result: {error}"[:SHOWN], body) from None


def _series(data: _Data) -> tuple[Series, ...]:
    if data.resultType == "string":
        raise ValueError("a text instead of a number")
    if data.resultType == "scalar":
        at, value = msgspec.convert(data.result, tuple[float, str])
        return (Series({}, ((at, float(value)),)),)
    found = msgspec.convert(data.result, list[_Result])
    return tuple(Series(one.metric, _points(one)) for one in found)


def _points(one: _Result) -> tuple[tuple[float, float], ...]:
    pairs = one.values if one.value is None else (one.value,)
    return tuple((at, float(value)) for at, value in pairs)
