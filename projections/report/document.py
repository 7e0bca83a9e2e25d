"""A report as a document: sections of answers, lists, tables and charts, whichever form they are shown in.

One rule: what is said is decided here once; Markdown and HTML only show it. A value that is not known is marked so, and
never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal, TypeVar
from urllib.parse import quote, urlsplit

from msgspec import Struct

from events.facts import Verdict
from events.plan.schema import Quantity

T = TypeVar("T")
MOST_ROWS = 300
ABSENT, NONE = "not in the plan", "none in the plan"
State = Literal["known", "open", "due"]
"""known: the log says it. open: not recorded yet. due: not recorded yet, and not before a day that `text` names."""

_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Cell(Struct, frozen=True):
    """One value: its text, whether it is known, where it leads, and the revisions of the records that made it."""

    text: str
    state: State = "known"
    url: str = ""
    revisions: tuple[int, ...] = ()
    verdict: Verdict | None = None


class Answer(Struct, frozen=True):
    """One blank of the plan. `by` and `when`: who filled it. `notes`: its target, earlier values, that it was late."""

    label: str
    value: Cell
    by: str = ""
    when: str = ""
    notes: tuple[Cell, ...] = ()

    @property
    def left_out(self) -> bool:
        """Whether the plan leaves this blank of the template out: there is nothing to fill in."""
        return self.value.text in (ABSENT, NONE) and not self.value.revisions


class Answers(Struct, frozen=True):
    """Blanks, in the plan's order."""

    items: tuple[Answer, ...]
    numbered: bool = False


class Paragraph(Struct, frozen=True):
    text: str


class Bullets(Struct, frozen=True):
    items: tuple[Cell, ...]


class Grid(Struct, frozen=True):
    """A table; the first cell of each row names the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Point(Struct, frozen=True):
    """One value of a chart, as it was judged."""

    at: datetime
    day: str  # local to the plan
    value: float
    verdict: Verdict | None
    revision: int


class Chart(Struct, frozen=True):
    """A criterion or KPI over time. `limits` are the values it is held against, with their words ("below 10")."""

    title: str
    summary: str
    points: tuple[Point, ...]
    limits: tuple[tuple[str, Quantity], ...]
    unit: str
    grid: Grid


Block = Answers | Paragraph | Bullets | Grid | Chart


class Section(Struct, frozen=True):
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()


class Document(Struct, frozen=True):
    """The whole report. `audit` is the address of the rollout's trail; `revision` is the last record's."""

    title: str
    subtitle: str
    rollout: str
    summary: tuple[Answer, ...]
    sections: tuple[Section, ...]
    audit: str
    revision: int

    def record_url(self, revision: int) -> str:
        """Where the record is found in the trail; "" where the trail has no address."""
        return f"{self.audit}?from_revision={revision}&to_revision={revision}" if self.audit else ""


def latest(caption: str, rows: Sequence[T]) -> tuple[str, Sequence[T]]:
    """The caption and the rows of a table that may become long: the latest, and what is left out is said."""
    if len(rows) <= MOST_ROWS:
        return caption, rows
    return f"{caption} (the latest {MOST_ROWS} of {len(rows)}; the trail has all)", rows[-MOST_ROWS:]


def answers_of(section: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Answer]]:
    """Every blank in a section and below, with the titles that lead to it."""
    here = (*path, section.title)
    for block in section.blocks:
        if isinstance(block, Answers):
            yield from ((here, each) for each in block.items)
    for inner in section.sections:
        yield from answers_of(inner, here)


def seen(text: str) -> str:
    """The text without characters that are not seen or turn its direction around."""
    return _UNSEEN.sub("", text)


def clean(text: str) -> str:
    """What is seen of the text; each line trimmed."""
    return "\n".join(line.strip() for line in seen(text).replace("\r", "\n").split("\n") if line.strip())


def web_address(text: str) -> str:
    """The text as the address of a link, if it is one of http or https and nothing else; otherwise ""."""
    text = text.strip()
    if not re.fullmatch(r"https?://[^\s<>\"'`\\]+", text, re.IGNORECASE) or _UNSEEN.search(text):
        return ""
    try:
        found = urlsplit(text).hostname
    except ValueError:
        return ""
    return quote(text, safe=":/?#[]@!$&*+,;=%~-._") if found else ""
