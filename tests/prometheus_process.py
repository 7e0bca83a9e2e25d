"""Debian's Prometheus as a process of its own, filled with a past that a test wrote.

One rule: samples are backfilled by promtool at fixed times, so no test waits for a scrape or depends on the hour.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx
import pytest

MISSING = "NO PROMETHEUS HERE, nothing is measured in this run: apt-get install --no-install-recommends prometheus"
INSTALLED = shutil.which("prometheus") is not None and shutil.which("promtool") is not None
needs_prometheus = pytest.mark.prometheus  # skipped by tests/conftest.py where it is missing

Points = Iterable[tuple[float, float]]


class PrometheusProcess:
    """One server on a folder. `fill` before `start`; `url` is its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{any_port.getsockname()[1]}"

    def fill(self, series: Mapping[str, Points]) -> None:
        """Write blocks with these series: `name{label="x"}` -> (Unix seconds, value) pairs."""
        names = sorted({name.partition("{")[0] for name in series})
        lines = []
        for name in names:
            lines.append(f"# TYPE {name} gauge")  # an open metrics counter must be called .._total
            for key, points in series.items():
                if key.partition("{")[0] == name:
                    lines += [f"{key} {value!r} {at:.3f}" for at, value in points]
        text = self._folder / "backfill.txt"
        self._folder.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join([*lines, "# EOF", ""]))
        done = subprocess.run(
            ["promtool", "tsdb", "create-blocks-from", "openmetrics", "-q", str(text), str(self._folder / "data")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout

    def start(self, config: str = "global: {}\n", limit: float = 30.0) -> None:
        """Return when it answers."""
        (self._folder / "prometheus.yml").write_text(config)
        command = [
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=50y",
            "--web.listen-address=" + self.url.removeprefix("http://"),
            "--log.level=warn",
        ]
        output = (self._folder / "prometheus.log").open("wb")
        with output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        until = time.monotonic() + limit
        while not self._ready():
            if time.monotonic() > until or self._process.poll() is not None:
                raise AssertionError(f"prometheus is not up: {(self._folder / 'prometheus.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it at once; may be called again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


def every(seconds: float, begin: float, end: float, value: float = 1.0) -> list[tuple[float, float]]:
    """A counter that grows by `value` at each look, from 0."""
    looks = range(int((end - begin) // seconds) + 1)
    return [(begin + n * seconds, n * value) for n in looks]
