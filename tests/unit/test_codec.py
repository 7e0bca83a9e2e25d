"""Stored bytes and what is read from them."""

from __future__ import annotations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from events.codec import VERSION, decode, digest, encode, holds_nul, without_nul
from events.facts import Actor, Noted, Record
from tests.histories import START

TEXTS = st.text(st.sampled_from('\0\\u0"a\ufffd\n')) | st.text()


@given(st.lists(TEXTS))
@example(["\\u0000", "\\\0\0\\\\u0000"])
def test_every_u0000_is_replaced_and_nothing_else(texts: list[str]) -> None:
    data = msgspec.json.encode(texts)
    assert msgspec.json.decode(without_nul(data)) == [text.replace("\0", "\ufffd") for text in texts]
    assert holds_nul(data) == any("\0" in text for text in texts)


def test_a_stored_record_is_read_without_what_no_table_can_keep() -> None:
    record = Record(VERSION, "small", 1, "", START, Actor("mo\0", "admin"), "note", "n1", "", (Noted("a\0b"),), "\0")
    data = encode(record)
    found = decode(data)
    assert (found.who.subject, found.facts, found.reason) == ("mo\ufffd", (Noted("a\ufffdb"),), "\ufffd")
    assert digest(data) != digest(encode(found))
