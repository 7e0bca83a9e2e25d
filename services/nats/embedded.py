"""The nats-server that `cutover up` starts for itself, in its data folder.

One rule: one folder, one server. A lock keeps a second `cutover up` out, a server left behind by a killed one is ended
before a new one starts, and a server that dies is started again on its port. `sync_interval: always`: nothing else
keeps acknowledged records through a power cut.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from services.nats.connection import CannotConnect, connect_nats
from services.nats.process import ServerFailed, command_line, end, end_pid, find_server, launch

logger = logging.getLogger("cutover.embedded")

READY_WITHIN = 20.0  # seconds; recovery of a large store takes some
USER = "cutover"


class FolderInUse(RuntimeError):
    """Another process works on this data folder. The text names the folder and the process."""


class EmbeddedServer:
    """nats-server on `data`; `await start()`, keep `run()` running, `await stop()`."""

    def __init__(self, data: Path, *, binary: str = "") -> None:
        self.data = data.absolute()
        self.folder = self.data / "nats"
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._lock: TextIO | None = None
        self._stopping = asyncio.Event()
        self._changing = asyncio.Lock()  # starting and stopping never overlap
        self.port = 0

    @property
    def url(self) -> str:
        """Where clients connect, password included."""
        return _url(self._password(), self.port)

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None if there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Return when clients can connect. Raises FolderInUse or ServerFailed."""
        self._prepare()
        try:
            await self._end_leftover()
            self._stopping.clear()
            await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def run(self) -> None:
        """Start the server again whenever it dies, until `stop()`."""
        pause = 0.1
        while not self._stopping.is_set():
            if self._process is not None:
                code = await self._process.wait()
                if self._stopping.is_set():
                    return
                logger.error("nats-server ended by itself (%s); starting it again", _ending(code))
            try:
                await self._launch()
                pause = 0.1
            except ServerFailed as error:
                logger.error("%s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(pause * 2, 5.0)

    async def stop(self) -> None:
        """End the server cleanly and give the folder free. Does nothing when it is not running."""
        self._stopping.set()
        async with self._changing:
            if self._process is not None:
                await end(self._process)
        if self._lock is not None:
            self._url_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def kill(self) -> None:
        """kill -9, as a crash would: for tests."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    # -- the folder

    @property
    def _url_file(self) -> Path:
        return self.data / "nats.url"

    def _prepare(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._take_lock()
        if not (self.data / "nats.secret").exists():
            _write(self.data / "nats.secret", secrets.token_hex(24))

    def _take_lock(self) -> None:
        """flock: the kernel gives it up with the process, however that ends."""
        lock = (self.data / "nats.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise FolderInUse(
                f"the data folder {self.data} is in use by process {holder}; stop that, or choose another --data"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _password(self) -> str:
        return (self.data / "nats.secret").read_text().strip()

    def _known_port(self) -> int:
        """The port used before if it is free, so that clients find the server again; otherwise a free one."""
        last = self.port or _port_in(self.folder / "port")
        return last if last and _is_free(last) else _free_port()

    # -- the process

    async def _end_leftover(self) -> None:
        """End a server of this folder that outlived a killed `cutover up`: two would write one store."""
        with suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            if str(self.folder) in command_line(pid):
                logger.warning("ending nats-server %d, left behind on %s", pid, self.data)
                await end_pid(pid)

    async def _launch(self) -> None:
        async with self._changing:
            if not self._stopping.is_set():
                await self._start_process()

    async def _start_process(self) -> None:
        binary = find_server(self._binary)
        self.port = self._known_port()
        _write(self.folder / "nats.conf", self._config())
        self._process = await launch(binary, "-c", str(self.folder / "nats.conf"))
        await self._ready()
        _write(self.folder / "port", str(self.port))
        _write(self._url_file, self.url)
        logger.info("nats-server %s on port %d, files in %s", self.pid, self.port, self.folder)

    def _config(self) -> str:
        return (
            f'listen: "127.0.0.1:{self.port}"\n'
            f"pid_file: {_quoted(self.folder / 'pid')}\n"
            f"log_file: {_quoted(self.folder / 'nats-server.log')}\n"
            "logfile_size_limit: 10MB\nlogfile_max_num: 3\n"
            "max_payload: 1MB\n"
            f"jetstream {{ store_dir: {_quoted(self.folder)}, sync_interval: always }}\n"
            f'authorization {{ user: "{USER}", password: "{self._password()}" }}\n'
        )

    async def _ready(self) -> None:
        """Wait until a client gets in; a process that ends before has failed."""
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        connecting = asyncio.create_task(
            connect_nats(self.url, name="start", limit=READY_WITHIN, reconnect_time_wait=0.02)
        )
        try:
            await asyncio.wait({ended, connecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (ended, connecting):
                task.cancel()
        try:
            await (await connecting).close()
        except (CannotConnect, asyncio.CancelledError) as error:
            await end(self._process)
            raise ServerFailed(f"nats-server did not start on {self.data}: {self._last_words()}") from error

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "nats-server.log").read_text(errors="replace").splitlines()[-5:]
        except OSError:
            lines = []
        return " / ".join(lines) or "it wrote no log; is the binary a nats-server?"


def running_url(data: Path) -> str | None:
    """The address of the server that runs on `data`, as another process of this machine may use it; None: none does."""
    try:
        with (data / "nats.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None  # nobody holds the folder: a file nats.url is a leftover
    except FileNotFoundError:
        return None
    except OSError:
        with suppress(FileNotFoundError):
            return (data / "nats.url").read_text().strip()
    return None


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)


def _url(password: str, port: int) -> str:
    return f"nats://{USER}:{password}@127.0.0.1:{port}"


def _write(path: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600, exist_ok=False)
    beside.write_text(text)
    beside.replace(path)


def _port_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _is_free(port: int) -> bool:
    with socket.socket() as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trying.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
