"""Cutover as it is read here: `cutover up`, and beside it the API worker that is measured.

One rule: everything is said by commands over HTTP, as users say it. Twenty toggles in five rollouts: in one of them all
or nobody has the four toggles, and it is switched to and fro; in four a quarter of the users has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.plain_http import Line, request
from services.nats.embedded import running_url
from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

FLAGS = "/ofrep/v1/evaluate/flags"
SWITCHED = tuple(f"bench_switched_{n}" for n in range(1, 5))
SHARED = tuple(f"bench_shared_{group}_{n}" for group in range(1, 5) for n in range(1, 5))
SHARE = 25


class Cutover(NamedTuple):
    """The service, its API worker, a reader's token, and the release whose toggles are switched."""

    up: ServiceProcess
    worker: ServiceProcess
    reader: str
    release: Release

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.reader}"}

    @property
    def nats(self) -> str:
        """Where the flag bucket is."""
        url = running_url(self.up.data)
        assert url is not None
        return url

    def bulk(self, service: ServiceProcess, user: str = "user-1") -> dict[str, Any]:
        """All flags as that process answers them, at least as of the last command."""
        context = {"context": {"targetingKey": user}}
        with httpx.Client(base_url=service.url, headers=self.bearer, timeout=30) as client:
            answer = client.post(FLAGS, json=context, params={"at_least": self.release.revision})
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@contextmanager
def cutover(folder: Path) -> Iterator[Cutover]:
    """Running, with every rollout where it is read."""
    with ExitStack() as stack:
        up = ServiceProcess(folder / "data")
        stack.callback(up.close)
        stack.callback(up.stop)  # in order: its nats-server must have ended before the folder goes
        up.start()
        answer = up.client().post("/v1/tokens", json={"name": "bench", "role": "reader", "titles": []})
        reader: str = answer.raise_for_status().json()["token"]
        with ThreadPoolExecutor() as pool:  # each of them waits for a second to pass
            groups = SWITCHED, *(SHARED[n : n + 4] for n in range(0, len(SHARED), 4))
            release, *shared = pool.map(partial(released, up), (f"bench-{n}" for n in count()), groups)
        for each in shared:
            each.do("cut_over")
        worker = ServiceProcess(up.data, environ={"CUTOVER_NATS": running_url(up.data) or ""}, run=("run", "api"))
        stack.callback(worker.close)
        worker.start()
        yield Cutover(up, worker, reader, release)


def released(up: ServiceProcess, rollout: str, toggles: tuple[str, ...]) -> Release:
    """A release that is ready to be cut over to its first stage."""
    stages = ["everyone"] if toggles == SWITCHED else [f"{SHARE}%", "everyone"]
    plan = small_plan(
        rollout,
        toggles,
        readers=["ofrep", "va.gov", "in-process"],
        actor="cookie",
        testing={"waived": "nothing is tested here"},
    )
    release = Release(up, plan | {"rollout": {"stages": stages}})
    release.ready_to_cut_over()
    return release


class Switch:
    """Cuts the release over and rolls it back, over connections that are kept."""

    def __init__(self, service: Cutover) -> None:
        release = service.release
        self._path = f"/v1/rollouts/{release.id}/commands"
        self._line = Line(service.up.port)
        self._manager, self._owner = (dict(c.headers)["authorization"] for c in (release.manager, release.owner))

    def prepare(self, on: bool) -> None:
        """What the switch needs before: after a rollback another go."""
        if on:
            self._ask(self._owner, {"type": "decide", "decision": "go"})

    def __call__(self, on: bool) -> None:
        """All four toggles, by one command; returns with its answer."""
        self._ask(self._manager, {"type": "cut_over"} if on else {"type": "roll_back"})

    def _ask(self, who: str, command: dict[str, str]) -> None:
        headers = {"Authorization": who, "Content-Type": "application/json"}
        answer = self._line.ask(request("POST", self._path, headers, json.dumps(command)))
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{command['type']}: {answer.decode(errors='replace')}")
