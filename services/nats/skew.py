"""How far this machine's clock is from the NATS server's.

One rule: windows open and close by the clock, so a process whose clock is wrong says so and is not ready.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from nats.aio.client import Client

from services.log.streams import ROLLOUTS

ALLOWED = 2.0  # seconds


class _Info(msgspec.Struct):
    """The part of STREAM.INFO that we look at: the server's time."""

    ts: datetime


async def skew_problem(connection: Client, now: Callable[[], datetime]) -> list[str]:
    """One sentence when the clocks differ by more than two seconds; the round trip counts for neither."""
    asked = now()
    answer = await connection.request(f"$JS.API.STREAM.INFO.{ROLLOUTS}", b"", timeout=5)
    got = now()
    server = msgspec.json.decode(answer.data, type=_Info).ts.astimezone(UTC)
    off = max((asked - server).total_seconds(), (server - got).total_seconds(), 0.0)
    if off <= ALLOWED:
        return []
    return [f"this machine's clock is {off:.1f} s off the NATS server's ({got:%H:%M:%S}, there {server:%H:%M:%S} UTC)"]
