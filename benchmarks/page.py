"""The page that a benchmark makes: printed, under what conditions it was made, and kept if asked to.

One rule: a page says by which command it was made, when, and with what.
"""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.processors import ticks

KEPT = Path(__file__).parents[1] / "docs" / "reference"
_BEGAN = ticks()


def say(what: str) -> None:
    """Progress, beside the page."""
    sys.stderr.write(f"{what}\n")


def tell(words: str, name: str) -> None:
    """Print the page; with `--save` on the command line it takes the place of docs/reference/NAME."""
    sys.stdout.write(words)
    if "--save" in sys.argv[1:]:
        (KEPT / name).write_text(words, encoding="utf-8")
        say(f"kept in {KEPT / name}")


def made_by(command: str, *libraries: str, also: tuple[str, ...] = ()) -> str:
    """How, when, on what, and with which versions; the line is ended by whoever goes on."""
    conditions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in libraries), *also]
    return (
        f"Made by `{command} ARGS=--save` on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores{_taken()},\n"
        f"{', '.join(conditions)}"
    )


def _taken() -> str:
    share = ticks().share_since(_BEGAN)
    return f" (other machines took {100 * share:.0f}% of the time they were wanted)" if _BEGAN.wanted else ""
