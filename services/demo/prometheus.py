"""Debian's Prometheus as a process of the live demo: a free port of this machine, a temporary folder, one target.

One rule: it is only ever the machine's own; where there is none, that is said with how to get it.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import httpx

from services.client import CannotAsk
from services.nats.process import bound

EVERY = "1s"  # between scrapes
PATIENCE = 30.0  # seconds until it answers


def find() -> str:
    """The binary, or CannotAsk with how to install it."""
    found = shutil.which("prometheus") or shutil.which("prometheus", path="/usr/bin:/usr/local/bin")
    if not found:
        raise CannotAsk(
            "The live demo measures with Prometheus, which is not installed here",
            "Debian and Ubuntu: apt-get install --no-install-recommends prometheus",
            "Elsewhere: put `prometheus` (https://prometheus.io/download/) on the PATH",
            "Without it: cutover demo, on an imagined clock",
        )
    return found


class LocalPrometheus:
    """Scrapes `target` (host:port) every second while it is entered. `url` is its address."""

    def __init__(self, target: str) -> None:
        self._binary = find()
        self._target = target
        self._folder = tempfile.TemporaryDirectory(prefix="cutover-prometheus-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> LocalPrometheus:
        folder = Path(self._folder.name)
        jobs = [{"job_name": "vets-api", "static_configs": [{"targets": [self._target]}]}]
        config = {"global": {"scrape_interval": EVERY, "scrape_timeout": EVERY}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = bound(
            self._binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=warn",
        )
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._until_ready(folder / "log")
        return self

    def _until_ready(self, log: Path) -> None:
        assert self._process is not None
        until = time.monotonic() + PATIENCE
        while not self._ready():
            if time.monotonic() > until or self._process.poll() is not None:
                self._end()
                raise CannotAsk(f"Prometheus ({self._binary}) did not start", log.read_text()[-500:])
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
