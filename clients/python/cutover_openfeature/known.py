"""What is known of the bucket, as one view that readers take by one reference.

One rule: what is known only goes up, rollout by rollout, and its time never goes back: a window that has closed stays
closed whatever the clock says. When nothing is heard all stays as it is and is called stale.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from cutover_openfeature.clock import Clock, words
from cutover_openfeature.group import Group
from cutover_openfeature.kept import Kept
from cutover_openfeature.snapshot import Snapshot, Unreadable, decode, decode_mark
from cutover_openfeature.view import View

logger = logging.getLogger("cutover.openfeature")


class Held(NamedTuple):
    """A rollout's snapshot, the bytes it came in, and since when newer ones could not be read."""

    snapshot: Snapshot
    raw: bytes
    stuck: str | None = None


class Known:
    """`view` is None while nothing is known. The watch writes, anybody reads."""

    def __init__(self, tester_key: bytes | None, clock: Clock) -> None:
        self.view: View | None = None
        self._tester_key = tester_key
        self._clock = clock
        self._lock = threading.Lock()
        self._published = threading.Condition(self._lock)
        self._held: dict[str, Held] = {}
        self._groups: dict[str, Group] = {}
        self._revision: int | None = None
        self._marked: int | None = None  # while values from before that mark may still be on their way
        self._mark_sequence = 0
        self._warned = False

    # -- for readers

    def turn(self) -> View | None:
        """The view for now: another one when a window has opened or closed, or when it has grown stale."""
        with self._lock:
            now, stale = self._clock.now(), self._clock.stale_since()
            due = [name for name, group in self._groups.items() if group.until is not None and group.until <= now]
            for name in due:
                self._put(self._held[name])
            if self.view is not None and (due or stale != self.view.stale_since):
                self._publish()
            return self.view

    def wait(self, until: Callable[[View], bool], seconds: float) -> bool:
        """Whether a view that fits is known, or comes to be within so many seconds."""
        with self._lock:
            return self._published.wait_for(lambda: self.view is not None and until(self.view), seconds)

    # -- for the watch

    def value(self, key: str, data: bytes) -> None:
        """A rollout's value. One that cannot be read leaves the last one, which is called stale from then on."""
        with self._lock:
            known = self._held.get(key)
            if known and known.raw == data and known.stuck is None:
                return  # as after each new subscription
            try:
                self._accept(Held(decode(data), data))
            except Unreadable as error:
                logger.error("the value of '%s' cannot be read, the last one stays: %s", key, error)
                self._get_stuck(key)
            if self._revision is not None:
                self._publish()

    def removed(self, key: str) -> None:
        """No rollout stands behind this key any more."""
        with self._lock:
            self._held.pop(key, None)
            self._groups.pop(key, None)
            if self._revision is not None:
                self._publish()

    def mark(self, data: bytes, sequence: int) -> bool:
        """Whether the projector is alive. A mark heard before, or one from before what is known, is no sign of life.

        Nor is the first one, where something was known before: nobody knows how long it has been lying there.
        """
        try:
            revision = decode_mark(data).revision
        except Unreadable as error:
            logger.error("the mark of the flag bucket cannot be read: %s", error)
            return False
        with self._lock:
            if revision < (self._revision or 0) or sequence == self._mark_sequence:
                return False
            first, self._mark_sequence, self._marked = not self._mark_sequence, sequence, revision
            if first and self._clock.heard_at:
                return False
            self._clock.heard()
            return True

    def caught_up(self) -> None:
        """All that stood in the bucket has been delivered: what was marked is known."""
        with self._lock:
            if self._marked is not None:
                self._revision, self._marked = self._marked, None
                if self.view is None or (self.view.revision, self.view.stale_since) != (self._revision, None):
                    self._publish()

    def hung_up(self) -> None:
        """Nothing is heard from here on: what is known is stale at once."""
        with self._lock:
            self._clock.hung_up()
            self._mark_sequence = 0
            if self._revision is not None:
                self._publish()

    # -- over a restart

    def kept(self) -> Kept | None:
        """What is worth keeping on disk; None while nothing is known."""
        with self._lock:
            if self._revision is None:
                return None
            values = tuple(msgspec.Raw(held.raw) for _, held in sorted(self._held.items()))
            return Kept(self._revision, self._clock.heard_at, self._clock.now(), values)

    def take_up(self, kept: Kept) -> None:
        """What was kept, unless something is known already: stale since it was last heard."""
        with self._lock:
            if self._revision is None:
                self._revision = kept.revision
                self._clock.take_up(kept.alive, kept.used)
                for raw in kept.values:
                    data = bytes(raw)
                    try:
                        self._accept(Held(decode(data), data))
                    except Unreadable as error:
                        logger.error("a kept value cannot be read: %s", error)
                self._publish()

    def after_fork(self) -> None:
        """In a child process: whoever held the lock is not there, and may have been about to publish."""
        self._lock = threading.Lock()
        self._published = threading.Condition(self._lock)
        with self._lock:
            self._groups.clear()
            for held in tuple(self._held.values()):
                self._put(held)
            if self._revision is not None:
                self._publish()

    # -- with the lock

    def _accept(self, held: Held) -> None:
        snapshot = held.snapshot
        known = self._held.get(snapshot.rollout)
        if known and snapshot.revision < known.snapshot.revision:
            return
        self._put(held)
        if snapshot.windows and self._tester_key is None and not self._warned:
            self._warned = True
            logger.warning(
                "no tester key was given: testers are answered as everybody else, their windows are not seen"
            )

    def _get_stuck(self, name: str) -> None:
        known = self._held.get(name)
        if known and known.stuck is None:
            self._put(known._replace(stuck=words(self._clock.wall())))

    def _put(self, held: Held) -> None:
        """Its group is made first: what cannot be answered from is not known, nor what a fork has cut short."""
        snapshot, _, stuck = held
        when = snapshot.when.timestamp()
        try:
            group = Group(snapshot, max(self._clock.now(), when), self._tester_key, stuck)
        except (ArithmeticError, ValueError) as error:
            raise Unreadable(f"no answer can be made from it: {error}") from error
        self._clock.now(when)
        self._held[snapshot.rollout] = held
        if snapshot.phase == "cancelled":  # its keys are free for another rollout
            self._groups.pop(snapshot.rollout, None)
        else:
            self._groups[snapshot.rollout] = group

    def _publish(self) -> None:
        assert self._revision is not None
        self.view = View(self._groups, self._revision, self._clock.stale_since())
        self._published.notify_all()
