"""The trail as it leaves: CSV for a spreadsheet, JSON Lines for a program.

One rule: an export ends by saying so. Its last line counts the lines before it and names the revision and the refused
attempt it goes up to; one without that line was cut off.

Sources: RFC 4180 (CSV: CRLF, quotes doubled, a header); https://jsonlines.org; OWASP, "CSV injection": a spreadsheet
takes a cell for a formula by its first character.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from projections.audit import AuditRow, instant

COLUMNS = (
    *("line", "when", "rollout", "revision", "n", "outcome", "subject", "role", "titles", "command", "fact", "says"),
    *("reason", "note", "evidence", "phase", "environment", "source", "command_id", "ordinal", "previous", "hash"),
    "data",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
"""What a cell gets a ' in front of: the beginnings of formulas, and ' itself, so that it can be taken off again."""

_encode = msgspec.json.Encoder().encode


class End(NamedTuple):
    """How far an export goes: its lines, and the last revision and refused attempt that could have been among them."""

    lines: int
    revision: int
    attempt: int


def csv_header() -> bytes:
    """The names of the columns."""
    return _csv([COLUMNS])


def csv_lines(rows: Iterable[AuditRow], first: int) -> bytes:
    """Lines of CSV, counted from `first`."""
    return _csv((str(number), *_cells(row)) for number, row in enumerate(rows, first))


def csv_end(end: End) -> bytes:
    """The last line: "end" where the others have their number, and in `says` what it counts."""
    words = f"{end.lines} lines, up to revision {end.revision} and refused attempt {end.attempt}"
    cells = dict.fromkeys(COLUMNS, "") | {"line": "end", "says": words}
    return _csv([tuple(cells.values())])


def json_lines(rows: Iterable[AuditRow]) -> bytes:
    """One line of JSON a row, as a page has it."""
    return b"".join(_encode(row) + b"\n" for row in rows)


def json_end(end: End) -> bytes:
    """The last line: {"end": {"lines", "revision", "attempt"}}."""
    return _encode({"end": end._asdict()}) + b"\n"


def _cells(row: AuditRow) -> tuple[str, ...]:
    """By COLUMNS, but for the number of the line. What has parts is JSON; several titles stand between "; "."""
    own: dict[str, Any] = {
        "when": instant(row.when),
        "titles": "; ".join(row.titles),
        "evidence": _encode(row.evidence).decode() if row.evidence else "",
        "data": _encode(row.data).decode(),
    }
    return tuple(_cell(str(own[name] if name in own else getattr(row, name))) for name in COLUMNS[1:])


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
