"""`cutover up` as a process of its own, for tests that use, kill and restart the whole service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
START_LIMIT = 40.0  # seconds; the machine may be busy


class ServiceProcess:
    """One `cutover up` on a data folder. `start()`, `kill()` and start again; `client` speaks as the admin."""

    def __init__(self, data: Path, *, environ: dict[str, str] | None = None, run: tuple[str, ...] = ("up",)) -> None:
        """`run`: `up`, or `run ROLE` against the CUTOVER_NATS of `environ`."""
        self.data = data
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environ = environ or {}
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []

    def start(self, when: str = "/readyz") -> None:
        """Return when `GET /readyz` (or `/healthz`: it need not be ready) is 200."""
        where = {"CUTOVER_PORT": str(self.port), "CUTOVER_DATA": str(self.data)}
        environ = {**os.environ, **self._environ, **where}
        command = [sys.executable, "-m", "services.cli", *self._run]
        with (self.data.parent / f"{self.data.name}.log").open("ab") as output:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
        self.wait_until(lambda: self._is(when), START_LIMIT)

    def _is(self, when: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the service ended with {self._process.returncode}: {self.output()[-2000:]}")
        try:
            return httpx.get(f"{self.url}{when}", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until(self, true: Callable[[], bool], limit: float) -> None:
        """Until the condition holds; an AssertionError with the service's output after `limit` seconds."""
        until = time.monotonic() + limit
        while not true():
            if time.monotonic() > until:
                raise AssertionError(f"not so after {limit:g} s; the service said: {self.output()[-2000:]}")
            time.sleep(0.02)

    def output(self) -> str:
        """What the service has printed."""
        return (self.data.parent / f"{self.data.name}.log").read_text(errors="replace")

    def kill(self) -> None:
        """kill -9 of the process; the embedded nats-server goes with it."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        """Kill it, and hang up on it."""
        self.kill()
        for client in self._clients:
            client.close()

    @property
    def pid(self) -> int:
        """The process id of the running service."""
        assert self._process is not None
        return self._process.pid

    # -- speaking to it

    @property
    def admin_token(self) -> str:
        return (self.data / "admin.token").read_text().strip()

    def client(self, token: str = "") -> httpx.Client:
        """A client that speaks as the admin, or as whoever the token is."""
        headers = {"Authorization": f"Bearer {token or self.admin_token}"}
        self._clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=30))
        return self._clients[-1]

    def person(self, name: str, role: str, *titles: str) -> httpx.Client:
        """A client that speaks as this person, who is made known first."""
        return self.client(self.token(name, role, *titles))

    def token(self, name: str, role: str, *titles: str) -> str:
        """A new token for this person."""
        answer = self.client().post("/v1/tokens", json={"name": name, "role": role, "titles": list(titles)})
        token: str = answer.raise_for_status().json()["token"]
        return token


def ask(client: httpx.Client, rollout: str, type_: str, /, **fields: Any) -> httpx.Response:
    """Send one command."""
    return client.post(f"/v1/rollouts/{rollout}/commands", json={"type": type_, **fields})


def _free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])
