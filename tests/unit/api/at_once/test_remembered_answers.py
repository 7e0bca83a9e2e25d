"""A question that is asked again is answered from memory, as long as that is the answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from events.facts import EVERYONE, TESTERS
from projections.flags import Window
from tests.unit.api.at_once.house import (
    LAST,
    ONE,
    VAOS,
    House,
    asked,
    request,
    said,
    statuses,
)
from tests.unit.api.desk import NOON


async def test_an_answer_is_remembered_only_as_long_as_it_is_one(house: House) -> None:
    async with house.serve() as port:
        for user in ("u1", "u2", "u1"):
            assert b'"value":false' in await said(port, asked(house, user=user), LAST)
        house.desk.flags.hear(replace(VAOS, revision=8, exposure=EVERYONE), 8)
        answer = await said(port, asked(house), LAST)
        assert b'"value":true' in answer
        assert b'"revision":8' in answer


async def test_a_window_ends_for_a_question_that_is_remembered(house: House) -> None:
    window = Window("s1", "t1", NOON - timedelta(minutes=1), NOON + timedelta(minutes=1), opened=True)
    testers = {"t1": house.desk.vault.hmac("u1")}
    house.desk.flags.hear(replace(VAOS, revision=8, exposure=TESTERS, windows=(window,), testers=testers), 8)
    async with house.serve() as port:
        for _ in range(2):
            assert b'"value":true' in await said(port, asked(house), LAST)
        house.desk.flags.now = NOON + timedelta(minutes=1)
        assert b'"value":false' in await said(port, asked(house), LAST)


async def test_a_revoked_token_is_not_remembered(house: House) -> None:
    async with house.serve() as port:
        for _ in range(2):
            assert statuses(await said(port, asked(house), LAST)) == [200, 200]
        house.book.revoke("vets-website", by="root")
        assert statuses(await said(port, asked(house), LAST)) == [401, 200]


async def test_of_a_pinned_read_the_pinned_answer_is_given_each_time(house: House) -> None:
    pinned = request(ONE, '{"context":{"targetingKey":"u1","cutoverPin":"r7@0"}}', token=house.token)
    async with house.serve() as port:
        before = await said(port, pinned, LAST)
        house.desk.flags.hear(replace(VAOS, revision=8, exposure=EVERYONE), 8)
        assert await said(port, pinned, LAST) == before
        assert b'"value":true' in await said(port, asked(house), LAST)


def test_no_more_is_remembered_than_has_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.reads.remembered.MOST", 10)
    headers = {b"authorization": f"Bearer {house.token}".encode()}
    for n in range(100):
        body = f'{{"context":{{"targetingKey":"u{n}"}}}}'.encode()
        assert house.app.at_once(b"POST", ONE.encode(), headers, body) is not None
    kept = house.app._remembered._replies
    assert 0 < len(kept) <= 10
    long = b'{"context":{"targetingKey":"%s"}}' % (b"u" * 1000)
    assert house.app.at_once(b"POST", ONE.encode(), headers, long) is not None
    assert all(len(body or b"") < 100 for _, _, body, *_ in kept)
