"""Unleash, the open-source feature flag server, on a PostgreSQL of its own.

One rule: set up to be as fast as it can be: its rate limits are raised, no telemetry, no metrics of requests.
Its toggles are made by its own admin API, as its users make them.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.postgres_process import INSTALLED, MISSING, PostgresProcess, free_port

HERE = Path(__file__).parent
ENVIRONMENT = "development"
ADMIN = "*:*.cutover-benchmark-admin"
FRONTEND = f"*:{ENVIRONMENT}.cutover-benchmark-frontend"
BACKEND = f"*:{ENVIRONMENT}.cutover-benchmark-backend"
_LIMIT = "1000000000"
_FEATURES = "/api/admin/projects/default/features"


class NotInstalled(Exception):
    """What it needs is not on this machine; the text says how to get it."""


class Unleash(NamedTuple):
    """Where it is, the process that serves, and a client that may do everything."""

    port: int
    pid: int
    admin: httpx.Client

    def make(self, toggles: tuple[str, ...], share: int = 100) -> None:
        """Toggles with one strategy each (so many percent of all users), switched off."""
        for toggle in toggles:
            _fine(self.admin.post(f"{_FEATURES}", json={"name": toggle, "type": "release"}))
            strategy = {"name": "flexibleRollout", "parameters": _of_all(toggle, share)}
            _fine(self.admin.post(f"{_FEATURES}/{toggle}/environments/{ENVIRONMENT}/strategies", json=strategy))

    def switch(self, toggle: str, on: bool) -> None:
        """One toggle; there is no call for several that readers would see as one."""
        _fine(self.admin.post(f"{_FEATURES}/{toggle}/environments/{ENVIRONMENT}/{'on' if on else 'off'}"))


@contextmanager
def unleash(folder: Path) -> Iterator[Unleash]:
    """A running server without toggles. Raises NotInstalled."""
    node, server = _installed()
    database, port = PostgresProcess(), free_port()
    database.start()
    environ = {**os.environ, **_settings(port, database.url)}
    with (folder / "unleash.log").open("wb") as output:
        process = subprocess.Popen([node, server], cwd=folder, env=environ, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, url, folder / "unleash.log")
        with httpx.Client(base_url=url, headers={"Authorization": ADMIN}, timeout=30) as admin:
            yield Unleash(port, process.pid, admin)
    finally:
        process.terminate()
        process.wait(30)
        database.stop()


def _installed() -> tuple[Path, Path]:
    modules = HERE / "node_modules"
    node, server = modules / ".bin" / "node", modules / "unleash-server" / "dist" / "server.js"
    if not INSTALLED:
        raise NotInstalled(MISSING)
    if not (node.exists() and server.exists()):
        raise NotInstalled(f"Unleash is not installed: npm ci --prefix {HERE}")
    return node, server


def _settings(port: int, database: str) -> dict[str, str]:
    limits = (
        "REGISTER_CLIENT_RATE_LIMIT_PER_MINUTE",
        "CLIENT_METRICS_RATE_LIMIT_PER_MINUTE",
        "REGISTER_FRONTEND_RATE_LIMIT_PER_MINUTE",
        "FRONTEND_METRICS_RATE_LIMIT_PER_MINUTE",
        "TOKEN_AUTHENTICATION_RATE_LIMIT_PER_MINUTE",
        "SDK_API_RATE_LIMIT_PER_MINUTE",
    )
    return {
        "DATABASE_URL": database,
        "DATABASE_SSL": "false",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "NODE_ENV": "production",
        "INIT_ADMIN_API_TOKENS": ADMIN,
        "INIT_FRONTEND_API_TOKENS": FRONTEND,
        "INIT_BACKEND_API_TOKENS": BACKEND,
        "CHECK_VERSION": "false",
        "SEND_TELEMETRY": "false",
        "LOG_LEVEL": "error",
        **dict.fromkeys(limits, _LIMIT),
    }


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Its first start makes its tables, which takes a while."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"Unleash did not start: {log.read_text(errors='replace')[-2000:]}")


def _of_all(toggle: str, share: int) -> dict[str, str]:
    return {"rollout": str(share), "stickiness": "default", "groupId": toggle}


def _fine(answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        raise RuntimeError(f"Unleash answered {answer.status_code} to {answer.url}: {answer.text[:500]}")
