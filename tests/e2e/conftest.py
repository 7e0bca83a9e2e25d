"""The whole service as a process: one for a module's tests, or one of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service_process import ServiceProcess


@pytest.fixture(scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A running `cutover up`, shared by the tests of a module."""
    yield from _running(tmp_path_factory.mktemp("service") / "data")


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
