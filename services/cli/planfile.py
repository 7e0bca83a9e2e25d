"""Plan files on the command line: reading one, with all that is wrong with it said at once.

One rule: a file that cannot be a plan is found wanting here, with line numbers, before any service is asked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from events.plan.schema import Plan
from services.cli.screen import Finding
from services.client import CannotAsk
from services.plan.file import MOST_BYTES, PlanFile, PlanFileError
from services.plan.file import read as read_plan

STDIN = Path("-")


def load(path: Path, default_id: str = "") -> PlanFile:
    """The plan in a file ("-": stdin), and the lines where its parts stand.

    A plan without an id is named `default_id`, or after its file.
    """
    return _read(path, read_bytes(path), default_id)


def load_with_text(path: Path, default_id: str = "") -> tuple[Plan, str]:
    """The plan, and the text it was read from: what is sent is what was written."""
    data = read_bytes(path)
    return _read(path, data, default_id).plan, data.decode("utf-8-sig")


def _read(path: Path, data: bytes, default_id: str) -> PlanFile:
    name = "stdin" if path == STDIN else str(path)
    try:
        return read_plan(data, default_id=default_id or ("" if path == STDIN else path.stem), name=name)
    except PlanFileError as error:
        raise Finding(f"{name} is not a plan yet", str(error).splitlines(), _data(error)) from error


def read_bytes(path: Path) -> bytes:
    """The file's bytes; of one too long just enough for the reader to say so."""
    try:
        return sys.stdin.buffer.read(MOST_BYTES + 1) if path == STDIN else path.read_bytes()
    except OSError as error:
        raise CannotAsk(f"Cannot read {path}: {error.strerror or error}") from error


def _data(error: PlanFileError) -> dict[str, object]:
    return {"title": "not a plan", "reasons": str(error).splitlines(), "problems": error.problems}
