"""From one command to many watching clients, which are processes of their own.

One rule: the time runs from the command's answer until a client has the new value of all toggles, by the clock that
all processes of the machine share.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

PATIENCE = 60.0  # seconds
PAUSE = 0.1  # seconds between two switches


class Flip(NamedTuple):
    """One switch: milliseconds until each client had seen it, the CPU time of all clients, and mixed answers so far."""

    after: Sequence[float]
    cpu: float
    mixed: int


class Watchers:
    """A process of watching clients: see `benchmarks.reads.watchers`."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output
        self._cpu = 0.0

    def line(self) -> str:
        """The next thing they say."""
        ready, _, _ = select.select([self._output], [], [], PATIENCE)
        line = self._output.readline() if ready else ""
        if not line:
            why = "have ended" if ready else f"have said nothing for {PATIENCE:g} s"
            raise RuntimeError(f"the watching clients {why}")
        return line

    def flip(self, answered: float) -> Flip:
        """What they saw after the command that was answered then."""
        told = json.loads(self.line())
        used, self._cpu = told["cpu"] - self._cpu, told["cpu"]
        return Flip([(at - answered) * 1000 for at in told["at"]], used * 1000, told["mixed"])


@contextmanager
def watching(module: str, *arguments: str) -> Iterator[Watchers]:
    """Watching clients that are ready."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    try:
        watchers = Watchers(process.stdout)
        if watchers.line() != "ready\n":
            raise RuntimeError("the watching clients are not ready")
        yield watchers
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def switched(
    times: int, watchers: Watchers, switch: Callable[[bool], None], prepare: Callable[[bool], None]
) -> list[Flip]:
    """Switch on and off so many times; each time all clients have seen it before the next. The first warms up."""
    found = []
    for number in range(times + 2):
        on = number % 2 == 0
        prepare(on)
        time.sleep(PAUSE)
        switch(on)
        found.append(watchers.flip(time.monotonic()))
    return found[2:]
