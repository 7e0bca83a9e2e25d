"""The status as it is read: in words, in 80 columns, in the plan's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from services.cli.statuspanel import panel
from services.cli.times import local, span, until
from services.client import Json

NOW = datetime(2022, 7, 30, 13, 0, tzinfo=UTC)
STATUS: Json = {
    "id": "vaos-service-integration",
    "title": "VAOS Service Integration - Release Plan",
    "phase": "code_deploy",
    "stage": 0,
    "exposure": "nobody",
    "halted": False,
    "halted_because": "",
    "revision": 7,
    "entered_at": "2022-07-29T13:00:00Z",
    "blockers": ["'Sum of Errors' has not been judged in code deployment " + "and so on " * 12, "second"],
    "next_move": "start_testing",
    "next": {"at": "2022-07-30T14:00:00Z", "what": "the time of code deployment is over"},
    "toggles": ["a", "b", "c", "d"],
    "time_zone": "America/New_York",
}


def shown(**changed: object) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(panel({**STATUS, **changed}, NOW))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= 80 for line in text.splitlines())
    return " ".join(text.replace("│", " ").split())


def test_it_says_phase_exposure_revision_time_in_phase_and_what_comes_next() -> None:
    text = shown()
    for words in (
        "> [code deploy] >",
        "revision 7",
        "nobody (4 toggles, always together)",
        "Fri 2022-07-29 09:00 EDT, for 1 day",
        "the time of code deployment is over, in 1 hour (Sat 2022-07-30 10:00 EDT)",
    ):
        assert words in text


def test_it_lists_everything_that_blocks_the_next_move() -> None:
    text = shown()
    assert "What blocks start-testing (2)" in text
    assert text.index("- 'Sum of Errors'") < text.index("- second")


def test_without_blockers_it_says_the_command() -> None:
    assert "Nothing blocks the next move: cutover start-testing vaos-service-integration" in shown(blockers=[])


def test_a_halt_is_said_in_words() -> None:
    assert "HALTED Nothing is promoted until it is resumed. Errors rise" in shown(
        halted=True, halted_because="Errors rise"
    )


@pytest.mark.parametrize("phase", ["rolled_back", "cancelled"])
def test_what_is_off_the_track_is_shown_beside_it(phase: str) -> None:
    assert f"[{phase.replace('_', ' ')}]" in shown(phase=phase, next_move="", blockers=[], next=None)


def test_lengths_and_times_are_said_in_two_units() -> None:
    assert span(timedelta(days=8, hours=4, minutes=9)) == "1 week 1 day"
    assert span(timedelta(0)) == "0 seconds"
    assert until(NOW, NOW) == "now"
    assert until(NOW - timedelta(minutes=1), NOW) == "1 minute ago"
    assert local(NOW, "Europe/Berlin") == "Sat 2022-07-30 15:00 CEST"
    assert local(NOW, "no/such zone").endswith("UTC")
