"""The trail on the screen, and the files that commands write."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.cli.audit import _whole_records, trail
from services.cli.files import write_whole
from services.client import CannotAsk, Json


def line(revision: int, n: int = 0, **more: Any) -> Json:
    said = {"rollout": "small", "revision": revision, "n": n, "command_id": f"c{revision}", "command": "advance"}
    who = {"subject": "mia", "role": "release_manager", "when": "2022-07-29T13:00:05Z"}
    return {**said, **who, "outcome": "accepted", "says": f"fact {n} of {revision}", "source": "command", **more}


def drawn(*lines: Json, width: int = 60, with_rollout: bool = False) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    for block in trail(lines, with_rollout=with_rollout):
        console.print(block)
    assert isinstance(console.file, StringIO)
    return [each.rstrip() for each in console.file.getvalue().splitlines()]


def test_a_long_reason_of_a_refusal_goes_on_under_its_own_words() -> None:
    reasons = ["prerequisite 'HSRM is launched and live in Production' is not attested", "halted"]
    refused = line(0, outcome="refused", data={"reasons": reasons})
    assert drawn(refused)[1:] == [
        "       Refused: advance",
        "       - prerequisite 'HSRM is launched and live in",
        "         Production' is not attested",
        "       - halted",
    ]


def test_a_record_says_when_to_the_second_and_what_told_it() -> None:
    told = line(7, source="signal: https://ci.example.gov")
    assert drawn(told) == [
        "     7 2022-07-29 13:00:05 UTC  mia (release manager)",
        "       fact 0 of 7",
        "       Source: signal: https://ci.example.gov",
    ]
    assert not any("Source" in each for each in drawn(line(7)))


def test_the_trail_of_all_names_the_rollout_of_each_record() -> None:
    assert drawn(line(7), with_rollout=True)[1] == "       small"


@pytest.mark.parametrize(
    ("count", "revisions", "more"), [(1, [3, 3], True), (3, [2, 3, 3], False), (0, [2, 3, 3], False)]
)
def test_the_latest_lines_are_whole_records(count: int, revisions: list[int], more: bool) -> None:
    newest = iter([line(3, 1), line(3, 0), line(2)])
    shown, left = _whole_records(newest, count)
    assert ([each["revision"] for each in shown], left) == (revisions, more)


def test_a_file_that_breaks_off_does_not_take_the_place_of_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "trail.csv"
    assert write_whole(file, [b"line\n", b"1\n"]) == 7

    def broken() -> Iterator[bytes]:
        yield b"line\n"
        raise CannotAsk("The export broke off")

    with pytest.raises(CannotAsk, match="broke off"):
        write_whole(file, broken())
    assert file.read_bytes() == b"line\n1\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotAsk, match=f"^{tmp_path}/none/trail.csv cannot be written: No such file or directory"):
        write_whole(tmp_path / "none" / "trail.csv", [])
