"""VA.gov's endpoint, `GET /v0/feature_toggles`, as vets-website and others call vets-api's.

One rule: who shows no token is nobody but their cookie. They see the toggles of plans that name the reader `va.gov`,
and a plan whose actor is an account or an email address answers them as it does nobody in particular: whoever could
name another user would learn who the testers are. A caller with a token sees every toggle, and may say for whom.

Source of the shape: vets-api's V0::FeatureTogglesController.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from projections.flags import FlagSnapshot
from services.api.reads import cors
from services.api.reads.getting import READS, about, wanted
from services.api.reads.inflection import camelize, underscore
from services.api.reads.moment import Moment, Moments
from services.api.reads.who import Readers, token_of
from services.api.reads.wire import Read, Refused, Reply

PATH = "/v0/feature_toggles"
READER = "va.gov"
USER_HEADER = b"cutover-user"
ATTRIBUTE = "attribute."
_ALLOW = ((b"allow", b"GET, HEAD, OPTIONS"),)
_encode = msgspec.json.encode


class Feature(Struct, frozen=True):
    """One item of the answer."""

    name: str
    value: bool


class Asker(NamedTuple):
    """Who asks, and for whom. `known`: by a token; without one `user` and `attributes` are empty."""

    known: bool
    cookie: str
    user: str
    attributes: Mapping[str, str]

    def sees(self, snapshot: FlagSnapshot) -> bool:
        return self.known or READER in snapshot.readers

    def actor(self, snapshot: FlagSnapshot) -> str | None:
        """The user, by the one kind of id that the plan knows users by."""
        return (self.cookie if snapshot.actor == "cookie" else self.user) or None


class FeatureToggles:
    """The one path."""

    def __init__(self, moments: Moments, readers: Readers) -> None:
        self._moments = moments
        self._readers = readers

    async def handle(self, read: Read) -> Reply:
        """The answer. Raises Refused."""
        if read.path.rstrip("/") != PATH:
            raise Refused("not-found", f"there is nothing here; the toggles are at {PATH}")
        if read.method == "OPTIONS":
            return Reply(204, headers=(*_ALLOW, *cors.preflight()))
        if read.method not in READS:
            raise Refused("method-not-allowed", "toggles are read here, by GET; commands switch them", _ALLOW)
        asker = await self._asker(read)
        moment = await self._moments.get(wanted(read))
        names = read.query.get("features", "").strip().rstrip(",")
        return _these(moment, asker, names.split(",")) if names else _every(moment, asker)

    async def _asker(self, read: Read) -> Asker:
        """Raises Refused: 401 for a token that is unknown, and for naming a user without one."""
        query = read.query
        cookie = query.get("cookie_id", "")
        user = query.get("user", "") or read.headers.get(USER_HEADER, b"").decode(errors="replace")
        attributes = {name.removeprefix(ATTRIBUTE): query[name] for name in query if name.startswith(ATTRIBUTE)}
        if token_of(read.headers) or user or attributes:
            await self._readers.known(read.headers)
            return Asker(True, cookie, user, attributes)
        return Asker(False, cookie, "", {})


def _every(moment: Moment, asker: Asker) -> Reply:
    """Every toggle twice, in camel and in snake case."""
    groups = [snapshot for snapshot in moment.snapshots.values() if asker.sees(snapshot)]
    found = tuple(_value(moment, snapshot, asker) for snapshot in groups)

    def made() -> Reply:
        values = [(key, value) for group, value in zip(groups, found, strict=True) for key in group.toggles]
        return _reply(moment, (Feature(name, value) for key, value in values for name in (camelize(key), key)))

    return moment.once((READER, asker.known, found), made)


def _these(moment: Moment, asker: Asker, names: list[str]) -> Reply:
    """One each, by the name that was sent; what nobody has is off."""
    values: dict[str, bool] = {}
    features = []
    for name in names:
        snapshot = moment.of_toggle(name) or moment.of_toggle(underscore(name))
        value = False
        if snapshot is not None and asker.sees(snapshot):
            if snapshot.rollout not in values:
                values[snapshot.rollout] = _value(moment, snapshot, asker)
            value = values[snapshot.rollout]
        features.append(Feature(name, value))
    return _reply(moment, features)


def _value(moment: Moment, snapshot: FlagSnapshot, asker: Asker) -> bool:
    return moment.answer(snapshot, asker.actor(snapshot), asker.attributes).value


def _reply(moment: Moment, features: Iterable[Feature]) -> Reply:
    body = _encode({"data": {"type": "feature_toggles", "features": [*features]}})
    return Reply(200, body, about(moment))
