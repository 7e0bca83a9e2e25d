"""Flag reads of an API process that starts while NATS is away: what it last knew, or an error; never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.release import Release, small_plan
from tests.nats_process import NatsProcess
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.faults]

FLAG = "/ofrep/v1/evaluate/flags/small_one"


@pytest.fixture
def api(nats_server: NatsProcess, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A `cutover run api` that was left behind by a whole service and its NATS: the group is on for everyone."""
    environ = {"CUTOVER_NATS": nats_server.url}
    whole = ServiceProcess(tmp_path / "data", environ=environ)
    whole.start()
    try:
        release = Release(whole, small_plan(testing={"waived": "nothing to test"}))
        release.ready_to_cut_over()
        release.do("cut_over")
        assert read(whole, at_least=release.revision)["value"] is True
        whole.stop()
    finally:
        whole.close()
    nats_server.kill()
    process = ServiceProcess(tmp_path / "data", environ=environ, run=("run", "api"))
    try:
        yield process
    finally:
        process.close()


def read(service: ServiceProcess, status: int = 200, **params: int) -> dict[str, object]:
    answer = service.client().post(FLAG, json={"context": {"targetingKey": "u"}}, params=params)
    assert answer.status_code == status, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_restart_without_nats_answers_what_was_last_known_or_an_error(
    api: ServiceProcess, nats_server: NatsProcess
) -> None:
    api.start(when="/healthz")
    found = read(api)
    assert (found["value"], found["reason"]) == (True, "STALE")
    metadata = found["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["lastReason"] == "STATIC"
    assert metadata["staleSince"].startswith("20")
    ready = httpx.get(f"{api.url}/readyz")
    assert (ready.status_code, "NATS cannot be reached" in ready.json()["reasons"]) == (503, True)
    assert read(api, 503, at_least=metadata["revision"] + 1)["errorCode"] == "GENERAL"

    nats_server.start()  # the projector is still away: nothing is newer, and it stays stale
    api.wait_until(lambda: "NATS cannot be reached" not in httpx.get(f"{api.url}/readyz").text, 20)
    assert read(api)["reason"] == "STALE"

    api.kill()
    nats_server.kill()
    kept = api.data / "flags" / "last-known-flags"
    kept.write_bytes(kept.read_bytes().replace(b'"everyone"', b'"nobody"'))
    api.start(when="/healthz")
    assert read(api, 503)["errorCode"] == "GENERAL"
    assert "is not whole" in api.output()
