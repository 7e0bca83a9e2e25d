"""Flipper's HTTP API, as its Ruby adapter `Flipper::Adapters::Http` calls it: reads only, and only of rollouts whose
plan names the reader `flipper`.

One rule: the gem evaluates gates by itself, so every toggle of a group is told with the same gates, from one moment.
Testers' ids leave the vault only to a token that may see them; to others the gates are told without those actors.

Source: flippercloud/flipper, lib/flipper/adapters/http.rb (what is called) and lib/flipper/api (what is answered).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from time import monotonic as now
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from events.facts import Actor
from projections.flags import FlagSnapshot
from services.api.bodies import Disconnected
from services.api.reads.gates import gates, reads, testers_of
from services.api.reads.getting import READS, about, wanted
from services.api.reads.moment import RETRY, Moment, Moments
from services.api.reads.ofrep import same_answer
from services.api.reads.waiting import before_waiting
from services.api.reads.who import Readers
from services.api.reads.wire import Headers, Read, Refused, Reply

logger = logging.getLogger("cutover.flags")

PATH = "/flipper"
FEATURES, ACTORS = "/features", "/actors/"
SEES_TESTERS = "sees testers"
REMEMBERED = 1.0  # seconds
_ALLOW: Headers = ((b"allow", b"GET, HEAD"),)
_ROLES = ("admin", "release_manager", "facilitator")
_encode = msgspec.json.encode

Ids = tuple[tuple[str, str], ...]
"""Testers by their references and ids, ascending."""


def may_see_testers(who: Actor) -> bool:
    """Those who work with testers, and an application that was let in for it: a reader with the title for it."""
    return who.role in _ROLES or (who.role == "reader" and SEES_TESTERS in map(str.casefold, who.titles))


class Flipper:
    """The paths under `/flipper`."""

    def __init__(self, moments: Moments, readers: Readers, ids: Callable[[Iterable[str]], Mapping[str, str]]) -> None:
        """`ids` asks the vault; it is called in a thread."""
        self._moments = moments
        self._readers = readers
        self._testers = _Testers(ids)

    async def handle(self, read: Read) -> Reply:
        """The answer, whatever was sent."""
        try:
            return await self._handle(read)
        except Refused as refused:
            return _no(refused)
        except Disconnected:
            raise
        except Exception:
            logger.exception("%s %s failed", read.method, read.path)
            return _no(Refused("internal", "the service's own log says what happened"))

    async def _handle(self, read: Read) -> Reply:
        if read.method not in READS:
            words = "toggles are switched by Cutover's commands, all of a rollout together; this API only reads"
            raise Refused("method-not-allowed", words, _ALLOW)
        who = await self._readers.known(read.headers)
        path = "/" + read.path.removeprefix(PATH).strip("/")
        if not (path == FEATURES or path.startswith((FEATURES + "/", ACTORS))):
            raise Refused("not-found", "there are /features, /features/KEY and /actors/ID")
        moment = await self._moments.get(wanted(read))
        if path.startswith(ACTORS):
            body = _actor(moment, path.removeprefix(ACTORS), asked_keys(read.query_string))
            return Reply(200, body, about(moment))
        ids = await self._testers.told(moment, who)
        if path == FEATURES:
            return _features(moment, read, ids)
        return Reply(200, _feature(moment, read, path.removeprefix(FEATURES + "/"), ids), about(moment))


class _Testers:
    """The vault's ids, remembered for a second at most: whoever is erased is told of no longer."""

    def __init__(self, ids: Callable[[Iterable[str]], Mapping[str, str]]) -> None:
        self._ids = ids
        self._asked: frozenset[str] = frozenset()
        self._known: Ids = ()
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def told(self, moment: Moment, who: Actor) -> Ids:
        """Those in a window, for who may see them. Raises Refused when nobody can say: off would be a guess."""
        if not may_see_testers(who):
            return ()
        wanted = moment.once(("flipper", "testers"), lambda: testers_of(moment.snapshots.values(), moment.at))
        if not wanted:
            return ()
        if wanted == self._asked and now() < self._until:
            return self._known
        await before_waiting()
        async with self._asking:
            if wanted != self._asked or now() >= self._until:
                until = now() + REMEMBERED
                self._known, self._asked, self._until = await self._from_the_vault(wanted), wanted, until
            return self._known

    async def _from_the_vault(self, references: frozenset[str]) -> Ids:
        try:
            return tuple(sorted((await asyncio.to_thread(self._ids, references)).items()))
        except SQLAlchemyError as error:
            logger.error("the vault cannot be read: %s", type(error).__name__)
            raise Refused("unavailable", "the testers cannot be told at the moment", RETRY) from None


# -- features


def _features(moment: Moment, read: Read, ids: Ids) -> Reply:
    """All, or those asked for; with an ETag of the revision and of what is answered."""
    names, bare = not _says(read, "exclude_gate_names"), _says(read, "exclude_gates")
    asked = asked_keys(read.query_string)

    def made() -> tuple[bytes, str]:
        keys = _keys(moment) if asked is None else dict.fromkeys(asked)
        found = [_told(moment, key, ids, names=names, bare=bare) for key in keys]
        body = _encode({"features": [feature for feature in found if feature is not None]})
        return body, hashlib.sha256(body).hexdigest()[:16]

    key = ("flipper", "features", names, bare, ids)
    body, digest = moment.once(key, made) if asked is None else made()
    headers = (*about(moment), (b"etag", f'"r{moment.revision}-{digest}"'.encode()))
    if same_answer(read.headers.get(b"if-none-match", b"").decode("latin-1"), digest):
        return Reply(304, headers=headers)
    return Reply(200, body, headers)


def _feature(moment: Moment, read: Read, key: str, ids: Ids) -> bytes:
    found = _told(moment, key, ids, names=not _says(read, "exclude_gate_names"), bare=_says(read, "exclude_gates"))
    if found is None:
        raise Refused("not-found", "no rollout that names the reader flipper, and can be told to it, has this toggle")
    return _encode(found)


def _told(moment: Moment, key: str, ids: Ids, *, names: bool, bare: bool) -> dict[str, Any] | None:
    """One feature; None: Flipper is told of none by this key."""
    snapshot = moment.of_toggle(key)
    if snapshot is None or not reads(snapshot):
        return None
    state, encoded = moment.once(
        ("flipper", "gates", snapshot.rollout, names, ids), lambda: _gates(moment, snapshot, ids, names=names)
    )
    feature: dict[str, Any] = {"key": key, "state": state}
    return feature if bare else feature | {"gates": encoded}


def _gates(moment: Moment, snapshot: FlagSnapshot, ids: Ids, *, names: bool) -> tuple[str, msgspec.Raw]:
    """What all toggles of a rollout have in common."""
    found = gates(snapshot, moment.at, dict(ids))
    return found.state, found.encoded(names=names)


def _keys(moment: Moment) -> Iterable[str]:
    return (key for snapshot in moment.snapshots.values() if reads(snapshot) for key in snapshot.toggles)


# -- actors


def _actor(moment: Moment, flipper_id: str, asked: list[str] | None) -> bytes:
    """What one actor has on. A key that Flipper is not told of is off, as it is for a client that finds none."""
    features = {}
    for key in _keys(moment) if asked is None else asked:
        snapshot = moment.of_toggle(key)
        on = snapshot is not None and reads(snapshot) and moment.answer(snapshot, flipper_id or None, {}).value
        features[key] = {"enabled": on}
    return _encode({"flipper_id": flipper_id, "features": features})


# -- the query, and no


def asked_keys(query: bytes) -> list[str] | None:
    """`keys=a,b` or `keys[]=a&keys[]=b`, where a key may hold a comma that is encoded; None: all are meant."""
    found: list[str] | None = None
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name == "keys[]":
            found = [*(found or ()), unquote_plus(value)]
        elif name == "keys":
            parts = map(unquote_plus, value.split(",")) if "," in value else unquote_plus(value).split(",")
            found = [*(found or ()), *(key for key in parts if key)]
    return found


def _says(read: Read, name: str) -> bool:
    return bool(read.query_string) and read.query.get(name, "").lower() == "true"


def _no(refused: Refused) -> Reply:
    """Flipper's error body. Its code 1 is a feature that is not there; ours are the status."""
    status = refused.status
    code, message = (1, "Feature not found.") if status == 404 else (status, f"{HTTPStatus(status).phrase}.")
    return Reply(status, _encode({"code": code, "message": message, "more_info": refused.words}), refused.headers)
