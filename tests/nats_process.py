"""A real nats-server process for one test: started in about 0.1 s, killed, frozen and restarted at will.

One rule: what is tested here is the server that runs in production, with `sync_interval: always`; nothing imitates it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

from services.nats.process import find_server

READY_WITHIN = 10.0  # seconds


class NatsProcess:
    """nats-server with JetStream on a free port of 127.0.0.1, files in `folder`. A restart keeps the port."""

    def __init__(self, folder: Path, *, jetstream: str = "") -> None:
        self.folder = folder
        self.store = folder / "store"
        self.password = secrets.token_hex(8)
        self.port = -1
        self.jetstream = jetstream
        self._process: subprocess.Popen[bytes] | None = None
        self._binary = find_server()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"nats://test:{self.password}@127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, within: float = READY_WITHIN) -> None:
        """Return when clients can connect; AssertionError after `within` seconds."""
        config = self.folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{self.folder}"\n'
            f'log_file: "{self.folder / "server.log"}"\n'
            f'jetstream {{ store_dir: "{self.store}", sync_interval: always\n{self.jetstream} }}\n'
            f'authorization {{ user: test, password: "{self.password}" }}\n'
        )
        self._process = subprocess.Popen([self._binary, "-c", str(config)], stdin=subprocess.DEVNULL)
        ports = self.folder / f"nats-server_{self._process.pid}.ports"
        self.port = int(self._wait_for(ports, within).rsplit(":", 1)[1])

    def _wait_for(self, ports: Path, within: float) -> str:
        assert self._process is not None
        end = time.monotonic() + within
        while time.monotonic() < end and self._process.poll() is None:
            try:
                return str(json.loads(ports.read_text())["nats"][0])
            except (OSError, ValueError):
                time.sleep(0.005)
        raise AssertionError(f"nats-server did not start: {self.log()}")

    def log(self) -> str:
        """What the server wrote so far."""
        return (self.folder / "server.log").read_text() if (self.folder / "server.log").exists() else ""

    def stop(self) -> None:
        """End it cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """kill -9 and start again on the same port and files."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(how)
        self._process.wait(timeout=10)
