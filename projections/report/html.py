"""The report as one HTML page that needs nothing else: no script, no request, its style inside.

One rule: every text is escaped by the template engine, and an address becomes a link only where `web_address` lets it.
The page's own Content-Security-Policy allows its one style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from projections.report.document import Document, clean, web_address
from projections.report.drawing import HEIGHT, LEFT, RIGHT, WIDTH, drawn

_HERE = Path(__file__).parent
STYLE = (_HERE / "page.css").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def html(document: Document) -> str:
    """The page."""
    page = _templates().get_template("page.html")
    size = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT}
    whole = page.render(
        document=document, policy=CONTENT_SECURITY_POLICY, style=Markup(STYLE), size=size, named=_named()
    )
    return whole.lstrip()


def _named() -> Callable[[str], str]:
    """Gives each region of a page a name of its own, by which a screen reader tells it from the others."""
    given: Counter[str] = Counter()

    def named(text: str) -> str:
        given[text] += 1
        return text if given[text] == 1 else f"{text}, {given[text]}"

    return named


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "clean": clean,
        "address": web_address,
        "drawn": drawn,
        "kind": lambda block: type(block).__name__,
    }
    return found
