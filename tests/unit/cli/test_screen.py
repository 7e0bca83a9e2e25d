"""What the command line prints of what people wrote: text, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest
from rich.table import Table
from rich.text import Text

from services.cli.screen import bullets, err, out, say

NASTY = "before \u202eexe.gpj\u2066 \x1b[31mred\x1b]0;title\x07 \x9bafter\nnext\tline"


def test_what_people_wrote_neither_turns_the_text_nor_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table.grid()
    table.add_row(Text(NASTY))
    say(NASTY)
    say(NASTY, whole=True)
    say(NASTY, to=err())
    out().print(table)
    out().print(bullets([NASTY]))
    printed = capsys.readouterr()
    for said in (printed.out, printed.err):
        assert not set(said) & set("\u202e\u2066\x1b\x07\x9b")
        assert "before exe.gpj [31mred]0;title after" in said
        assert "\n" in said.strip()
