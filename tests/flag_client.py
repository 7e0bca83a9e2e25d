"""A client that reads flags from several processes in turn, and says to each what another has told it.

One rule: it judges nothing. What it was answered is kept, with the revision that each answer named. It never waits
for a process that is away or behind: it asks the next one.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import httpx

from tests.service_process import ServiceProcess

FLAGS = "/ofrep/v1/evaluate/flags"
TOGGLES = "/v0/feature_toggles"
BULK, VA_GOV, PINNED, UNPINNED = "bulk", "feature_toggles", "page load with a pin", "page load without a pin"
PAGE_LOADS = 20  # tries to get all toggles of one pin
_REVISION = re.compile(r'"r([0-9]+)-')


class Seen(NamedTuple):
    """One answer, or one page load's. `kind`: one of the four above."""

    kind: str
    revision: int
    values: tuple[bool, ...]
    by: int  # which process; of a page load the last one
    stale: bool = False

    @property
    def mixed(self) -> bool:
        return len(set(self.values)) > 1


def on_at(history: Sequence[tuple[int, bool]], revision: int) -> bool:
    """Whether everybody has the group on at a revision, by what switched it when (revision, on or off; ascending)."""
    return history[bisect_right(history, revision, key=lambda switched: switched[0]) - 1][1]


class FlagClient:
    """Asks for `toggles`; `revision` is the highest it has been told, `seen` all it was answered, in order."""

    def __init__(self, services: Sequence[ServiceProcess], token: str, toggles: Sequence[str], user: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._clients = [httpx.Client(base_url=service.url, headers=headers, timeout=30) for service in services]
        self._turns = cycle(range(len(services)))
        self._by = 0
        self._toggles = toggles
        self._context = {"targetingKey": user}
        self._etag = '"r0-0"'
        self._flags: dict[str, Any] = {}
        self.revision = 0
        self.seen: list[Seen] = []
        self.behind = 0  # times that a process said it does not hold yet what was seen elsewhere
        self.away = 0  # times that a process could not be reached
        self.not_changed = 0  # answers 304
        self.begun_again = 0  # page loads whose pin another process does not hold

    def bulk(self) -> Seen:
        """All flags, saying what was seen by each of OFREP's ways in turn."""
        ways: tuple[dict[str, Any], ...] = (
            {"headers": {"If-None-Match": self._etag}},
            {"params": {"at_least": self.revision}},
            {"headers": {"If-None-Match": self._etag}, "params": {"flagConfigEtag": f'"r{self.revision}"'}},
        )
        answer = self._ask("POST", FLAGS, json={"context": self._context}, **ways[len(self.seen) % 3])
        self._etag = answer.headers["etag"]
        if answer.status_code == 304:
            self.not_changed += 1
        else:
            self._flags = {flag["key"]: flag for flag in answer.json()["flags"]}
        told = _REVISION.match(self._etag)
        assert told is not None
        return self._saw(BULK, int(told[1]), [self._flags[key] for key in self._toggles])

    def feature_toggles(self) -> Seen:
        """All toggles as VA.gov's pages ask for them."""
        answer = self._ask("GET", TOGGLES, params={"at_least": self.revision})
        features = {each["name"]: each for each in answer.json()["data"]["features"]}
        assert len(features) >= 2 * len(self._toggles)  # in camel case too
        return self._saw(VA_GOV, int(answer.headers["Cutover-Revision"]), list(features.values()), told=answer)

    def page_with_a_pin(self) -> Seen:
        """One toggle after the other, each from the next process, all by the pin that came with the first."""
        for _ in range(PAGE_LOADS):
            first = self._single(self._toggles[0], {"at_least": self.revision}, {}).json()
            pin = first["metadata"]["pin"]
            ways: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (({"at": pin}, {}), ({}, {"cutoverPin": pin}))
            rest = [self._single(key, *ways[n % 2]) for n, key in enumerate(self._toggles[1:])]
            if all(answer.status_code == 200 for answer in rest):
                flags = [first, *(answer.json() for answer in rest)]
                assert {flag["metadata"]["pin"] for flag in flags} == {pin}
                return self._saw(PINNED, first["metadata"]["revision"], flags)
            assert {answer.status_code for answer in rest} <= {200, 410}
            self.begun_again += 1
        raise AssertionError(f"no pin was held by all processes, {PAGE_LOADS} times")

    def page_without_a_pin(self) -> Seen:
        """The same without one: nothing holds these answers together."""
        flags = [self._single(key, {"at_least": self.revision}, {}).json() for key in self._toggles]
        return self._saw(UNPINNED, flags[0]["metadata"]["revision"], flags)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _single(self, key: str, params: dict[str, Any], more: dict[str, Any]) -> httpx.Response:
        return self._ask("POST", f"{FLAGS}/{key}", json={"context": {**self._context, **more}}, params=params)

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """From the next process that answers. One that is behind says so, with a time to wait in whole seconds."""
        while True:
            self._by = next(self._turns)
            try:
                answer = self._clients[self._by].request(method, path, **request)
            except httpx.TransportError:
                self.away += 1
                time.sleep(0.01)
                continue
            if answer.status_code != 503:
                assert answer.status_code in (200, 304, 410), answer.text
                return answer
            assert answer.headers["retry-after"].isdecimal()
            self.behind += 1

    def _saw(self, kind: str, revision: int, flags: list[dict[str, Any]], told: httpx.Response | None = None) -> Seen:
        stale = any(flag.get("reason") == "STALE" for flag in flags)
        stale = stale or (told is not None and "Cutover-Stale-Since" in told.headers)
        self.seen.append(Seen(kind, revision, tuple(flag["value"] for flag in flags), self._by, stale))
        self.revision = max(self.revision, revision)
        return self.seen[-1]
