"""What is still to be told: the messages of the log without those that it says were told.

One rule: it is a fold of the log. A message leaves only when the log says what became of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from events import facts as f
from events.codec import decode
from events.facts import Channel
from services.following import Followed
from services.herald.news import Message, messages
from services.herald.outcome import NotSent, Sent
from services.log.protocol import Entry

_ANNOUNCED = b'"announced"'  # in the bytes of every record with that fact: most need not be decoded twice
LINK_PATIENCE = 300.0  # seconds that a post waits for the link of its issue


@dataclass(eq=False)
class Debt:
    """One message by one channel. Times are of the monotonic clock; `tries` have failed so far.

    `outcome`: what became of it, while the log has not taken that yet.
    """

    rollout: str
    message: Message
    channel: Channel
    known_since: float = field(default_factory=time.monotonic)
    not_before: float = 0.0
    tries: int = 0
    outcome: Sent | NotSent | None = None

    @property
    def key(self) -> str:
        return f"{self.message.cause} {self.channel}"

    def later(self, seconds: float) -> None:
        """Not before so many seconds."""
        self.tries += 1
        self.not_before = time.monotonic() + seconds

    def stale(self, now: datetime, after: float) -> bool:
        """Whether it is mere news, and older than `after` seconds."""
        return self.message.kind == "news" and (now - self.message.when).total_seconds() > after


class Owed:
    """Debts in the order of the log. Records up to `since` are history: nothing of them is told."""

    def __init__(self, since: int, link: str = "") -> None:
        self._since = since
        self._link = link
        self._rollouts = Followed()
        self._debts: dict[str, Debt] = {}
        self._resting: dict[Channel, float] = {}

    def take(self, entry: Entry) -> None:
        """One more record of the log; one that cannot be read stops its rollout, and is others' to report."""
        before = self._rollouts.get(entry.rollout)
        after = self._rollouts.take(entry)
        history = entry.revision <= self._since
        if after is None or (history and _ANNOUNCED not in entry.data):
            return
        record = decode(entry.data)
        for fact in record.facts:
            if isinstance(fact, f.Announced):
                self._debts.pop(f"{fact.cause} {fact.channel}", None)
        if not history:
            for message in messages(before, after, record, entry.revision, self._link_of(entry.rollout)):
                for channel in message.channels:
                    debt = Debt(entry.rollout, message, channel)
                    self._debts[debt.key] = debt

    def _link_of(self, rollout: str) -> str:
        return f"{self._link}/v1/rollouts/{rollout}/audit" if self._link else ""

    def settle(self, debt: Debt) -> None:
        """The log has it, or refuses to take it: it is not owed any more."""
        self._debts.pop(debt.key, None)

    def next(self, channel: Channel) -> Debt | None:
        """The first debt of this channel whose time has come; posts wait a while for the link of their issue."""
        now = time.monotonic()
        if self._resting.get(channel, 0.0) > now:
            return None
        return next((d for d in self._of(channel) if d.not_before <= now and not self._waits(d, now)), None)

    def rest(self, channel: Channel, seconds: float) -> None:
        """The receiver asked for it: nothing by this channel for so long."""
        self._resting[channel] = time.monotonic() + seconds

    def _of(self, channel: Channel) -> Iterator[Debt]:
        return (debt for debt in self._debts.values() if debt.channel == channel)

    def _waits(self, debt: Debt, now: float) -> bool:
        if debt.channel != "slack" or now >= debt.known_since + LINK_PATIENCE:
            return False
        return any(key in self._debts for key in self._issues(debt))

    def issue(self, debt: Debt) -> str:
        """The link of the message's GitHub issue, or of the one that another route has for it; "": there is none."""
        state = self._rollouts.get(debt.rollout)
        told = [state.announced.get(key) for key in self._issues(debt)] if state is not None else []
        return next((t.url for t in told if t is not None and t.outcome == "sent"), "")

    def _issues(self, debt: Debt) -> list[str]:
        """The keys under which an issue for the same fact may stand: its own route's first."""
        fact = debt.message.cause.rpartition("/")[0]
        state = self._rollouts.get(debt.rollout)
        routes = range(len(state.plan.report_issues)) if state is not None else range(0)
        return [f"{debt.message.cause} github", *(f"{fact}/{n} github" for n in routes)]
