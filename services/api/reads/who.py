"""Who reads flags: a live token of any role, as `Authorization: Bearer` or as `X-API-Key`.

One rule: no I/O on the way. The live tokens are in memory; when they are older than two seconds one request reads
them again, in a thread, and all that come meanwhile wait for that one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from events.facts import Actor
from services.api.reads.moment import RETRY
from services.api.reads.waiting import before_waiting
from services.api.reads.wire import Refused
from services.people.tokens import Tokens

logger = logging.getLogger("cutover.flags")

WITHOUT_DATABASE = 300.0  # seconds for which those who were known go on reading flags while the database is away
_REALM = ((b"www-authenticate", b'Bearer realm="cutover"'),)
_WRONG = ((b"www-authenticate", b'Bearer realm="cutover", error="invalid_token"'),)


class Readers:
    """The token book, as flag reads ask it."""

    def __init__(self, book: Tokens) -> None:
        self._book = book
        self._reading = asyncio.Lock()

    async def known(self, headers: Mapping[bytes, bytes]) -> Actor:
        """Who sent these headers. Raises Refused: 401 without a live token, 503 when nobody can say."""
        token = token_of(headers)
        if not token:
            raise Refused("unauthorized", "send a token as `Authorization: Bearer cut_...` or as `X-API-Key`", _REALM)
        book = self._book
        who = book.who(token) if book.fresh() else await self._refreshed(token)
        if who is None:
            raise Refused("unauthorized", "this token is unknown or was revoked", _WRONG)
        return who

    async def live(self, subject: str) -> bool:
        """Whether somebody of that name still has a live token."""
        await self._refresh()
        return self._book.somebody(subject)

    async def _refreshed(self, token: str) -> Actor | None:
        if await self._refresh():
            return self._book.recalled(token, WITHOUT_DATABASE)
        who = self._book.recalled(token, WITHOUT_DATABASE)
        if who is None:
            raise Refused("unavailable", "the tokens cannot be read at the moment", RETRY)
        return who

    async def _refresh(self) -> bool:
        """Have the live tokens read again if they are old; False: they cannot be read now."""
        await before_waiting()
        async with self._reading:
            if self._book.fresh():
                return True
            try:
                await asyncio.to_thread(self._book.who, "")
            except SQLAlchemyError as error:
                logger.error("the tokens cannot be read: %s", type(error).__name__)
                return False
            return True


def token_of(headers: Mapping[bytes, bytes]) -> str:
    """The token in these headers, "" if there is none."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        token = headers.get(b"x-api-key", b"")
    return token.strip().decode("latin-1")
