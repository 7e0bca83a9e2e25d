"""Applications that evaluate in process and watch the flag bucket, many of them in one process.

`python -m benchmarks.reads.providers NATS PROVIDERS TOGGLE..` says what `benchmarks.reads.watchers` says.

One rule: each is the published provider with a thread and a connection of its own, as in an application of its own;
here they share one interpreter, which costs them more than anything that Cutover does.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from cutover_openfeature import CutoverProvider


class Watching:
    """What all of them have seen."""

    def __init__(self, toggles: Sequence[str]) -> None:
        self._toggles = toggles
        self._lock = threading.Lock()
        self._on: dict[int, int] = {}
        self._at: dict[int, float] = {}
        self._mixed = 0
        self.expected = -1

    def look(self, number: int, provider: CutoverProvider) -> None:
        """After a change: whether the toggles are on now."""
        with provider.pinned() as view:
            on = sum(view.is_on(toggle) for toggle in self._toggles)
        now = time.monotonic()
        with self._lock:
            if self._on.get(number) == on:
                return
            self._on[number], self._at[number] = on, now
            self._mixed += 0 < on < len(self._toggles)
            if len(self._at) == self.expected:
                cpu = time.process_time()
                _say(json.dumps({"at": [*self._at.values()], "cpu": cpu, "mixed": self._mixed}))
                self._at.clear()

    def begin(self, providers: int) -> None:
        """From now on a line is said when so many have seen a change."""
        with self._lock:
            self.expected = providers
            self._at.clear()


def main(nats: str, count: int, toggles: Sequence[str]) -> None:
    """Until the other side of stdout is gone."""
    watching = Watching(toggles)
    providers = [CutoverProvider(nats, wait=30.0) for _ in range(count)]
    for number, provider in enumerate(providers):

        def emitted(_provider: Any, _event: Any, _details: Any, number: int = number) -> None:
            watching.look(number, providers[number])

        provider.attach(emitted)
        provider.initialize()
        watching.look(number, provider)
    watching.begin(count)
    _say("ready")
    threading.Event().wait()


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
