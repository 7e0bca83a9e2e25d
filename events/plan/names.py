"""Ids and nearest names.

One rule: an id is derived from the words once, when the plan is read, and stored; people may write either.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

WORDS_IN_AN_ID = 6
LONGEST_ID = 63
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def slug(text: str) -> str:
    """The first six words, in lower case, joined by hyphens: at most 63 characters; "item" when none is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", re.sub(r"['’]", "", ascii_only.lower()))
    return "-".join(words[:WORDS_IN_AN_ID])[:LONGEST_ID].strip("-") or "item"


def unique(wanted: str, part: str, taken: Iterable[str]) -> str:
    """`wanted`, or with its part of the plan behind it, or with a number: the first that is not taken."""
    used = set(taken)
    if wanted not in used:
        return wanted
    stem = f"{wanted[: LONGEST_ID - 4 - len(part)]}-{part}" if len(part) < 30 else wanted[: LONGEST_ID - 4]
    candidates = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(used) + 3))
    return next(name for name in candidates if name not in used)


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; the nearest is 'x'", or the known names when none is near and they are few."""
    names = [one for one in known if one]
    close = difflib.get_close_matches(name.lower().replace(" ", "_"), names, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; the nearest is '{close[0]}'"
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= 16 else ""
