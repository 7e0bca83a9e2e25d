"""The whole service as a process: one for a module's tests, or one of a test's own; and a second one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.nats.embedded import running_url
from tests.service_process import ServiceProcess


@pytest.fixture(scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A running `cutover up`, shared by the tests of a module."""
    yield from _running(tmp_path_factory.mktemp("service") / "data")


@pytest.fixture(scope="module")
def second_api(running_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """A second process that answers HTTP, on the same data."""
    url = running_url(running_service.data)
    assert url is not None
    process = ServiceProcess(running_service.data, environ={"CUTOVER_NATS": url}, run=("run", "api"))
    process.start()
    try:
        yield process
    finally:
        process.close()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A running `cutover up` that the test may kill and start again."""
    yield from _running(tmp_path / "data")


def _running(data: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess(data)
    service.start()
    try:
        yield service
    finally:
        service.close()
