"""The picture of the phases is drawn from the table, and the documents show the picture of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.rollout.diagram import mermaid
from services.rollout.phases import TRANSITIONS

ROOT = Path(__file__).parents[3]
EDGE = re.compile(r"^  (\S+) --> (\S+): (.+)$")


def test_the_picture_has_every_move_that_leads_to_another_phase_and_no_other() -> None:
    drawn = set()
    for line in mermaid().splitlines():
        if match := EDGE.match(line):
            drawn |= {(match[1], move.strip(), match[2]) for move in match[3].split("|") if match[1] != match[2]}
    table = {
        (source, move, to) for move, sources, to, _ in TRANSITIONS for source in sources if to not in ("=", source)
    }
    assert drawn == table


@pytest.mark.parametrize("document", ["README.md", "docs/reference/phases.md"])
def test_a_document_shows_the_picture_of_today(document: str) -> None:
    found = re.search(r"<!-- phases -->\s*```mermaid\n(.*?)```\s*<!-- /phases -->", (ROOT / document).read_text(), re.S)
    assert found, f"{document} has no picture between <!-- phases --> and <!-- /phases -->"
    assert found[1] == mermaid(), "run `make docs`"
