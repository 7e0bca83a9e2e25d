"""The report as Markdown (GitHub Flavored, https://github.github.com/gfm/), in the shape of the plan's template.

One rule: whatever people wrote stays text. Every character that could begin markup, a table's cell, a link or an
address is escaped; the only links are those the document makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from projections.report.document import (
    Answer,
    Answers,
    Block,
    Bullets,
    Cell,
    Chart,
    Document,
    Grid,
    Paragraph,
    Section,
    clean,
    web_address,
)

_SPECIAL = re.compile(r"[\\`*_\[\]<>|&~#$!]")
_STARTS_BLOCK = re.compile(r"^([-+=:]|\d+(?=[.)](?:\s|$)))")
_ADDRESS = re.compile(r"(?<=[A-Za-z]):(?=//)|(?<=[Ww]{3})\.|(?<=[Mm]ailto):|(?<=[Xx]mpp):")


def escaped(text: str) -> str:
    """The text on one line, to be read as it is wherever it stands."""
    text = " ".join(clean(text).split())
    text = _ADDRESS.sub(lambda found: f"\\{found[0]}", _SPECIAL.sub(lambda found: f"\\{found[0]}", text))
    text = text.replace("@", "&#64;")  # an address or a mention of somebody
    if found := _STARTS_BLOCK.match(text):
        digits = found[0] if found[0].isdigit() else ""
        return f"{digits}\\{text[len(digits) :]}"
    return text


def markdown(document: Document) -> str:
    """The whole document; it ends in a newline."""
    page = _Page(document)
    return "\n".join(page.lines()) + "\n"


class _Page:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._cited: set[int] = set()  # revisions that are linked to

    def lines(self) -> Iterator[str]:
        yield f"# {escaped(self._document.title)}"
        yield ""
        yield escaped(self._document.subtitle)
        yield ""
        yield from self._answers(self._document.summary)
        yield ""
        for section in self._document.sections:
            yield from self._section(section, 2)
        yield from (f"[r{n}]: <{web_address(self._document.record_url(n))}>" for n in sorted(self._cited))

    def _section(self, section: Section, level: int) -> Iterator[str]:
        yield f"{'#' * min(level, 6)} {escaped(section.title)}"
        yield ""
        for block in section.blocks:
            yield from self._block(block)
            yield ""
        for inner in section.sections:
            yield from self._section(inner, level + 1)

    def _block(self, block: Block) -> Iterator[str]:
        match block:
            case Answers(items=items, numbered=numbered):
                yield from self._answers(items, numbered=numbered)
            case Paragraph(text=text):
                yield escaped(text)
            case Bullets(items=items):
                yield from (f"- {self._cell(item)}" for item in items)
            case Grid():
                yield from self._grid(block)
            case Chart(title=title, summary=summary, grid=grid):
                yield f"**{escaped(title)}.** {escaped(summary)}"
                yield ""
                yield from self._grid(grid)

    def _answers(self, items: Sequence[Answer], *, numbered: bool = False) -> Iterator[str]:
        for n, item in enumerate(items, 1):
            mark = f"{n}." if numbered else "-"
            label = escaped(item.label)
            rest = [escaped(part) for part in (item.by, item.when) if part]
            records = self._records(item.value.revisions)
            said = f" ({', '.join((*rest, *records))})" if rest or records else ""
            ends = "" if item.label.endswith(("?", ":")) else ":"
            judged = f", {item.value.verdict}" if item.value.verdict else ""
            yield f"{mark} {label}{ends} {self._text(item.value)}{judged}{said}"
            yield from (f"{' ' * len(mark)} - {self._cell(note)}" for note in item.notes)

    def _grid(self, grid: Grid) -> Iterator[str]:
        yield f"*{escaped(grid.caption)}*"
        yield ""
        yield f"| {' | '.join(map(escaped, grid.columns))} |"
        yield f"|{'---|' * len(grid.columns)}"
        for row in grid.rows:
            yield f"| {' | '.join(map(self._cell, row))} |"

    def _cell(self, cell: Cell) -> str:
        return " ".join(part for part in (self._text(cell), *self._records(cell.revisions)) if part)

    def _text(self, cell: Cell) -> str:
        address = web_address(cell.url)
        text = escaped(cell.text)
        if address:
            text = f"[{text or escaped(address)}](<{address}>)"
        return f"**{text}**" if cell.state != "known" else text

    def _records(self, revisions: tuple[int, ...]) -> list[str]:
        if not web_address(self._document.audit):
            return [f"record {n}" for n in revisions]
        self._cited.update(revisions)
        return [f"[record {n}][r{n}]" for n in revisions]
