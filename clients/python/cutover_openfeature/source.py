"""Where the flags come from, put together: what is known, the watch that keeps it so, the file, and who is told.

One rule: a child process watches for itself. Threads do not survive a fork, and flags that nobody watches would never
be seen to be switched off.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cutover_openfeature import kept
from cutover_openfeature.clock import Clock
from cutover_openfeature.events import Emit, Teller
from cutover_openfeature.known import Known
from cutover_openfeature.view import View
from cutover_openfeature.watch import Watch, check

KEEP_EVERY = 1.0  # seconds, when something has changed
KEEP_ANYWAY = 30.0  # seconds, so that it says how old it is

WAIT_WHEN_KEPT = 2.0  # seconds that a start waits for news of what is known: a mark comes every second


class Source:
    """`known`, from `start()` to `stop()`."""

    def __init__(
        self,
        servers: str,
        tester_key: bytes | None,
        file: Path | None,
        bucket: str,
        wall: Callable[[], float],
        options: dict[str, Any],
        emit: Emit,
    ) -> None:
        check(options)
        self.known = Known(tester_key, Clock(wall))
        self._servers = [address for server in servers.split(",") if (address := server.strip())]
        if not self._servers:
            raise ValueError("no server is named: there is nothing to watch")
        self._file = file
        self._bucket = bucket
        self._options = options
        self._emit = emit
        self._teller = Teller(emit)
        self._watch: Watch | None = None
        self._saved: View | None = None
        self._saved_at = 0.0
        self._saving: asyncio.Future[None] | None = None
        self._lock = threading.Lock()  # the SDK starts and stops in different threads
        _watch_after_fork(self)

    def start(self, wait: float) -> bool:
        """Whether anything is known, after at most `wait` seconds."""
        with self._lock:
            if self._watch is None:
                if self._file and (found := kept.read(self._file)):
                    self.known.take_up(found)
                    self._saved = self.known.view
                self._begin()
            self.known.wait(lambda view: not view.stale_since, min(wait, WAIT_WHEN_KEPT) if self.known.view else wait)
            self._teller.started(self.known.view)
            return self.known.view is not None

    def _begin(self) -> None:
        self._saving = None
        self._watch = Watch(self._servers, self.known, self._on_tick, self._bucket, self._options)
        self._watch.start()

    def stop(self) -> None:
        """Hang up, and keep what is known."""
        with self._lock:
            self._teller.ended()
            if self._watch is not None:
                self._watch.stop()
                self._watch = None
                if self._has_news():
                    self._save()
                self.known.hung_up()

    def _on_tick(self) -> None:
        self._teller.tell(self.known.view)
        every = KEEP_ANYWAY if self.known.view is self._saved else KEEP_EVERY
        due = self._file and time.monotonic() - self._saved_at > every and self._has_news()
        if due and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().run_in_executor(None, self._save)

    def _has_news(self) -> bool:
        """Something that the file does not say; of what has not changed, that it is still so."""
        view = self.known.view
        return view is not None and (view is not self._saved or not view.stale_since)

    def _save(self) -> None:
        """One at a time, and not in the watch's thread: a disk may take seconds."""
        self._saved, self._saved_at = self.known.view, time.monotonic()
        if self._file and (state := self.known.kept()):
            kept.write(self._file, state)

    def _in_child(self) -> None:
        self._lock = threading.Lock()
        self.known.after_fork()
        self._teller = Teller(self._emit)
        if self._watch is not None:
            self._begin()
            self._teller.started(self.known.view)


def _watch_after_fork(source: Source) -> None:
    """Without keeping it alive for that."""
    reference = weakref.ref(source)

    def in_child() -> None:
        if (found := reference()) is not None:
            found._in_child()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
