"""kill -9 of an API process, and of the process that decides and projects, while clients read flags and the group is
switched on and off.

What is answered is whole, right for the revision that it names, and never older than what its client has seen.
`CUTOVER_LONG=1` kills the API process 20 times instead of once.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.e2e.release import Release, small_plan
from tests.flag_client import FlagClient, on_at
from tests.nats_process import NatsProcess
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults, pytest.mark.timeout(600)]

KILLS = 20 if os.environ.get("CUTOVER_LONG") else 1
CLIENTS = 3
PAUSE = 0.02  # seconds between reads, in which processes start
LIMIT = 40.0  # seconds; the machine may be busy


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsProcess]:
    """A nats-server that lives longer than the service."""
    server = NatsProcess(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def whole(nats: NatsProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """`cutover up`: it decides and projects, and answers too."""
    yield from _running(tmp_path_factory.mktemp("service") / "data", ("up",), CUTOVER_NATS=nats.url)


@pytest.fixture(scope="module")
def api(nats: NatsProcess, whole: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """`cutover run api` beside it, as on another host: on the same key and tables, with a data folder of its own."""
    data = tmp_path_factory.mktemp("api") / "data"
    data.mkdir(mode=0o700)
    shutil.copy2(whole.data / "vault.key", data)
    tables = f"sqlite:///{whole.data / 'cutover.db'}"
    yield from _running(data, ("run", "api"), CUTOVER_NATS=nats.url, CUTOVER_DATABASE=tables)


def _running(data: Path, run: tuple[str, ...], **environ: str) -> Iterator[ServiceProcess]:
    process = ServiceProcess(data, environ=environ, run=run)
    try:
        process.start()
        yield process
    finally:
        process.close()


def ready(service: ServiceProcess, name: str) -> Release:
    """A release of four toggles that may be cut over."""
    keys = tuple(f"{name}_{n}" for n in range(4))
    release = Release(service, small_plan(name, keys, testing={"waived": "it is switched by a test"}))
    release.ready_to_cut_over()
    return release


@contextmanager
def reading(release: Release, token: str, *processes: ServiceProcess) -> Iterator[list[FlagClient]]:
    """Clients of these processes, who read until the end, one way after the other."""
    toggles = [*release.status()["toggles"]]
    clients = [FlagClient(processes, token, toggles, f"user-{n}") for n in range(CLIENTS)]
    with in_background(*(one_after_the_other(each.bulk, each.page_with_a_pin) for each in clients)):
        yield clients
    for client in clients:
        client.close()


def one_after_the_other(*ways: Callable[[], object]) -> Callable[[], object]:
    return lambda: [way() for way in ways]


@contextmanager
def in_background(*things: Callable[[], object]) -> Iterator[None]:
    """Each is done again and again in a thread of its own. What goes wrong there is raised at the end."""
    stop = threading.Event()

    def again_and_again(thing: Callable[[], object]) -> None:
        while not stop.is_set():
            thing()
            stop.wait(PAUSE)

    with ThreadPoolExecutor(len(things)) as threads:
        running = [threads.submit(again_and_again, thing) for thing in things]
        try:
            yield
        finally:
            stop.set()
        for each in running:
            each.result()


def switched(release: Release) -> None:
    """On and off; unless whoever decides is gone."""
    try:
        release.do("decide", by=release.owner, decision="go")
        release.do("cut_over")
        release.do("roll_back")
    except httpx.TransportError:
        return


def answered_by(process: int, clients: Sequence[FlagClient], since: int) -> bool:
    """Whether each client has had an answer from this process, of a later revision."""
    return all(any(seen.by == process and seen.revision > since for seen in client.seen) for client in clients)


def held_together(release: Release, clients: Sequence[FlagClient]) -> None:
    """Every answer was whole and right, and none was older than the one before it."""
    history = [(0, False)]
    history += [(row["revision"], row["data"]["exposure"]["to"] == "everyone") for row in release.facts("exposure_set")]
    for client in clients:
        assert all(before.revision <= after.revision for before, after in pairwise(client.seen))
        for seen in client.seen:
            assert set(seen.values) == {on_at(history, seen.revision)}, seen


def killed_and_back(
    release: Release, clients: list[FlagClient], whole: ServiceProcess, api: ServiceProcess, nats: NatsProcess
) -> None:
    """The second process, in the middle of reads; and when it is back, first without NATS, then with it."""
    with in_background(lambda: switched(release)):
        whole.wait_until(lambda: answered_by(1, clients, since=release.revision - 5), LIMIT)
        api.kill()
        killed_at = release.revision
        whole.wait_until(lambda: all(client.revision > killed_at + 5 for client in clients), LIMIT)
    nats.freeze()
    behind = {client: client.behind for client in clients}
    api.start(when="/healthz")
    whole.wait_until(lambda: all(client.behind > behind[client] for client in clients), LIMIT)
    nats.thaw()
    whole.wait_until(lambda: answered_by(1, clients, since=killed_at), LIMIT)


def test_an_api_process_that_was_killed_answers_nobody_with_what_is_older_than_they_have_seen(
    whole: ServiceProcess, api: ServiceProcess, nats: NatsProcess
) -> None:
    """It comes back with what it kept on disk, and NATS does not tell it more: it says that it is behind."""
    release = ready(whole, "restarted")
    with reading(release, whole.token("reader", "reader"), whole, api) as clients:
        for _ in range(KILLS):
            killed_and_back(release, clients, whole, api, nats)
    held_together(release, clients)
    assert all(client.away for client in clients)


def test_while_the_projector_is_killed_answers_stay_whole_and_stale_and_go_on_when_it_is_back(
    whole: ServiceProcess, api: ServiceProcess
) -> None:
    release = ready(whole, "projected")
    with reading(release, whole.token("reader", "reader"), api) as clients:
        with in_background(lambda: switched(release)):
            whole.wait_until(lambda: all(len({s.revision for s in c.seen}) > 5 for c in clients), LIMIT)
            whole.kill()
        api.wait_until(lambda: all(client.seen[-1].stale for client in clients), LIMIT)
        whole.start()
        release.do("roll_back")
        release.do("decide", by=release.owner, decision="go")
        release.do("cut_over")
        api.wait_until(lambda: all(client.revision >= release.revision for client in clients), LIMIT)
        api.wait_until(lambda: not any(client.seen[-1].stale for client in clients), LIMIT)
    held_together(release, clients)
    assert not any(client.away or client.behind for client in clients)
