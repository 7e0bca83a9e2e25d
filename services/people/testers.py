"""Forgetting a tester: first nothing is on for them any more, then nobody can tell who they were.

One rule: their windows close before their key goes. If one cannot be closed, nothing is erased and the reasons say
why; erasing again is harmless at every step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from uuid import uuid4

from msgspec import Struct

from events.facts import Actor
from services.engine.messages import Ask, Refusal, RefusalCode, Request
from services.log.protocol import Log
from services.people.vault import Vault
from services.projector.publisher import TROUBLES
from services.rollout.commands import AddNote, CancelSession, CloseWindow
from services.rollout.state import Rollout, Session
from services.views.views import Views

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for the tables to hold what the log holds

Refresh = Callable[[], Awaitable[object]]
"""Has the flag bucket written anew where it differs from tables and vault."""


class Erased(Struct, frozen=True):
    """What was done: whether the vault knew them, and which of their sessions ended for it, as "rollout/session"."""

    known: bool
    sessions: tuple[str, ...] = ()


class CannotErase(Exception):
    """Nothing was erased. `code` is the engine's, `reasons` are for people and name nobody."""

    def __init__(self, code: RefusalCode, reasons: tuple[str, ...]) -> None:
        super().__init__(reasons[0])
        self.code = code
        self.reasons = reasons


async def nothing_to_refresh() -> None:
    """Where the projector is another process: ending the sessions has it write the bucket anew."""


class Testers:
    """Erases people. Any process may that asks the engine and has the vault."""

    def __init__(self, log: Log, ask: Ask, views: Views, vault: Vault, refresh: Refresh = nothing_to_refresh) -> None:
        self._log = log
        self._ask = ask
        self._views = views
        self._vault = vault
        self._refresh = refresh

    async def erase(self, user: str, by: Actor) -> Erased:
        """End their sessions, destroy their rows and keys, and have the flags written without them. Raises CannotErase
        and LogError."""
        users = dict.fromkeys((user, user.lower()))  # where a plan's actor is the email address, it is in lower case
        references = [found for each in users if (found := await asyncio.to_thread(self._vault.known, each))]
        if not references:
            return Erased(known=False)
        ended = [session for reference in references for session in await self._end_sessions(reference, by)]
        known = any([await asyncio.to_thread(self._vault.erase, each) for each in users])
        for reference in references:
            ended += await self._end_sessions(reference, by)  # scheduled meanwhile
        try:
            await self._refresh()
        except TROUBLES as error:
            logger.warning("a tester is erased, but the flags are written anew only later: %s", type(error).__name__)
        for reference in references:
            await self._note(reference, by)
        return Erased(known, tuple(ended))

    async def _end_sessions(self, reference: str, by: Actor) -> list[str]:
        if not await self._views.wait_for(await self._log.head(), PATIENCE):
            raise CannotErase("unavailable", ("the tables are behind the log: try again",))
        ended = []
        for rollout, command in await asyncio.to_thread(lambda: list(self._open_for(reference))):
            reply = await self._ask(Request(rollout, str(uuid4()), by, command))
            if isinstance(reply, Refusal):
                place = f"session {command.session!r} of {rollout!r} cannot be ended"
                raise CannotErase(reply.code, tuple(f"{place}: {reason}" for reason in reply.reasons))
            ended.append(f"{rollout}/{command.session}")
        return ended

    async def _note(self, reference: str, by: Actor) -> None:
        """Every rollout that they tested says from now on why their texts cannot be read."""
        text = f"Tester {reference} was erased: what was said in their sessions cannot be read any more"
        for rollout in await asyncio.to_thread(lambda: list(dict.fromkeys(r for r, _ in self._sessions_of(reference)))):
            reply = await self._ask(Request(rollout, f"erased-{reference}", by, AddNote(text)))
            if isinstance(reply, Refusal):
                logger.warning("%s was erased, which %s does not say: %s", reference, rollout, "; ".join(reply.reasons))

    def _open_for(self, reference: str) -> Iterator[tuple[str, CancelSession | CloseWindow]]:
        """What ends each of their sessions whose window has not closed: recorded ones are not cancelled any more."""
        for rollout, session in self._sessions_of(reference):
            if session.window != "closed":
                yield rollout, CloseWindow(session.id) if session.outcome else CancelSession(session.id)

    def _sessions_of(self, reference: str) -> Iterator[tuple[str, Session]]:
        for row in self._views.rollouts():
            state: Rollout | None = self._views.state(row.id)
            sessions = state.sessions.values() if state is not None else ()
            yield from ((row.id, session) for session in sessions if session.tester == reference)
