"""Requests a second, how long each took, and what it cost the server: by wrk, which costs next to nothing itself.

One rule: the loads take turns, round by round, so that a noisy minute hits all of them alike; the server has a core to
itself, wrk another. What counts is the server's own CPU time: it is least touched by what else the machine does. A
round during which other machines took the processors is taken again.
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

from benchmarks.processors import ticks

CONNECTIONS = (1, 32)
ROUNDS = 7
MOST = 3 * ROUNDS
DISTURBED = 0.02  # of what was wanted during a round: taken by other machines
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


class Costs(NamedTuple):
    """By load and connections, the medians of the rounds that count; and how many rounds were taken, and disturbed."""

    of: dict[tuple[str, int], Cost]
    rounds: int
    disturbed: int


class Round(NamedTuple):
    """What it cost, and which share of the processors other machines took meanwhile."""

    cost: Cost
    taken: float


def measure(loads: Mapping[str, Load]) -> Costs:
    """Each load at 1 and at 32 connections, once to warm up and then until ROUNDS rounds are undisturbed, or MOST are
    taken; the ROUNDS least disturbed ones count."""
    found: dict[tuple[str, int], list[Round]] = {(name, n): [] for name in loads for n in CONNECTIONS}
    with apart([load.pid for load in loads.values()]):
        for name, connections in found:
            _round(loads[name], connections)
        while wanting := [which for which, rounds in found.items() if _wants_more(rounds)]:
            for name, connections in wanting:
                found[name, connections].append(_round(loads[name], connections))
    rounds = [each for taken in found.values() for each in taken]
    costs = {which: _median(taken) for which, taken in found.items()}
    return Costs(costs, len(rounds), sum(each.taken > DISTURBED for each in rounds))


def _wants_more(rounds: Sequence[Round]) -> bool:
    return len(rounds) < MOST and sum(each.taken <= DISTURBED for each in rounds) < ROUNDS


def _median(rounds: Sequence[Round]) -> Cost:
    counting = sorted(rounds, key=lambda each: each.taken)[:ROUNDS]
    return Cost(*map(statistics.median, zip(*(each.cost for each in counting), strict=True)))


def _round(load: Load, connections: int) -> Round:
    headers = [f"{name}: {value}" for name, value in load.headers.items()]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{load.port}", "--", load.method, load.path, load.body, *headers]
    before, started = ticks(), cpu_seconds(load.pid)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used, taken = cpu_seconds(load.pid) - started, ticks().share_since(before)
    told = json.loads(said.splitlines()[-1])
    if told["errors"] or not told["requests"]:
        raise RuntimeError(f"{load.method} {load.path}: {said}")
    cost = Cost(told["requests"] / told["seconds"], told["p50"], told["p99"], used / told["requests"] * 1e6)
    return Round(cost, taken)


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
