"""PyPI's `eventsourcing` on SQLite, doing what a decision does: load, decide, append, fsync; and a replay.

One rule: used as its documentation shows, its aggregates as long as ours, its file on the same disk.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from benchmarks.measure import Load, Row, Step, bulk

AGGREGATES = 64
EVENTS = 100  # each, to begin with
REPLAYED = 20_000


class Release(Aggregate):
    """As much of a rollout as a note needs."""

    @event("Opened")
    def __init__(self, title: str) -> None:
        self.title = title
        self.notes = 0

    @event("Noted")
    def note(self, text: str, who: str, reason: str, evidence: str) -> None:
        self.notes += 1


class Releases(Application[UUID]):
    """The application: one method, one transaction."""

    def open(self, title: str, notes: int, text: str) -> UUID:
        release = Release(title)
        for _ in range(notes):
            release.note(text, "u-1", "because", "none")
        self.save(release)
        return release.id

    def note(self, release_id: UUID, text: str) -> None:
        release: Release = self.repository.get(release_id)
        release.note(text, "u-1", "because", "none")
        self.save(release)


def commands(folder: Path, text: str) -> dict[str, Load]:
    """One command at a time, with and without the library's cache of aggregates."""
    cache = {"AGGREGATE_CACHE_MAXSIZE": "1000"}
    return {
        "eventsourcing load + append": Load(_commands(folder / "plain.db", text, {})),
        "eventsourcing cached + append": Load(_commands(folder / "cached.db", text, cache)),
    }


async def measure_replay(folder: Path, text: str) -> Row:
    """Events a second, decoded and folded."""
    return Row("eventsourcing decode + fold", await _replay(folder / "replay.db", text))


def _application(path: Path, environment: dict[str, str]) -> Releases:
    return Releases(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path), **environment},
    )


def _commands(path: Path, text: str, environment: dict[str, str]) -> Step:
    application = _application(path, environment)
    ids = cycle([application.open("release", EVENTS, text) for _ in range(AGGREGATES)])

    async def note(_number: int) -> None:
        application.note(next(ids), text)

    return note


async def _replay(path: Path, text: str) -> float:
    with _application(path, {}) as application:
        release_id = application.open("release", REPLAYED - 1, text)
        stored = list(application.events.recorder.select_events(release_id))

        async def fold() -> int:
            release: Release | None = None
            for each in stored:
                happened: Any = application.mapper.to_domain_event(each)
                release = happened.mutate(release)
            return len(stored)

        return await bulk(fold)
