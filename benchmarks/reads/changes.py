"""How soon a change is seen by who asks every millisecond, and whether the toggles were ever seen mixed.

One rule: the time runs from the answer to the (last) command to the first read that has the new value of all four
toggles; the one who asks does so in a thread, before the command, during it and after. A switch during which other
machines took a processor is told apart: who was wanted then did not run.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from benchmarks.processors import ticks

MOST = 3  # times as many switches, until as many as asked for are undisturbed
PATIENCE = 30.0  # seconds
EVERY = 0.001  # seconds between an answer and the next question; without it the asking alone would keep a core busy


class Seen(NamedTuple):
    """One switch: milliseconds from its answer until it was seen, how many reads had some toggles new, some old, and
    hundredths of a second that other machines took from shortly before it until shortly after."""

    after: float
    mixed: int
    taken: int


class Look(NamedTuple):
    """One read: when it was answered (seconds, monotonic), and how many of the toggles were on."""

    at: float
    on: int


class Asking(threading.Thread):
    """Asks again and again how many of the toggles are on."""

    def __init__(self, ask: Callable[[], int]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._ending = threading.Event()
        self.looks: list[Look] = []
        self.failed: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._ending.wait(EVERY):
                on = self._ask()
                self.looks.append(Look(time.monotonic(), on))
        except BaseException as error:
            self.failed = error

    def since(self, begin: int, on: int) -> list[Look]:
        """The reads from the `begin`th on, once one of them has so many toggles on."""
        until = time.monotonic() + PATIENCE
        while not any(look.on == on for look in self.looks[begin:]):
            if self.failed:
                raise self.failed
            if time.monotonic() > until:
                raise RuntimeError(f"not {on} toggles on after {PATIENCE:g} s")
            time.sleep(0.001)
        return self.looks[begin:]

    def stop(self) -> None:
        self._ending.set()
        self.join()


def switched(
    times: int,
    toggles: int,
    ask: Callable[[], int],
    switch: Callable[[bool], None],
    prepare: Callable[[bool], None] = lambda _on: None,
    *,
    pause: float = 0.05,
) -> list[Seen]:
    """Switch all toggles on and off, each time after the last one was seen and a pause, until so many switches are
    undisturbed, or MOST times as many are made. At the end the toggles are off.

    The pause is random, up to so many seconds: what looks at its database every second would otherwise always be
    switched right after it has looked.
    """
    chance = random.Random(1)
    asking = Asking(ask)
    asking.start()
    found: list[Seen] = []
    try:
        while len(found) % 2 or (len(undisturbed(found)) < times and len(found) < MOST * times):
            on = len(found) % 2 == 0
            prepare(on)
            time.sleep(chance.uniform(0.01, pause))
            before = ticks()
            begin = len(asking.looks)
            switch(on)
            answered = time.monotonic()
            looks = asking.since(begin, toggles if on else 0)
            seen = next(look.at for look in looks if look.on == (toggles if on else 0))
            time.sleep(0.01)  # what was taken is counted by the hundredth
            mixed = sum(0 < look.on < toggles for look in looks)
            found.append(Seen((seen - answered) * 1000, mixed, ticks().taken - before.taken))
    finally:
        asking.stop()
    return found


def undisturbed(seen: Sequence[Seen]) -> list[Seen]:
    """Those during which no other machine took a processor."""
    return [each for each in seen if not each.taken]


def percentile(values: Sequence[float], share: int) -> float:
    """The `share`th of a hundred, between the two nearest."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
