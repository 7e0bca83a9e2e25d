"""Numbers as people read them: what is shown is what was compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plan.numbers import number, shown
from events.plan.schema import Quantity


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (10.0, "10"),
        (0.0, "0"),
        (-3.0, "-3"),
        (9.9999999, "9.9999999"),
        (1_234_567.0, "1234567"),
        (123_456.7, "123456.7"),
        (0.1 + 0.2, "0.3"),
        (0.00000012, "0.00000012"),
        (1e20, "100000000000000000000"),
        (2.5e15 + 0.5, "2500000000000000"),
    ],
)
def test_a_number_is_shown_whole_and_without_an_exponent(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(("unit", "words"), [("", "4.25"), ("%", "4.25%"), ("s", "4.25 s")])
def test_a_unit_stands_where_people_write_it(unit: str, words: str) -> None:
    assert shown(Quantity(4.25, unit)) == words


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_number_reads_back_as_itself_to_fifteen_digits(value: float) -> None:
    assert set(number(value)) <= set("-.0123456789")
    assert float(number(value)) == pytest.approx(value, rel=1e-14, abs=0)


def test_what_is_short_of_its_limit_is_never_shown_as_the_limit() -> None:
    assert number(9.9999999) != number(10.0)
