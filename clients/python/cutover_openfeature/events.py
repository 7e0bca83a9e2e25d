"""What OpenFeature's handlers are told: READY, STALE, CONFIGURATION_CHANGED.

One rule: it is found by comparing what was told last with what is so now, whoever made it so: a record, a window's
edge, a silence. Nothing is told before the SDK has itself said how the start went.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from openfeature.event import ProviderEvent, ProviderEventDetails

from cutover_openfeature.view import View

Emit = Callable[[ProviderEvent, ProviderEventDetails], None]

AGAIN_AFTER = 1.0
"""Seconds after which a start from a kept state is called stale once more: the SDK calls every provider ready that has
started, a moment after it has."""


class Teller:
    """Tells the SDK by `emit`."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._status: Literal["not started", "ready", "stale", "failed"] = "not started"
        self._told: View | None = None
        self._again: float | None = None

    def started(self, view: View | None) -> None:
        """What the SDK takes for granted from here: ready with this view, or (None) failed."""
        with self._lock:
            self._status, self._told = "ready" if view else "failed", view
            self._again = time.monotonic() + AGAIN_AFTER if view and view.stale_since else None

    def ended(self) -> None:
        """Nothing more is told."""
        with self._lock:
            self._status = "not started"

    def tell(self, view: View | None) -> None:
        """Whatever is new."""
        with self._lock:
            if view is None or self._status == "not started":
                return
            self._tell_status(view)
            if view is not self._told:
                before, self._told = self._told, view
                changed = view.changed_since(before) if before else list(view.keys)
                if changed:
                    details = ProviderEventDetails(flags_changed=changed, metadata={"revision": view.revision})
                    self._emit(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, details)

    def _tell_status(self, view: View) -> None:
        status: Literal["stale", "ready"] = "stale" if view.stale_since else "ready"
        again = self._again is not None and time.monotonic() > self._again
        if again or status == "ready":
            self._again = None
        if status == self._status and not (again and status == "stale"):
            return
        self._status = status
        if view.stale_since:
            words = f"nothing was heard since {view.stale_since}; answers are as of revision {view.revision}"
            self._emit(ProviderEvent.PROVIDER_STALE, ProviderEventDetails(message=words))
        else:
            self._emit(ProviderEvent.PROVIDER_READY, ProviderEventDetails())
