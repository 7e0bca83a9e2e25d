"""Requests a second, how long each took, and what it cost the server: by wrk, which costs next to nothing itself.

One rule: the loads take turns, round by round, so that a noisy minute hits all of them alike; the server has a core to
itself, wrk another. What counts is the server's own CPU time: it is least touched by what else the machine does.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = (1, 32)
ROUNDS = 7
SECONDS = 1
SCRIPT = Path(__file__).with_name("wrk.lua")
MISSING = "NO WRK HERE, so nothing can be measured: apt-get install --no-install-recommends wrk"


class Load(NamedTuple):
    """One kind of request to one server. USER in path and body is another of 1,000 users each time, NEW a new one."""

    pid: int
    port: int
    method: str
    path: str
    body: str = ""
    headers: Mapping[str, str] = {}


class Cost(NamedTuple):
    """Requests a second, milliseconds, and microseconds of the server's CPU a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


def require_wrk() -> None:
    """Ends the run with words where it is not installed."""
    if not shutil.which("wrk"):
        raise SystemExit(MISSING)


def measure(loads: Mapping[str, Load]) -> dict[tuple[str, int], Cost]:
    """Each load at 1 and at 32 connections: the medians of the rounds after the first."""
    found: dict[tuple[str, int], list[Cost]] = {(name, n): [] for name in loads for n in CONNECTIONS}
    with apart([load.pid for load in loads.values()]):
        for _ in range(ROUNDS + 1):
            for name, connections in found:
                found[name, connections].append(_round(loads[name], connections))
    return {which: Cost(*map(statistics.median, zip(*costs[1:], strict=True))) for which, costs in found.items()}


def _round(load: Load, connections: int) -> Cost:
    headers = [f"{name}: {value}" for name, value in load.headers.items()]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{load.port}", "--", load.method, load.path, load.body, *headers]
    before = cpu_seconds(load.pid)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(load.pid) - before
    told = json.loads(said.splitlines()[-1])
    if told["errors"] or not told["requests"]:
        raise RuntimeError(f"{load.method} {load.path}: {said}")
    return Cost(told["requests"] / told["seconds"], told["p50"], told["p99"], used / told["requests"] * 1e6)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, of all its threads, in user and system mode (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def apart(pids: Sequence[int]) -> Iterator[None]:
    """These processes on the first core, this one and what it starts on the last; afterwards on all again."""
    cores = sorted(os.sched_getaffinity(0))
    _keep({os.getpid()}, {cores[-1]})
    _keep(set(pids), {cores[0]})
    try:
        yield
    finally:
        _keep({os.getpid(), *pids}, set(cores))


def _keep(pids: set[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
