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

KEPT = Path(__file__).parents[1] / "docs" / "reference"
STAT = Path("/proc/stat")  # Linux alone has it


def _processors() -> tuple[int, int] | None:
    """Ticks of all processors since the machine began: in which something wanted to run here, and of these, how many
    the hypervisor gave to others. Source: proc(5)."""
    if not STAT.exists():
        return None
    user, nice, system, _idle, _wait, irq, soft, stolen, *_ = map(int, STAT.read_text().split("\n", 1)[0].split()[1:])
    return user + nice + system + irq + soft + stolen, stolen


_BEGAN = _processors()


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
        f"Made by `{command} ARGS=--save` on {datetime.now(UTC):%Y-%m-%d}, with {os.cpu_count()} cores{_stolen()},\n"
        f"{', '.join(conditions)}"
    )


def _stolen() -> str:
    """How much of the time in which they were wanted here the processors were elsewhere."""
    now = _processors()
    if _BEGAN is None or now is None or now[0] == _BEGAN[0]:
        return ""
    return (
        f" (other machines took {100 * (now[1] - _BEGAN[1]) / (now[0] - _BEGAN[0]):.0f}% of the time they were wanted)"
    )
