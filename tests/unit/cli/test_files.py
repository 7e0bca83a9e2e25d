"""Files that commands write: whole, their owner's alone, or not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.files import write_whole
from services.client import CannotAsk


def test_a_file_is_whole_and_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    assert write_whole(file, [b"what a ", b"tester said"]) == 18
    assert file.read_bytes() == b"what a tester said"
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    file.write_bytes(b"the one before")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise CannotAsk("the service went away")

    with pytest.raises(CannotAsk, match="went away"):
        write_whole(file, broken())
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert file.read_bytes() == b"the one before"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotAsk, match=r"nowhere/report\.md cannot be written: No such file or directory"):
        write_whole(tmp_path / "nowhere" / "report.md", [b"x"])
