"""Server-sent events, written and read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.event_stream import Told, opening, place, read, written

Events = st.lists(
    st.tuples(
        st.integers(1, 10**12),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1),
        st.sampled_from(("", "unreadable")),
    )
)


@given(Events, st.integers(1, 40))
def test_what_is_written_is_read_however_its_bytes_are_cut(events: list[tuple[int, str, str]], size: int) -> None:
    stream = b"".join(written(revision, data.encode(), event) for revision, data, event in events)
    chunks = (stream[start : start + size] for start in range(0, len(stream), size))
    assert list(read(chunks)) == [Told(str(revision), event or "message", data) for revision, data, event in events]


def test_a_line_separator_inside_json_ends_no_line() -> None:
    data = '{"text":"one\u2028two\u0085three"}'
    assert list(read([written(7, data.encode())])) == [Told("7", "message", data)]


def test_a_place_moves_the_id_and_tells_nothing() -> None:
    assert list(read([opening(7, 1000) + place(9)])) == [Told("7", "message", ""), Told("9", "message", "")]


def test_an_event_that_is_cut_off_is_dropped() -> None:
    assert list(read([b"id: 7\ndata: one\n\nid: 8\ndata: tw"])) == [Told("7", "message", "one")]


def test_comments_and_unknown_fields_are_no_events_of_their_own() -> None:
    stream = b": still here\nid: 7\ncolour: red\ndata:one\r\n\n"
    assert list(read([stream])) == [Told("7", "message", "one")]
