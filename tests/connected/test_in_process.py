"""The in-process provider on a real server, through the OpenFeature SDK: events, restarts, silences, forks."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cutover_openfeature import CutoverProvider
from cutover_openfeature.watch import Watch
from msgspec.structs import replace
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason
from openfeature.provider import ProviderStatus

from events.facts import EVERYONE, NOBODY, TESTERS
from projections.flags import FlagSnapshot, Window
from services.flags.bucket import FlagBucket
from services.flags.marks import Mark
from services.log.streams import create_streams
from services.nats.connection import Connection
from tests.histories import START
from tests.nats_process import NatsProcess
from tests.unit.in_process.client import KEY, Fed, hmac_of

pytestmark = pytest.mark.connected

ON = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), EVERYONE)
OFF = replace(ON, revision=11, phase="rolled_back", exposure=NOBODY)
DOMAIN = "tested"
README = Path(__file__).parents[2] / "clients" / "python" / "README.md"
SOON = 1.0  # seconds that make the flags stale here, instead of five


class Projector:
    """Writes snapshots, and the mark ten times a second from `start()` to `stop()`."""

    def __init__(self, connection: Connection) -> None:
        self.bucket = FlagBucket(connection.jetstream(timeout=0.5))
        self.revision = 0
        self._task: asyncio.Task[None] | None = None

    async def write(self, snapshot: FlagSnapshot) -> None:
        await self.bucket.write([snapshot])
        self.revision = max(self.revision, snapshot.revision)
        await self.mark()

    async def mark(self) -> None:
        await self.bucket.mark(Mark(self.revision, datetime.now(UTC), ""))

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with_trouble = asyncio.create_task(self.mark())
            await asyncio.wait({with_trouble})
            with_trouble.exception()  # the server is away: again
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


class Handlers:
    """What the SDK told the application, in order."""

    def __init__(self, client: OpenFeatureClient) -> None:
        self.told: list[str] = []
        self.changed: list[list[str]] = []
        for event in ProviderEvent:
            client.add_handler(event, self._keep(event))

    def _keep(self, event: ProviderEvent) -> Callable[[EventDetails], None]:
        def keep(details: EventDetails) -> None:
            self.told.append(event.value.removeprefix("PROVIDER_"))
            if details.flags_changed is not None:
                self.changed.append(details.flags_changed)

        return keep


@pytest.fixture
async def projector(nats_client: Connection) -> AsyncIterator[Projector]:
    await create_streams(nats_client.jetstream())
    made = Projector(nats_client)
    yield made
    await made.stop()


@pytest.fixture
def _soon_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutover_openfeature.clock.STALE_AFTER", SOON)


@pytest.fixture(autouse=True)
def _no_providers_left() -> Iterator[None]:
    yield
    api.clear_providers()


async def registered(provider: CutoverProvider) -> OpenFeatureClient:
    await asyncio.to_thread(api.set_provider_and_wait, provider, DOMAIN)
    return api.get_client(DOMAIN)


async def until(true: Callable[[], object], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 (bounded)
            await asyncio.sleep(0.01)


async def test_a_client_follows_the_bucket_and_is_told(projector: Projector, nats_server: NatsProcess) -> None:
    await projector.write(ON)
    projector.start()
    client = await registered(CutoverProvider(nats_server.url))
    handlers = Handlers(client)
    assert client.get_provider_status() == ProviderStatus.READY
    details = client.get_boolean_details("a", False)
    assert (details.value, details.reason, details.variant) == (True, Reason.STATIC, "on")
    assert details.flag_metadata == {"revision": 10, "rollout": "vaos"}
    await projector.write(OFF)
    await until(lambda: handlers.changed)
    assert handlers.changed == [["a", "b"]]
    assert not client.get_boolean_value("a", True)
    assert client.get_string_details("a", "x").error_code == ErrorCode.TYPE_MISMATCH
    assert client.get_boolean_details("never", True).error_code == ErrorCode.FLAG_NOT_FOUND


async def test_an_option_for_nats_takes_the_place_of_the_providers(
    projector: Projector, nats_server: NatsProcess
) -> None:
    await projector.write(ON)
    provider = CutoverProvider(nats_server.url, wait=2, name="mine", connect_timeout=1, ping_interval=2)
    await registered(provider)
    assert provider.is_on("a")


async def test_the_readmes_examples_run(projector: Projector, nats_server: NatsProcess, tmp_path: Path) -> None:
    await projector.write(replace(ON, toggles=("my_toggle", "toggle_1", "toggle_2")))
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    program = "".join(blocks).replace("nats://application:PASSWORD@nats-1:4222", nats_server.url)
    program = program.replace("/var/lib/app/flags", str(tmp_path / "flags"))
    names: dict[str, object] = {"KEY": KEY, "context": EvaluationContext("user-id")}
    await asyncio.to_thread(exec, program + "on = view.is_on('toggle_2', 'user-id')\nprovider.shutdown()", names)
    assert names["on"] is True
    assert (tmp_path / "flags").exists()


async def test_a_window_opens_and_closes_without_a_record_and_the_client_is_told(
    projector: Projector, nats_server: NatsProcess
) -> None:
    now = datetime.now(UTC)
    window = Window("s", "t-u", now + timedelta(seconds=1), now + timedelta(seconds=2))
    testing = replace(ON, exposure=TESTERS, windows=(window,), testers={"t-u": hmac_of("u")})
    await projector.write(testing)
    projector.start()
    provider = CutoverProvider(nats_server.url, tester_key=KEY)
    client = await registered(provider)
    handlers = Handlers(client)
    user = EvaluationContext("u")
    await until(lambda: client.get_boolean_value("a", False, user))
    assert datetime.now(UTC) >= window.opens
    await until(lambda: not client.get_boolean_value("a", True, user))
    assert window.closes
    assert datetime.now(UTC) >= window.closes
    await until(lambda: len(handlers.changed) == 2)
    assert handlers.changed == [["a", "b"], ["a", "b"]]
    assert client.get_boolean_details("a", True).flag_metadata["revision"] == 10


@pytest.mark.usefixtures("_soon_stale")
async def test_a_silent_projector_makes_it_stale_and_its_return_ready(
    projector: Projector, nats_server: NatsProcess
) -> None:
    await projector.write(ON)
    client = await registered(CutoverProvider(nats_server.url))
    handlers = Handlers(client)
    await until(lambda: "STALE" in handlers.told)
    assert client.get_provider_status() == ProviderStatus.STALE
    found = client.get_boolean_details("a", False)
    assert (found.value, found.reason) == (True, Reason.STALE)
    assert "stale_since" in found.flag_metadata
    projector.start()
    await until(lambda: handlers.told[-1] == "READY")
    assert client.get_boolean_details("a", False).reason == Reason.STATIC


@pytest.mark.faults
async def test_killed_and_restarted_servers_never_make_it_fall_back(
    projector: Projector, nats_server: NatsProcess
) -> None:
    """What is flipped right after each restart arrives; what was known before never comes back."""
    await projector.write(ON)
    projector.start()
    provider = CutoverProvider(nats_server.url)
    await registered(provider)
    last, revisions = 0, []
    for revision in range(11, 14):
        nats_server.restart()
        await until_written(projector, replace(OFF if revision % 2 else ON, revision=revision))
        async with asyncio.timeout(20):
            while last < revision:
                last = int(provider.resolve_boolean_details("a", False).flag_metadata["revision"])
                revisions.append(last)
                await asyncio.sleep(0.005)
        assert provider.is_on("a") == bool(revision % 2 == 0)
    assert revisions == sorted(revisions)


async def until_written(projector: Projector, snapshot: FlagSnapshot) -> None:
    """However long it takes after a restart."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await projector.write(snapshot)
            except Exception:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("dead", ["nats://127.0.0.1:1", "nats://nowhere.invalid:4222"])
async def test_a_dead_node_first_in_the_list_does_not_keep_the_next_one_waiting(
    projector: Projector, nats_server: NatsProcess, dead: str
) -> None:
    await projector.write(ON)
    provider = CutoverProvider(f"{dead},{nats_server.url}")
    await registered(provider)
    assert provider.is_on("a")


@pytest.mark.faults
async def test_a_node_that_restarts_beside_a_dead_one_is_heard_again_within_seconds(
    projector: Projector, nats_server: NatsProcess
) -> None:
    await projector.write(ON)
    provider = CutoverProvider(f"{nats_server.url},nats://127.0.0.1:1")
    await registered(provider)
    nats_server.restart()
    await until_written(projector, OFF)
    await until(lambda: not provider.is_on("a"), within=8)


@pytest.mark.faults
@pytest.mark.usefixtures("_soon_stale")
async def test_a_frozen_server_makes_it_stale_not_blind(projector: Projector, nats_server: NatsProcess) -> None:
    await projector.write(ON)
    projector.start()
    client = await registered(CutoverProvider(nats_server.url))
    handlers = Handlers(client)
    nats_server.freeze()
    await until(lambda: "STALE" in handlers.told)
    assert client.get_boolean_value("a", False)
    nats_server.thaw()
    await until_written(projector, OFF)
    await until(lambda: not client.get_boolean_value("a", True))
    await until(lambda: client.get_provider_status() == ProviderStatus.READY)


@pytest.mark.faults
async def test_a_restart_while_nats_is_away_starts_stale_from_the_file(
    projector: Projector, nats_server: NatsProcess, tmp_path: Path
) -> None:
    file = tmp_path / "kept" / "flags"
    await projector.write(ON)
    projector.start()
    first = CutoverProvider(nats_server.url, keep_in=file)
    await registered(first)
    await asyncio.to_thread(api.clear_providers)
    nats_server.kill()
    with pytest.raises(ProviderNotReadyError):
        await registered(CutoverProvider(nats_server.url, wait=0.3))
    client = await registered(CutoverProvider(nats_server.url, keep_in=file))
    await until(lambda: client.get_provider_status() == ProviderStatus.STALE)
    found = client.get_boolean_details("a", False)
    assert (found.value, found.reason) == (True, Reason.STALE)
    nats_server.start()
    await until_written(projector, OFF)
    await until(lambda: not client.get_boolean_value("a", True))
    await until(lambda: client.get_provider_status() == ProviderStatus.READY)


def test_a_start_from_the_file_that_hears_nothing_leaves_it_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    Fed(ON, file=file).provider._source._save()
    before = file.read_bytes()
    provider = CutoverProvider("nats://127.0.0.1:1", keep_in=file, wait=0.1)
    provider.initialize()
    provider.shutdown()
    assert file.read_bytes() == before


async def test_a_start_from_the_file_beside_a_dead_projector_is_stale(
    projector: Projector, nats_server: NatsProcess, tmp_path: Path
) -> None:
    await projector.write(ON)
    first = CutoverProvider(nats_server.url, keep_in=tmp_path / "flags")
    await registered(first)
    await asyncio.to_thread(api.clear_providers)
    await projector.write(OFF)
    client = await registered(CutoverProvider(nats_server.url, keep_in=tmp_path / "flags"))
    found = client.get_boolean_details("a", True)
    assert (found.value, found.reason) == (False, Reason.STALE)
    await until(lambda: client.get_provider_status() == ProviderStatus.STALE)
    projector.start()
    await until(lambda: client.get_provider_status() == ProviderStatus.READY)
    assert client.get_boolean_details("a", True).reason == Reason.DISABLED


async def test_a_slow_disk_does_not_hold_up_a_rollback(
    projector: Projector, nats_server: NatsProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutover_openfeature.source.KEEP_EVERY", 0.05)
    file, begun, done = tmp_path / "flags", [], threading.Event()

    def sync(_: int) -> None:
        begun.append(time.monotonic())
        done.wait(10)

    monkeypatch.setattr("cutover_openfeature.kept.os.fsync", sync)
    await projector.write(ON)
    projector.start()
    provider = CutoverProvider(nats_server.url, keep_in=file)
    await registered(provider)
    try:
        await until(lambda: begun)
        await projector.write(OFF)
        await until(lambda: not provider.is_on("a"), within=3)
        await asyncio.sleep(0.3)
        assert len(begun) == 1, "one at a time"
    finally:
        done.set()
    await until(lambda: file.exists() and b"rolled_back" in file.read_bytes())


async def test_a_cold_start_without_nats_is_an_error_and_ready_when_it_comes(
    projector: Projector, nats_server: NatsProcess
) -> None:
    await projector.write(ON)
    nats_server.kill()
    provider = CutoverProvider(nats_server.url, wait=0.3)
    with pytest.raises(ProviderNotReadyError):
        await registered(provider)
    client = api.get_client(DOMAIN)
    assert client.get_provider_status() == ProviderStatus.ERROR
    found = client.get_boolean_details("a", True)
    assert (found.value, found.error_code) == (True, ErrorCode.PROVIDER_NOT_READY)
    nats_server.start()
    await until(lambda: client.get_provider_status() == ProviderStatus.READY)
    assert client.get_boolean_value("a", False)


async def test_a_provider_may_be_shut_down_and_begun_again(projector: Projector, nats_server: NatsProcess) -> None:
    await projector.write(ON)
    projector.start()
    provider = CutoverProvider(nats_server.url)
    for snapshot in (OFF, replace(ON, revision=12)):
        await asyncio.to_thread(provider.initialize)
        await projector.write(snapshot)
        assert await asyncio.to_thread(provider.wait_for, snapshot.revision)
        await asyncio.to_thread(provider.shutdown)
    assert provider.is_on("a")


async def test_what_was_shut_down_is_stale_and_begun_again_waits_for_news(
    projector: Projector, nats_server: NatsProcess
) -> None:
    await projector.write(ON)
    projector.start()
    provider = CutoverProvider(nats_server.url)
    await asyncio.to_thread(provider.initialize)
    assert provider.resolve_boolean_details("a", False).reason == Reason.STATIC
    await asyncio.to_thread(provider.shutdown)
    assert provider.resolve_boolean_details("a", False).reason == Reason.STALE
    await projector.write(OFF)
    await asyncio.to_thread(provider.initialize)
    assert provider.resolve_boolean_details("a", True).reason == Reason.DISABLED
    await asyncio.to_thread(provider.shutdown)


async def test_a_provider_that_is_set_again_while_it_is_being_shut_down_watches(
    projector: Projector, nats_server: NatsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK shuts down in a thread what it has replaced."""
    await projector.write(ON)
    stopping, stopped, stop = threading.Event(), threading.Event(), Watch.stop

    def stop_slowly(watch: Watch) -> None:
        stopping.set()
        time.sleep(0.2)
        stop(watch)
        stopped.set()

    monkeypatch.setattr(Watch, "stop", stop_slowly)
    first, second = CutoverProvider(nats_server.url), CutoverProvider(nats_server.url)
    await registered(first)
    await registered(second)
    assert stopping.wait(5)
    await registered(first)
    assert stopped.wait(5)
    await projector.write(OFF)
    assert await asyncio.to_thread(first.wait_for, OFF.revision)
    assert not api.get_client(DOMAIN).get_boolean_value("a", True)


async def test_a_key_that_is_removed_is_not_answered_any_more(projector: Projector, nats_server: NatsProcess) -> None:
    await projector.write(ON)
    projector.start()
    client = await registered(CutoverProvider(nats_server.url))
    await projector.bucket.remove("vaos", await projector.bucket.get("vaos"))
    await until(lambda: client.get_boolean_details("a", True).error_code == ErrorCode.FLAG_NOT_FOUND)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
async def test_a_child_process_watches_for_itself(projector: Projector, nats_server: NatsProcess) -> None:
    """As under a web server that loads the application before it forks."""
    await projector.write(ON)
    projector.start()
    program = f"""
        import os, sys, time
        from cutover_openfeature import CutoverProvider

        provider = CutoverProvider({nats_server.url!r})
        provider.initialize()
        child = os.fork()
        if child == 0:
            print("child", provider.is_on("a"), flush=True)
            until = time.monotonic() + 30
            while provider.is_on("a") and time.monotonic() < until:
                time.sleep(0.01)
            os._exit(provider.is_on("a"))
        _, status = os.waitpid(child, 0)
        provider.shutdown()
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    path = os.pathsep.join(sys.path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert await process.stdout.readline() == b"child True\n"
    await projector.write(OFF)
    assert await process.wait() == 0


async def test_it_says_nothing_while_its_interpreter_ends(
    projector: Projector, nats_server: NatsProcess, tmp_path: Path
) -> None:
    """The SDK's threads, and those that would write the file, are gone before the watch is."""
    await projector.write(ON)
    projector.start()
    program = f"""
        import atexit, time

        atexit.register(time.sleep, 1.5)  # the last to be called
        from cutover_openfeature import CutoverProvider, source
        from openfeature import api
        from openfeature.event import ProviderEvent

        source.KEEP_EVERY = source.KEEP_ANYWAY = 0.2
        api.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda details: None)
        api.set_provider_and_wait(CutoverProvider({nats_server.url!r}, keep_in={str(tmp_path / "flags")!r}))
        print("ends", flush=True)
    """
    path = os.pathsep.join(sys.path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(program)),
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert await process.stdout.readline() == b"ends\n"
    ended = asyncio.create_task(process.communicate())
    for revision in range(11, 100):
        await projector.write(replace(OFF if revision % 2 else ON, revision=revision))
        if (await asyncio.wait({ended}, timeout=0.1))[0]:
            break
    assert (await ended)[1].decode() == ""
    assert process.returncode == 0


def test_it_ends_with_its_interpreter() -> None:
    """No thread of it keeps a program alive that forgets to shut it down."""
    program = "from cutover_openfeature import CutoverProvider as P; P('nats://127.0.0.1:1')._source.start(0.01)"
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, check=True, timeout=60)
