"""Who listens gets every record once and in order, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events import facts as f
from services.client import CannotAsk, Client
from services.log.nats import JetStreamLog
from services.record_feed import RecordFeed
from tests.e2e.release import small_plan
from tests.histories import History, plan
from tests.nats_process import NatsProcess
from tests.service_process import ServiceProcess
from tests.unit.test_record_feed import heard

pytestmark = [pytest.mark.connected, pytest.mark.faults, pytest.mark.timeout(600)]

KILLS = 30 if os.environ.get("CUTOVER_LONG") else 1
EACH = 10  # records between two kills, at least


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path / "data")
    running.start()
    yield running
    running.close()


class Restless(threading.Thread):
    """Does one thing over and over until it is told to stop; a service that is away is tried again."""

    def __init__(self, service: ServiceProcess) -> None:
        super().__init__(daemon=True)
        self.client = Client(service.url, service.admin_token)
        self.stopped = threading.Event()
        self.breaks = 0

    def run(self) -> None:
        with self.client:
            while not self.stopped.is_set():
                try:
                    self.once()
                except CannotAsk:
                    self.breaks += 1
                    self.stopped.wait(0.02)

    def once(self) -> None:
        raise NotImplementedError


class Writer(Restless):
    """Writes notes, by turns to two rollouts."""

    count = 0

    def once(self) -> None:
        self.count += 1
        text = {"type": "note", "text": f"note {self.count}"}
        self.client.command(("one", "two")[self.count % 2], text, f"note-{self.count}")


class Listener(Restless):
    """Listens from the first record on, and comes back from where it was."""

    def __init__(self, service: ServiceProcess, rollout: str = "") -> None:
        super().__init__(service)
        self.service = service
        self.rollout = rollout
        self.upto = 0
        self.heard: list[int] = []

    def once(self) -> None:
        for revision, event in self.client.events(self.rollout, after=self.upto, follow=True):
            self.upto = revision
            self.heard += [revision] if event else []
            if self.stopped.is_set():
                return

    def wait_for_more(self) -> None:
        enough = self.upto + EACH
        self.service.wait_until(lambda: self.upto >= enough, 60)


def test_every_record_is_heard_once_while_the_service_is_killed_and_started_again(service: ServiceProcess) -> None:
    with Client(service.url, service.admin_token) as client:
        for rollout in ("one", "two"):
            plan = small_plan(rollout, (f"{rollout}_toggle",))
            client.command(rollout, {"type": "adopt", "plan": plan})
    writer, everything, one = Writer(service), Listener(service), Listener(service, "one")
    for thread in (writer, everything, one):
        thread.start()
    for _ in range(KILLS):
        everything.wait_for_more()
        service.kill()
        service.start()
    everything.wait_for_more()
    writer.stopped.set()
    writer.join(60)
    with Client(service.url, service.admin_token) as client:
        head = client.status("two")["revision"]
        last = client.command("one", {"type": "note", "text": "the last one"})["revision"]
        lines = [line for line in client.trail("one", at_least=last) if line["outcome"] == "accepted"]
    service.wait_until(lambda: everything.upto >= last and one.upto >= last, 60)
    everything.stopped.set()
    one.stopped.set()
    assert last > head
    assert everything.heard == list(range(1, last + 1))
    assert one.heard == [line["revision"] for line in lines]
    assert min(everything.breaks, one.breaks) >= KILLS


@asynccontextmanager
async def running(log: JetStreamLog) -> AsyncIterator[RecordFeed]:
    feed = RecordFeed(log, keep=7)
    task = asyncio.create_task(feed.run())
    await asyncio.wait_for(feed.began.wait(), 10)
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_listener_stays_while_nats_is_killed_and_started_again(
    jetstream_log: JetStreamLog, nats_server: NatsProcess
) -> None:
    history = History("one")
    async with running(jetstream_log) as feed:
        listeners = [asyncio.create_task(heard(feed, 0, 41, rollout)) for rollout in ("", "one")]
        for n in range(41):
            if n in (10, 25):
                nats_server.restart()
            stored = history.add("note", f.Noted(f"note {n}") if n else f.PlanAdopted(plan("one")))
            assert await jetstream_log.append("one", stored.data, expected=n, command_id=stored.command_id) == n + 1
        for listener in listeners:
            assert await asyncio.wait_for(listener, 60) == (list(range(1, 42)), 41)
