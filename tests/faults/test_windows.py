"""A tester's window ends at its time, whether or not a process is there to end it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults]

TESTER = "veteran-4711"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path / "data")
    running.start()
    yield running
    running.close()


def test_a_window_opens_before_the_meeting_and_closes_at_its_end(service: ServiceProcess) -> None:
    release = Release(service, small_plan("windows", ("w_one", "w_two")))
    release.start_testing()
    starts = datetime.now(UTC) + timedelta(seconds=3)  # the window opens one second before
    release.do("schedule_session", session="s1", tester=TESTER, at=starts.isoformat(), length="2 seconds")

    assert set(release.flags(TESTER).values()) == {False}
    service.wait_until(lambda: all(release.flags(TESTER).values()), 10)
    assert datetime.now(UTC) >= starts - timedelta(seconds=1)
    assert set(release.flags("somebody-else").values()) == {False}
    service.wait_until(lambda: not any(release.flags(TESTER).values()), 10)
    assert datetime.now(UTC) >= starts + timedelta(seconds=2)
    service.wait_until(lambda: len(release.facts("window_closed")) == 1, 10)
    assert len(release.facts("window_opened")) == 1


def test_a_window_ends_with_every_process_killed_across_its_end(service: ServiceProcess) -> None:
    release = Release(service, small_plan("windows", ("w_one", "w_two")))
    release.start_testing()
    starts = datetime.now(UTC) + timedelta(seconds=1)
    release.do("schedule_session", session="s1", tester=TESTER, at=starts.isoformat(), length="3 seconds")
    service.wait_until(lambda: all(release.flags(TESTER).values()), 10)

    service.kill()  # the embedded nats-server dies with it
    time.sleep(max(0.0, (starts + timedelta(seconds=3.2) - datetime.now(UTC)).total_seconds()))
    service.start()
    restarted = time.monotonic()

    first_read = release.flags(TESTER)
    assert first_read == {"w_one": False, "w_two": False}
    service.wait_until(lambda: len(release.facts("window_closed")) == 1, 10)
    assert time.monotonic() - restarted < 10
