"""What a running service holds from its start is never looked at by the collector of garbage again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.loop import settle
from services.settings import Settings
from services.up import serve
from tests.nats_cluster import free_ports

pytestmark = pytest.mark.connected


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def looked_at(one: object) -> bool:
    return any(each is one for each in gc.get_objects())


def test_only_what_is_new_is_looked_at() -> None:
    old: list[object] = [{}]
    assert looked_at(old)
    settle()
    new: list[object] = [{}]
    assert (looked_at(old), looked_at(new)) == (False, True)


async def test_the_service_settles_before_it_is_ready(tmp_path: Path) -> None:
    ready = asyncio.Event()
    [port] = free_ports(1)
    serving = asyncio.create_task(serve(Settings(data=tmp_path / "data", port=port), on_ready=ready.set))
    try:
        async with asyncio.timeout(30):
            await ready.wait()
        assert gc.get_freeze_count() > 10_000
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
