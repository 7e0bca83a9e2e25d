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
ROOM = 16 * 1024 * 1024  # bytes of the answers

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
        self._different: set[Reply] = set()
        self._size = 0

    def find(self, asked: Question) -> Reply | None:
        """The answer that is still the answer. Raises Refused while nothing is known."""
        moment, version = self._moments.now(), self._tokens.version
        if moment is not self._moment or version != self._version:
            self._moment, self._version = moment, version
            self._forget()
        return self._replies.get(asked)

    def keep(self, asked: Question, reply: Reply) -> None:
        """Remember what was just answered, unless it is a refusal or of another moment (a pinned one)."""
        if reply.status not in (200, 304) or self._moments.given is not self._moment:
            return
        if sum(len(part) for part in asked if part) <= LONGEST:
            if len(self._replies) >= MOST or self._size >= ROOM:
                self._forget()
            self._replies[asked] = reply
            if reply not in self._different:  # many questions may have one answer
                self._different.add(reply)
                self._size += len(reply.body)

    def _forget(self) -> None:
        self._replies, self._different, self._size = {}, set(), 0
