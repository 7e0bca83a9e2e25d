"""Answers that were given already: whoever asks the same again before anything has changed gets the same reply.

One rule: a question is all that its answer depends on but the moment and the live tokens; when either is another,
everything is forgotten. Pages and SDKs that poll ask like this most of the time.
"""

from __future__ import annotations

from typing import TypeAlias

from services.api.reads.moment import Moment, Moments
from services.api.reads.wire import Reply
from services.people.tokens import Tokens

MOST = 4096  # questions
LONGEST = 1024  # bytes of one

Question: TypeAlias = tuple[bytes, bytes, bytes, *tuple[bytes | None, ...]]
"""Method, target (path and query) and body, then the headers that somebody looks at; None: it was not sent."""


class Remembered:
    """The questions of one moment, and their answers."""

    def __init__(self, moments: Moments, tokens: Tokens) -> None:
        self._moments = moments
        self._tokens = tokens
        self._moment: Moment | None = None
        self._version = 0
        self._replies: dict[Question, Reply] = {}

    def find(self, asked: Question) -> Reply | None:
        """The answer that is still the answer. Raises Refused while nothing is known."""
        moment, version = self._moments.now(), self._tokens.version
        if moment is not self._moment or version != self._version:
            self._moment, self._version, self._replies = moment, version, {}
        return self._replies.get(asked)

    def keep(self, asked: Question, reply: Reply) -> None:
        """Remember what was just answered, unless it is a refusal or of another moment (a pinned one)."""
        if reply.status not in (200, 304) or self._moments.given is not self._moment:
            return
        if sum(len(part) for part in asked if part) <= LONGEST:
            if len(self._replies) >= MOST:
                self._replies.clear()
            self._replies[asked] = reply
