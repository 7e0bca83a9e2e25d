"""How soon a change is seen by who asks every millisecond, and whether the toggles were ever seen mixed.

One rule: the time runs from the answer to the (last) command to the first read that has the new value of all four
toggles; the one who asks does so in a thread, before the command, during it and after.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

PATIENCE = 30.0  # seconds
EVERY = 0.001  # seconds between an answer and the next question; without it the asking alone would keep a core busy


class Seen(NamedTuple):
    """One switch: milliseconds from its answer until it was seen, and how many reads had some toggles new, some old."""

    after: float
    mixed: int


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
    """Switch all toggles on and off so many times, each time after the last one was seen and a pause.

    The pause is random, up to so many seconds: what looks at its database every second would otherwise always be
    switched right after it has looked.
    """
    chance = random.Random(1)
    asking = Asking(ask)
    asking.start()
    found = []
    try:
        for number in range(times):
            on = number % 2 == 0
            prepare(on)
            time.sleep(chance.uniform(0.01, pause))
            begin = len(asking.looks)
            switch(on)
            answered = time.monotonic()
            looks = asking.since(begin, toggles if on else 0)
            seen = next(look.at for look in looks if look.on == (toggles if on else 0))
            found.append(Seen((seen - answered) * 1000, sum(0 < look.on < toggles for look in looks)))
    finally:
        asking.stop()
    return found


def percentile(values: Sequence[float], share: int) -> float:
    """The `share`th of a hundred, between the two nearest."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]
