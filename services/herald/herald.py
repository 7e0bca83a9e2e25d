"""The herald: follows the log, tells people, and writes into the log what became of it.

One rule: at least once, and never twice for one cause. What the log says was told is not told again; where a crash or
a lost answer leaves it open, the receiver is looked at first (GitHub) or told the same id again (Slack).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from events.facts import Actor, Channel
from services.ending import end_if_cancelled
from services.engine.messages import Accepted, Ask, Request
from services.following import Troubled, follow
from services.herald.outcome import Again, NotSent, Outcome, Receiver, Sent
from services.herald.owed import Debt, Owed
from services.herald.wording import pasted
from services.log.protocol import Entry, Log, LogError
from services.rollout.commands import RecordDelivery

logger = logging.getLogger("cutover.herald")

HERALD = Actor("herald", "herald")
CHANNELS: tuple[Channel, ...] = ("github", "slack")
SETTINGS = {
    "github": "set CUTOVER_GITHUB_REPOSITORY and CUTOVER_GITHUB_TOKEN",
    "slack": "set CUTOVER_SLACK_TOKEN or CUTOVER_SLACK_WEBHOOK",
}
FIRST, LONGEST = 1.0, 300.0  # seconds between tries, doubled each time
DOUBLINGS = 10  # at most: a day of tries must not make a number that no clock takes
GIVE_UP = 86_400.0  # seconds of trying, after which the text waits for a person
STALE = 86_400.0  # news older than this is news no more
LOOK = 0.2
AT_ONCE = 100


class Herald:
    """One at a time: a second one would look at GitHub before it opens an issue, but may post to Slack beside it.

    `receivers` lacks a channel that has no credentials: its messages are kept as not sent, ready to paste.
    """

    def __init__(
        self,
        log: Log,
        ask: Ask,
        now: Callable[[], datetime],
        receivers: Mapping[Channel, Receiver],
        since: Callable[[int], int],
        *,
        link: str = "",
        first: float = FIRST,
    ) -> None:
        """`since` gives the last revision that is history, from the log's last revision now; it may block."""
        self._log = log
        self._ask = ask
        self._now = now
        self._receivers = receivers
        self._since = since
        self._link = link
        self._first = first
        self._wake = {channel: asyncio.Event() for channel in CHANNELS}
        self._troubled = Troubled("the herald")
        self.troubles = self._troubled.troubles

    async def run(self) -> None:
        """Catch up with the log, then tell as it goes on; until cancelled."""
        head = await self._head()
        owed = Owed(await asyncio.to_thread(self._since, head), self._link)
        caught_up = asyncio.Event()
        if head == 0:
            caught_up.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(self._log, "the herald", partial(self._take, owed, head, caught_up), pause=LOOK))
            await caught_up.wait()
            for channel in CHANNELS:
                tasks.create_task(self._tell(owed, channel))

    async def _head(self) -> int:
        while True:
            end_if_cancelled()
            try:
                return await self._log.head()
            except LogError as error:
                logger.warning("the herald waits for the log: %s", error)
                await asyncio.sleep(LOOK)

    async def _take(self, owed: Owed, head: int, caught_up: asyncio.Event, batch: Sequence[Entry]) -> None:
        """Nothing is told before the log was read to its end: what was told stands behind what was to be told."""
        for n, entry in enumerate(batch):
            self._take_one(owed, entry)
            if n % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)  # flags are read in this process too
        if batch[-1].revision >= head:
            caught_up.set()
        for event in self._wake.values():
            event.set()

    def _take_one(self, owed: Owed, entry: Entry) -> None:
        """Telling people must never take the service down that switches toggles."""
        try:
            owed.take(entry)
        except Exception as error:
            self._troubled.fails(entry.rollout, error, f"revision {entry.revision}")

    async def _tell(self, owed: Owed, channel: Channel) -> None:
        """One message at a time; a receiver that asks for rest gets it from all of them."""
        while True:
            end_if_cancelled()
            debt = owed.next(channel)
            if debt is None:
                await self._pause(channel)
                continue
            try:
                await self._settle(owed, debt)
            except Exception as error:
                debt.later(LONGEST)
                self._troubled.fails(debt.rollout, error, debt.key)
            else:
                self._troubled.works(debt.rollout, debt.key)

    async def _settle(self, owed: Owed, debt: Debt) -> None:
        """Send it unless that is done, write down what became of it, and it is owed no more."""
        issue = owed.issue(debt)
        if debt.outcome is None:
            debt.outcome = await self._delivered(owed, debt, issue)
        if debt.outcome is not None and await self._recorded(debt, debt.outcome, issue):
            owed.settle(debt)

    async def _pause(self, channel: Channel) -> None:
        self._wake[channel].clear()
        try:
            async with asyncio.timeout(LOOK):
                await self._wake[channel].wait()
        except TimeoutError:
            return

    async def _delivered(self, owed: Owed, debt: Debt, issue: str) -> Sent | NotSent | None:
        """What is final about it; None: it is tried again later."""
        receiver = self._receivers.get(debt.channel)
        if debt.stale(self._now(), STALE):
            return NotSent("it was over a day old")
        if receiver is None:
            return NotSent(SETTINGS[debt.channel])
        outcome = await _sent(receiver, debt, issue)
        if not isinstance(outcome, Again):
            return outcome
        if time.monotonic() - debt.known_since > GIVE_UP:
            return NotSent(f"tried for over a day: {outcome.why}")
        wait = rest_of(outcome, debt.tries, self._first)
        logger.warning("%s not told to %s: %s; again in %g s", debt.message.cause, debt.channel, outcome.why, wait)
        debt.later(wait)
        if outcome.after is not None:
            owed.rest(debt.channel, wait)
        return None

    async def _recorded(self, debt: Debt, outcome: Sent | NotSent, issue: str) -> bool:
        """Whether the log has it now. If not it is recorded later, and not sent again meanwhile."""
        if isinstance(outcome, NotSent):
            text = pasted(debt.message, debt.channel, issue)
            command = RecordDelivery(debt.message.cause, debt.channel, "not sent", why=outcome.why, text=text)
        else:
            command = RecordDelivery(debt.message.cause, debt.channel, "sent", url=outcome.url)
        name = f"herald:{debt.message.cause}:{debt.channel}:{command.outcome.replace(' ', '-')}"
        reply = await self._ask(Request(debt.rollout, name, HERALD, command))
        if isinstance(reply, Accepted):
            return True
        logger.warning("what became of %s is not recorded: %s", debt.message.cause, "; ".join(reply.reasons))
        debt.later(max(self._first, LOOK))
        return reply.code not in ("unavailable", "stopped")  # otherwise the log has another outcome of it already


def rest_of(outcome: Again, tries: int, first: float) -> float:
    """Seconds until the next try: what the receiver asks for, and never less than twice the last one's up to LONGEST.

    A receiver may well ask for 0 (its clock is behind ours, its window ends just now) and go on refusing.
    """
    return max(outcome.after or 0.0, min(first * 2.0 ** min(tries, DOUBLINGS), LONGEST))


async def _sent(receiver: Receiver, debt: Debt, issue: str) -> Outcome:
    try:
        return await receiver.deliver(debt.message, issue)
    except Exception as error:
        logger.exception("telling %s to %s failed", debt.message.cause, debt.channel)
        return Again(f"the herald failed: {type(error).__name__}")
