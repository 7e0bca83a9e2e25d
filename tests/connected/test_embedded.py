"""The embedded server: one a folder, back after a crash, gone with its parent."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.log.nats import JetStreamLog
from services.log.streams import create_streams
from services.nats.connection import connect_nats, without_password
from services.nats.embedded import EmbeddedServer, FolderInUse, running_url
from services.nats.process import ServerFailed, find_server

pytestmark = pytest.mark.connected


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(tmp_path / "data with a space")
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def eventually(so: Callable[[], bool], within: float = 10) -> None:
    """Wait, bounded, until `so`."""
    end = asyncio.get_running_loop().time() + within
    while not so():
        assert asyncio.get_running_loop().time() < end, f"not so within {within:g} s"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_it_syncs_always_and_listens_to_this_machine_alone(server: EmbeddedServer) -> None:
    config = (server.folder / "nats.conf").read_text()
    assert "sync_interval: always" in config
    assert f'listen: "127.0.0.1:{server.port}"' in config


async def test_its_secrets_are_for_the_owner_alone(server: EmbeddedServer) -> None:
    for name in ("nats.secret", "nats.url", "nats/nats.conf"):
        assert stat.S_IMODE((server.data / name).stat().st_mode) == 0o600, name


async def test_nobody_gets_in_without_the_password(server: EmbeddedServer) -> None:
    with pytest.raises(ConnectionError, match="Authorization"):
        await connect_nats(f"nats://127.0.0.1:{server.port}", name="test", limit=1)


async def test_another_process_finds_it_by_its_folder(server: EmbeddedServer) -> None:
    assert running_url(server.data) == server.url
    await server.stop()
    assert running_url(server.data) is None
    assert running_url(server.data / "nothing") is None


async def test_records_are_there_after_a_restart_on_the_same_port(server: EmbeddedServer) -> None:
    connection = await connect_nats(server.url, name="test")
    try:
        await create_streams(connection.jetstream())
        log = JetStreamLog(connection)
        assert await log.append("vaos", b"one", expected=0, command_id="a") == 1
        port = server.port
        await server.stop()
        again = EmbeddedServer(server.data)
        await again.start()
        try:
            assert again.port == port
            assert [entry.data for entry in await log.read("vaos")] == [b"one"]
        finally:
            await again.stop()
    finally:
        await connection.close()


async def test_a_killed_server_is_started_again_and_clients_come_back(server: EmbeddedServer) -> None:
    supervising = asyncio.create_task(server.run())
    connection = await connect_nats(server.url, name="test")
    try:
        await create_streams(connection.jetstream())
        log = JetStreamLog(connection)
        for number in range(3):
            killed = server.pid
            server.kill()
            assert await log.append("vaos", b"%d" % number, expected=number, command_id=str(number)) == number + 1
            assert server.pid != killed
    finally:
        await connection.close()
        await server.stop()
        await asyncio.wait_for(supervising, 5)
    assert server.pid is None


async def test_a_second_one_on_the_folder_is_told_who_has_it(server: EmbeddedServer) -> None:
    with pytest.raises(FolderInUse, match=f"data with a space is in use by process {os.getpid()}"):
        await EmbeddedServer(server.data).start()
    assert server.pid is not None


SCRIPT = """
import asyncio, os, signal, sys
from pathlib import Path
from services.nats.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def start_elsewhere(data: Path) -> tuple[asyncio.subprocess.Process, int]:
    """A process with a server of its own on `data`, and that server's process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, str(data), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    return process, int(await asyncio.wait_for(process.stdout.readline(), 20))


async def test_two_processes_on_one_folder_do_not_both_start(tmp_path: Path) -> None:
    process, _ = await start_elsewhere(tmp_path)
    try:
        with pytest.raises(FolderInUse, match=f"{tmp_path} is in use by process {process.pid}"):
            await EmbeddedServer(tmp_path).start()
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_kill_9_of_the_process_takes_the_server_with_it(tmp_path: Path) -> None:
    process, pid = await start_elsewhere(tmp_path)
    assert alive(pid)
    process.kill()
    await process.communicate()
    await eventually(lambda: not alive(pid))
    assert running_url(tmp_path) is None


async def test_a_server_left_behind_is_ended_before_a_new_one_starts(tmp_path: Path) -> None:
    first = EmbeddedServer(tmp_path)
    await first.start()
    left = first.pid
    assert left is not None
    assert first._lock is not None
    first._lock.close()  # what the kernel does for a process that was killed
    second = EmbeddedServer(tmp_path)
    await second.start()
    try:
        assert not alive(left)
        assert second.pid != left
    finally:
        first._lock = None
        await second.stop()
        await first.stop()


async def test_a_pid_file_that_now_names_another_program_ends_nothing(tmp_path: Path) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "pid").write_text(str(bystander.pid))
    server = EmbeddedServer(tmp_path)
    await server.start()
    try:
        assert alive(bystander.pid)
    finally:
        await server.stop()
        bystander.kill()
        await bystander.wait()


async def test_a_binary_that_is_no_nats_server_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="/bin/true is not a nats-server"):
        await EmbeddedServer(tmp_path, binary="/bin/true").start()
    old = tmp_path / "old-server"
    old.write_text("#!/bin/sh\necho nats-server: v2.9.10\n")
    old.chmod(0o755)
    with pytest.raises(ServerFailed, match=r"v2\.9\.10; expected 2\.12 or newer"):
        find_server(str(old))


async def test_a_server_that_cannot_start_says_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "jetstream").write_text("a file where a folder belongs")
    with pytest.raises(ServerFailed, match=r"did not start on .*JetStream"):
        await EmbeddedServer(tmp_path).start()


def test_an_address_is_shown_without_its_password() -> None:
    assert without_password("nats://u:secret@a:4222, nats://b:4223") == "nats://a:4222,nats://b:4223"
