"""Eight clients read the seed's four toggles from two processes while they are switched on and off all the time.

No answer is a mixture, each is right for the revision that it names, and no client is ever shown an older one than it
has seen. `CUTOVER_LONG=1`: 10,000 bulk reads during 100 cutovers and 100 rollbacks.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import pairwise

import pytest

from tests.e2e.release import Release, small_plan
from tests.flag_client import BULK, UNPINNED, FlagClient, Seen, on_at
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.timeout(900)]

LONG = bool(os.environ.get("CUTOVER_LONG"))
READS, ROUNDS, PAGES = (10_000, 100, 1) if LONG else (1_600, 20, 4)
"""Bulk reads of all clients together; cutovers, and as many rollbacks; bulk reads for each page load."""

CLIENTS = 8
TOGGLES = (
    "va_online_scheduling_vaos_service_cc_appointments",
    "va_online_scheduling_facilities_service_v2",
    "va_online_scheduling_vaos_service_requests",
    "va_online_scheduling_vaos_service_va_appointments",
)


class Flips:
    """Cuts over and rolls back, spread evenly over the reads; `history` says which revision switched what."""

    def __init__(self, release: Release) -> None:
        self._release = release
        self._reads = 0
        self._more = threading.Condition()
        self.history = [(0, False)]
        self.over = threading.Event()

    def one_read(self) -> None:
        with self._more:
            self._reads += 1
            self._more.notify_all()

    def run(self) -> None:
        try:
            for flip in range(2 * ROUNDS):
                self._wait_for(flip * READS // (2 * ROUNDS))
                on = flip % 2 == 0
                if on:
                    self._release.do("decide", by=self._release.owner, decision="go")
                self.history.append((self._release.do("cut_over" if on else "roll_back")["revision"], on))
        finally:
            self.over.set()

    def _wait_for(self, reads: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: self._reads >= reads, 120)

    def right(self, seen: Seen) -> bool:
        """Whether it is what the revision that it names says."""
        return set(seen.values) == {on_at(self.history, seen.revision)}


def read(client: FlagClient, flips: Flips) -> None:
    """This client's share of the bulk reads, with the others between them; at least until the last flip."""
    share = 0
    while share < READS // CLIENTS or not flips.over.is_set():
        client.bulk()
        flips.one_read()
        share += 1
        if share % 4 == 0:
            client.feature_toggles()
        if share % (4 * PAGES) == 0:
            client.page_with_a_pin()
            client.page_without_a_pin()


def test_no_client_of_two_processes_sees_a_mixture_or_an_older_state_through_cutovers_and_rollbacks(
    running_service: ServiceProcess, second_api: ServiceProcess
) -> None:
    release = Release(running_service, small_plan("vaos", TOGGLES, testing={"waived": "it is switched by a test"}))
    release.ready_to_cut_over()
    token = running_service.token("vets-website", "reader")
    flips, began = Flips(release), time.monotonic()
    with ExitStack() as open_clients, ThreadPoolExecutor(CLIENTS + 1) as threads:
        clients = [FlagClient((running_service, second_api), token, TOGGLES, f"user-{n}") for n in range(CLIENTS)]
        for client in clients:
            open_clients.enter_context(closing(client))
        running = [threads.submit(flips.run), *(threads.submit(read, client, flips) for client in clients)]
        for each in running:
            each.result()

    seen = [each for client in clients for each in client.seen]
    print(in_numbers(clients, flips, time.monotonic() - began))  # noqa: T201
    held_together = [each for each in seen if each.kind != UNPINNED]
    assert [each for each in held_together if each.mixed] == []
    assert [each for each in held_together if not flips.right(each)] == []
    for client in clients:
        assert all(before.revision <= after.revision for before, after in pairwise(client.seen))
    assert not any(client.away for client in clients)
    assert sum(each.kind == BULK for each in seen) >= READS
    assert len(flips.history) - 1 == 2 * ROUNDS
    assert {each.values[0] for each in held_together} == {True, False}
    assert any(each.mixed for each in seen if each.kind == UNPINNED)  # else nothing has been shown


def in_numbers(clients: list[FlagClient], flips: Flips, took: float) -> str:
    """What was seen, for `pytest -s`."""
    seen = [each for client in clients for each in client.seen]
    mixed = Counter(each.kind for each in seen if each.mixed)
    wrong = sum(not flips.right(each) for each in seen if each.kind != UNPINNED)
    fell = sum(a.revision > b.revision for client in clients for a, b in pairwise(client.seen))
    return "\n".join(
        (
            f"\n{CLIENTS} clients, 2 processes, {ROUNDS} cutovers and {ROUNDS} rollbacks in {took:.1f} s",
            *(f"{kind}: {n:,} answers, mixed {mixed[kind]}" for kind, n in Counter(each.kind for each in seen).items()),
            f"wrong for the revision they name: {wrong}; times that a client's revision fell: {fell}",
            f"304: {sum(client.not_changed for client in clients):,}",
            f"503, behind: {sum(client.behind for client in clients)}",
            f"410, page loads begun again: {sum(client.begun_again for client in clients)}",
        )
    )
