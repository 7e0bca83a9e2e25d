"""CloudEvents 1.0: the modes, the headers, and everything that is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.cloudevents import CloudEvent, batch, event, header_value, mode, structured
from services.intake.wrong import NotUnderstood, UnknownFormat
from tests.cdevents import _encoded

LEAST: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/ci", "type": "example.thing"}
HEADERS = {f"ce-{name}": value for name, value in LEAST.items()}


def of(**members: Any) -> CloudEvent:
    return structured(msgspec.json.encode({**LEAST, **members}))


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/cloudevents+json", "structured"),
        ("Application/CloudEvents+JSON; charset=UTF-8", "structured"),
        ("application/cloudevents-batch+json", "batch"),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON", "batch"),
        ("application/json", "binary"),
        ("", "binary"),
    ],
)
def test_the_content_type_alone_decides_the_mode(content_type: str, expected: str) -> None:
    assert mode(content_type) == expected


def test_ce_headers_do_not_make_a_structured_event_binary() -> None:
    headers = {**HEADERS, "ce-id": "other", "content-type": "application/cloudevents+json"}
    assert event(headers, msgspec.json.encode({**LEAST, "id": "mine"})).id == "mine"


def test_a_binary_event_has_its_content_type_as_that_of_its_data() -> None:
    found = event({**HEADERS, "content-type": "application/json"}, b'{"a":1}')
    assert (found.datacontenttype, found.value()) == ("application/json", {"a": 1})


def test_over_nats_the_content_type_of_the_data_is_a_ce_header() -> None:
    headers = {**HEADERS, "ce-datacontenttype": "application/json", "content-type": "text/plain"}
    found = event(headers, b'{"a":1}', "nats")
    assert (found.datacontenttype, found.value()) == ("application/json", {"a": 1})


def test_over_nats_a_batch_is_no_format() -> None:
    with pytest.raises(UnknownFormat):
        event({"content-type": "application/cloudevents-batch+json"}, b"[]", "nats")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        ('"quoted value"', "quoted value"),
        (r'"with \"quotes\" and \\"', 'with "quotes" and \\'),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("%2541", "%41"),  # decoded once
        ("100%", "100%"),
        ("%e2%82%ac", "€"),
    ],
)
def test_a_header_is_unquoted_and_percent_decoded_once(written: str, meant: str) -> None:
    assert header_value(written) == meant


@pytest.mark.parametrize("written", ["%C0%AF", "%ED%A0%80", "%FF", "%E2%82", '"unended', '"a"b', "caf\u00e9"])
def test_overlong_or_broken_headers_are_refused(written: str) -> None:
    with pytest.raises(NotUnderstood):
        header_value(written)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_was_encoded_as_a_header_is_read_as_it_was(text: str) -> None:
    assert header_value(_encoded(text)) == text


@given(st.dictionaries(st.sampled_from([*HEADERS, "content-type", "ce-x", "ce-time", "ce-Ü"]), st.text()), st.binary())
def test_any_headers_and_body_are_an_event_or_said_to_be_none(headers: dict[str, str], body: bytes) -> None:
    for over in ("http", "nats"):
        with suppress(NotUnderstood):
            assert event(headers, body, over).id


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=5))
def test_any_json_is_an_event_or_said_to_be_none(value: Any) -> None:
    for body in (msgspec.json.encode(value), msgspec.json.encode({**LEAST, "x": value})):
        with suppress(NotUnderstood):
            assert structured(body).id


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_missing_attribute_is_never_invented(name: str) -> None:
    without = {key: value for key, value in LEAST.items() if key != name}
    for body in (without, {**without, name: None}, {**without, name: ""}):
        with pytest.raises(NotUnderstood, match=name):
            structured(msgspec.json.encode(body))
    with pytest.raises(NotUnderstood, match=name):
        event({key: value for key, value in HEADERS.items() if key != f"ce-{name}"}, b"")


def test_null_means_unset() -> None:
    found = of(subject=None, time=None, datacontenttype=None, data=None, data_base64="AAE=")
    assert (found.subject, found.time, found.data) == ("", "", b"\x00\x01")


@pytest.mark.parametrize(
    "members",
    [
        {"data": 1, "data_base64": "AA=="},
        {"data_base64": "not base64!"},
        {"data_base64": 5},
        {"id": 25},
        {"id": {"a": "b"}},
        {"time": "lunchtime"},
        {"time": "2018-04-05T18:31Z"},
        {"time": "2018-04-05T18:31:00+25:00"},
        {"time": "2018-04-05T18:31:00+05"},
        {"specversion": "0.3"},
        {"subject": ""},
        {"dataschema": ""},
        {"datacontenttype": "xyz"},
        {"Capital": "no"},
        {"with.dot": "no"},
        {"extension": 1.5},
        {"extension": {"a": 1}},
        {"source": "a\u0000b"},
    ],
)
def test_what_the_format_forbids_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        of(**members)


def test_extensions_may_be_numbers_and_truths() -> None:
    assert of(number=10, yes=True, word="w").extensions == {"number": "10", "yes": "true", "word": "w"}


def test_nine_digits_of_a_second_are_a_time() -> None:
    assert of(time="2018-04-05T17:31:00.123456789Z").time


def test_deep_nesting_is_refused_in_words() -> None:
    with pytest.raises(NotUnderstood, match="nested"):
        structured(b"[" * 100_000)


def test_every_event_of_a_batch_is_kept_in_its_own_bytes() -> None:
    one, two = msgspec.json.encode(LEAST), msgspec.json.format(msgspec.json.encode({**LEAST, "id": "2"}), indent=4)
    assert batch("application/cloudevents-batch+json", b"[" + one + b"," + two + b"]") == [one, two]
    assert batch("application/cloudevents-batch+json", b"[]") == []


@pytest.mark.parametrize("body", [b"{}", b'["a"]', b'[{"id":"1"}]', b"[", b'[{"specversion":"0.9"}]'])
def test_a_batch_with_anything_wrong_in_it_is_refused_whole(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        batch("application/cloudevents-batch+json", body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+xml",
        "application/cloudevents+json; charset=utf-16",
        "application/cloudevents+avro",
    ],
)
def test_formats_that_are_not_spoken_are_told_apart_from_mistakes(content_type: str) -> None:
    with pytest.raises(UnknownFormat):
        event({"content-type": content_type}, msgspec.json.encode(LEAST))


def test_the_character_that_not_every_database_keeps_is_refused() -> None:
    with pytest.raises(NotUnderstood, match=r"U\+0000"):
        of(data={"deep": ["a\u0000b"]})
    assert of(data=r"\u0000").value() == r"\u0000"
