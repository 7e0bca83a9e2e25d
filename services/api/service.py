"""What the HTTP API stands on.

One rule: handlers reach everything through one `Service`; nothing here is global, so a test makes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import litestar

from events.signals import Origin, Outcome
from projections.flags import FlagSnapshot
from services.analysis.readings import Kept as KeepsReadings
from services.engine.messages import Ask
from services.flags.states import FlagState
from services.intake.store import Kept, Listed
from services.log.protocol import Log
from services.notary.kept import CheckpointStream
from services.people.testers import Testers
from services.people.tokens import Tokens
from services.people.vault import Vault
from services.record_feed import RecordFeed
from services.views.views import Views

Request: TypeAlias = litestar.Request[Any, Any, Any]


class ReadsFlags(Protocol):
    """The flag bucket as it is held in memory: no question does I/O, but `wait_for` waits."""

    @property
    def state(self) -> FlagState: ...

    def past(self, revision: int, /) -> FlagState | None: ...

    def listen(self, listener: Callable[[], None], /) -> Callable[[], None]: ...

    def snapshot(self, rollout: str) -> FlagSnapshot | None: ...

    def all(self) -> Mapping[str, FlagSnapshot]: ...

    def time(self) -> datetime: ...

    @property
    def position(self) -> int: ...

    @property
    def cold(self) -> bool: ...

    @property
    def stale_since(self) -> datetime | None: ...

    async def wait_for(self, revision: int, patience: float, /) -> bool: ...


class KeepsSignals(Protocol):
    """The signals and what each led to."""

    async def keep(self, kind: str, headers: Mapping[str, str], body: bytes, origin: Origin, by: str) -> Kept: ...

    async def waiting(self) -> int: ...

    async def outcome_of(self, origin: Origin) -> Outcome | None: ...

    async def latest(self, count: int) -> Listed: ...


@dataclass(frozen=True)
class Notarized:
    """The log with its checkpoints, and the folder of the notary's public key."""

    log: Log
    kept: CheckpointStream
    data: Path


@dataclass(frozen=True)
class Service:
    """`problems` gives the reasons why the service is not ready, in words; none: it is.

    `troubles`: what goes wrong with single rollouts while the others go on.
    `link`: the address at which people find it; `public_url`: the same, "" where nobody has named it.
    """

    ask: Ask
    views: Views
    flags: ReadsFlags
    tokens: Tokens
    vault: Vault
    now: Callable[[], datetime]
    problems: Callable[[], tuple[str, ...]]
    signals: KeepsSignals | None = None
    github_secret: str = ""
    readings: KeepsReadings | None = None
    testers: Testers | None = None
    feed: RecordFeed | None = None
    log: Log | None = None
    link: str = ""
    notarized: Notarized | None = None
    public_url: str = ""
    troubles: Callable[[], tuple[str, ...]] = tuple


def service_of(request: Request) -> Service:
    """The service that the app of this request was made for."""
    found: Service = request.app.state.service
    return found
