"""The whole service on a temporary folder, in a thread of this process, under the clock of the demo.

One rule: whatever happens in the demo happens through the command line, as the person who is acting.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from rich.text import Text

from services.cli.asking import Caller
from services.cli.screen import Finding, bullets, out
from services.cli.times import instant, local
from services.client import Client, Json
from services.demo.cast import CAST, Person
from services.demo.clock import Clock
from services.settings import Settings
from services.up import serve

PATIENCE = 30.0
"""Seconds to wait for the service to start, to carry out what is due, or to stop."""


class DemoFailed(Finding):
    """Something went otherwise than the story says."""


class Theatre:
    """Everything the story needs: the service, the people's tokens, and the screen."""

    def __init__(
        self,
        rollout: str,
        clock: Clock,
        zone: str,
        pace: float,
        *,
        cast: tuple[Person, ...] = CAST,
        prometheus: str = "",
    ) -> None:
        self.rollout = rollout
        self.clock = clock
        self.zone = zone
        self.pace = pace
        self.cast = cast
        self.tokens: dict[str, str] = {}
        self.seen: dict[str, int] = {}
        self.refused = 0
        self._folder = tempfile.TemporaryDirectory(prefix="cutover-demo-")
        port = _free_port()
        self.settings = Settings(
            data=Path(self._folder.name),
            port=port,
            url=f"http://127.0.0.1:{port}",
            default_approvers=(),
            prometheus=prometheus,
        )
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[Any] | None = None
        self._thread = threading.Thread(target=self._serve, name="cutover-demo", daemon=True)

    # -- the service

    def __enter__(self) -> Theatre:
        self._thread.start()
        if not self._wait(lambda: self._ready.is_set() or not self._thread.is_alive()) or self._failure:
            raise DemoFailed(f"the service did not start: {self._failure or f'not ready after {PATIENCE:g} s'}")
        self._admin = Client(self.settings.url, (self.settings.data / "admin.token").read_text().strip())
        for person in self.cast:
            self.tokens[person.name] = self._admin.add_token(person.name, person.role, person.titles)["token"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if hasattr(self, "_admin"):
            self._admin.close()
        if self._loop is not None and self._work is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._work.cancel)
        self._thread.join(PATIENCE)
        self._folder.cleanup()

    def _serve(self) -> None:
        async def work() -> None:
            self._loop = asyncio.get_running_loop()
            self._work = asyncio.current_task()
            await serve(self.settings, now=self.clock, on_ready=self._ready.set)

        try:
            asyncio.run(work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failure = error

    def _wait(self, done: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Whether `done` came true in time."""
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    # -- the story

    def says(self, text: str) -> None:
        """The narrator."""
        out().print(Text(f"\n{text}", style="italic"))

    def lists(self, items: Iterable[str]) -> None:
        """The narrator reads out."""
        out().print(bullets(items))

    def scene(self, title: str) -> None:
        """A new part of the story, with the time in the plan."""
        console = out()
        console.print()
        console.rule(Text(f"{title}  ·  {local(self.clock(), self.zone)}", style="bold"), align="left", characters="─")

    def acts(self, who: Person, *words: str, ends: int = 0) -> None:
        """Somebody uses the command line; the story fails if it ends otherwise than it should."""
        self._breathe()
        console = out()
        console.print()
        console.print(Text(f"{who}:", style="bold"))
        console.print(Text(f"$ cutover {shown(words)}", style="cyan"))
        code = self.asks(who, *words)
        self.refused += code != 0
        if code != ends:
            gone = f"; the service has ended: {self._failure}" if self._failure else ""
            raise DemoFailed(f"cutover {shown(words)} ended with {code}, expected {ends}{gone}")

    def asks(self, who: Person, *words: str) -> int:
        """The command line, in this process, as that person; what it writes to stderr is part of the story."""
        from services.cli import app

        asking = Caller(replace(self.settings, token=self.tokens[who.name]), self.clock, self.seen)
        with contextlib.redirect_stderr(sys.stdout):
            code = app(args=list(words), prog_name="cutover", standalone_mode=False, obj=asking)
        return int(code or 0)

    def status(self) -> Json:
        found = self._admin.status(self.rollout, at_least=self.seen.get(self.rollout, 0))
        self.seen[self.rollout] = found["revision"]
        return found

    def trail(self) -> list[Json]:
        """All lines of the trail; refused attempts, which carry no revision, are waited for."""
        found: list[Json] = []

        def whole() -> bool:
            found[:] = self._admin.trail(self.rollout, at_least=self.seen[self.rollout])
            return len([line for line in found if line["outcome"] == "refused"]) >= self.refused

        if not self._wait(whole):
            raise DemoFailed(f"the trail lacks refused attempts: expected {self.refused}")
        return found

    def expects(self, **wanted: object) -> None:
        """The story's own check of where the rollout stands."""
        found = self.status()
        for name, value in wanted.items():
            if found.get(name) != value:
                raise DemoFailed(f"{name}: expected {value!r}, found {found.get(name)!r}")

    def awaits(self, **wanted: object) -> None:
        """Wait until the rollout stands like this by itself."""
        if not self._wait(lambda: all(self.status().get(name) == value for name, value in wanted.items())):
            raise DemoFailed(f"waited {PATIENCE:g} s for {wanted}, found {self.status()['phase']!r}")

    def next_thing(self) -> None:
        """Set the clock to whatever is due next, and wait until the service has done it."""
        coming = self.status().get("next")
        if not coming:
            raise DemoFailed("the story waits for something to come due, and nothing is")
        self._forward(instant(coming["at"]), f"until what is due next: {coming['what']}")

    def rests(self) -> None:
        """Set the clock to one due thing after another, until nothing more is due."""
        while self.status().get("next"):
            self.next_thing()

    def later(self, when: str, why: str) -> None:
        """Set the clock to a local time of the plan, such as "2022-08-01T09:00"."""
        there = datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(self.zone))
        self._forward(there, why)

    def _forward(self, to: datetime, why: str) -> None:
        self._breathe()
        out().print(Text(f"\n>> {self.clock.moves(to, self.zone)}, {why}.", style="bold magenta"))
        sys.stdout.flush()
        self.clock.jump(to)
        if not self._wait(self._nothing_owed):
            raise DemoFailed(f"the service did not do in time what is due: {self.status().get('next')}")

    def _nothing_owed(self) -> bool:
        coming = self.status().get("next")
        return not coming or instant(coming["at"]) > self.clock()

    def _breathe(self) -> None:
        sys.stdout.flush()
        time.sleep(self.pace)


def shown(words: tuple[str, ...]) -> str:
    """A command as it would be typed."""
    return shlex.join(words)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
