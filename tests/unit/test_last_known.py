"""What a reader keeps on disk counts only if it is whole and can be read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from msgspec.json import encode

from events.facts import EVERYONE
from projections.flags import FlagSnapshot
from services.flags.last_known import Flags, LastKnown
from tests.histories import START

ON = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), EVERYONE)
DEEP = b"[" * 100_000 + b"]" * 100_000 + b"}"


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    LastKnown(tmp_path).keep_flags(Flags(10, START, (ON,)))
    assert LastKnown(tmp_path).flags() == Flags(10, START, (ON,))


@pytest.mark.parametrize(
    "body", [b"{", b'{"x": ' + DEEP, encode(Flags(10, START, (ON,))).replace(b"vaos", b"va\xffos")]
)
def test_a_whole_file_that_cannot_be_read_is_not_used(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = LastKnown(tmp_path)
    (tmp_path / "last-known-flags").write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert kept.flags() is None
    assert "cannot be read, it is not used" in caplog.text
