"""How long the herald waits between two tries."""

from __future__ import annotations

import pytest

from services.herald import outcome
from services.herald.herald import LONGEST, rest_of
from services.herald.outcome import Again


@pytest.mark.parametrize(
    ("asked", "tries", "seconds"),
    [
        (None, 0, 1.0),
        (None, 3, 8.0),
        (None, 5_000, LONGEST),
        (0.0, 0, 1.0),
        (0.0, 6, 64.0),
        (0.0, 5_000, LONGEST),
        (7.0, 0, 7.0),
        (7.0, 4, 16.0),
        (outcome.LONGEST, 5_000, outcome.LONGEST),
    ],
)
def test_tries_become_rarer_whatever_the_receiver_asks_for(asked: float | None, tries: int, seconds: float) -> None:
    assert rest_of(Again("limited", asked), tries, first=1.0) == seconds
