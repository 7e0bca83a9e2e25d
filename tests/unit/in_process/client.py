"""A provider without a server: it is fed the bucket's values by hand, and its clocks are moved by hand."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path

from cutover_openfeature import CutoverProvider
from cutover_openfeature.known import Known

from projections.flags import FlagSnapshot, encode
from services.flags.marks import Mark, encode_mark
from tests.histories import START

KEY = bytes(range(32))


def hmac_of(user: str) -> str:
    """As the vault does it."""
    return hmac.digest(KEY, user.encode(), hashlib.sha256).hex()


class Clock:
    """A wall clock and a monotonic one."""

    def __init__(self) -> None:
        self.wall = START
        self.monotonic = 0.0

    def forward(self, seconds: float) -> None:
        """Both move on."""
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


class Fed:
    """`provider`, and what the watch would do to it."""

    def __init__(self, *snapshots: FlagSnapshot, key: bytes | None = KEY, file: Path | None = None) -> None:
        self.clock = Clock()
        self.provider = CutoverProvider(tester_key=key, keep_in=file, wall=self.seconds)
        self.known: Known = self.provider._known
        self.known._clock.monotonic = lambda: self.clock.monotonic
        self._marks = 0
        if snapshots:
            self.feed(*snapshots)

    def seconds(self) -> float:
        return self.clock.wall.timestamp()

    def feed(self, *snapshots: FlagSnapshot) -> None:
        """The values, and a mark behind them."""
        for snapshot in snapshots:
            self.known.value(snapshot.rollout, encode(snapshot))
        self.mark(max((s.revision for s in snapshots), default=0))

    def mark(self, revision: int) -> None:
        self._marks += 1
        self.known.mark(encode_mark(Mark(revision, START, "")), self._marks)
        self.known.caught_up()
