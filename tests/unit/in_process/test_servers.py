"""Which servers the provider tries, by which options, and what it says when they cannot be watched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cutover_openfeature import CutoverProvider
from cutover_openfeature.clock import Clock
from cutover_openfeature.known import Known
from cutover_openfeature.watch import Watch


@pytest.mark.parametrize("option", ["inbox_prefix", "allow_reconnect", "max_reconnect_attempts", "keepin"])
def test_an_option_that_is_the_providers_own_or_nobodys_is_refused_at_once(option: str) -> None:
    options: dict[str, Any] = {option: True}
    with pytest.raises(ValueError, match=f"'{option}'"):
        CutoverProvider("nats://a:1", **options)


async def nobody_there(_watch: Watch, server: str) -> None:
    raise OSError(f"refused by {server[-1]}")


async def test_what_is_wrong_with_each_server_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Watch, "_stay", nobody_there)
    monkeypatch.setattr("cutover_openfeature.watch.PAUSE", (0.0, 0.0))
    servers = ["nats://me:secret@a:1", "nats://b:2"]
    watch = Watch(servers, Known(None, Clock()), lambda: None, "flags", {})
    watching = asyncio.create_task(watch._watch())
    await asyncio.sleep(0.1)
    watching.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "cannot watch the flags at a:1: OSError: refused by 1",
        "cannot watch the flags at b:2: OSError: refused by 2",
    ]


def test_an_empty_address_is_none() -> None:
    assert CutoverProvider("nats://a:1, ,nats://b:2,")._source._servers == ["nats://a:1", "nats://b:2"]
    with pytest.raises(ValueError, match="no server"):
        CutoverProvider(" , ")
