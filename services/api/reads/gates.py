"""A toggle group as Flipper's gates: what a client of that gem, which evaluates by itself, has to be told.

One rule: only a boolean or a list of actors, the same for every toggle of the group. Flipper's percentage gate hashes
the toggle's name, so it would give users a part of the group; an exposure that needs one is not told at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from projections.flags import FlagSnapshot, testing_now

READER = "flipper"
_NAMES = {"actors": "actor", "groups": "group"}
_OFF = ("planned", "rolled_back", "cancelled")


class Gates(Struct, frozen=True):
    """On for everyone, or for these actors (ids, ascending); neither: off."""

    everyone: bool = False
    actors: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        if self.everyone:
            return "on"
        return "conditional" if self.actors else "off"

    def encoded(self, *, names: bool) -> msgspec.Raw:
        """All six gates as Flipper's API has them, with the gates' own names or without."""
        values: dict[str, object] = {
            "boolean": "true" if self.everyone else None,
            "expression": None,
            "actors": self.actors,
            "percentage_of_actors": None,
            "percentage_of_time": None,
            "groups": (),
        }
        gates = [
            {"key": key, **({"name": _NAMES.get(key, key)} if names else {}), "value": value}
            for key, value in values.items()
        ]
        return msgspec.Raw(msgspec.json.encode(gates))


OFF = Gates()


def reads(snapshot: FlagSnapshot) -> bool:
    """Whether Flipper's clients are told of this rollout: its plan names them, and its exposure can be said."""
    if READER not in snapshot.readers:
        return False
    audiences = snapshot.exposure.audiences if snapshot.phase not in _OFF else ()
    return all(a.percentage >= 100 and not a.attribute and (a.users or a.group) for a in audiences)


def testers_of(snapshots: Iterable[FlagSnapshot], now: datetime) -> frozenset[str]:
    """The references of the testers who have to be told by their ids at `now`."""
    conditional = (s for s in snapshots if reads(s) and s.phase not in _OFF and s.exposure.to != "everyone")
    return frozenset(tester for snapshot in conditional for tester in testing_now(snapshot, now))


def gates(snapshot: FlagSnapshot, now: datetime, ids: Mapping[str, str]) -> Gates:
    """The gates of a rollout of which `reads` holds, at `now`; `ids` of testers by reference, as far as they may be
    told. With all of them a user is on by these gates when and only when `projections.flags.evaluate` says so."""
    exposure = snapshot.exposure
    if exposure.to == "nobody" or snapshot.phase in _OFF:
        return OFF
    if exposure.to == "everyone":
        return Gates(everyone=True)
    actors = {user for audience in exposure.audiences for user in audience.users}
    actors |= {ids[tester] for tester in testing_now(snapshot, now) if tester in ids}
    return Gates(actors=tuple(sorted(actors)))
