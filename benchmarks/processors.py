"""What the processors were wanted for here, and what of it the hypervisor gave to other machines instead.

One rule: what was measured while others took the processors is told apart, and is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")  # Linux alone has it


class Ticks(NamedTuple):
    """Of all processors, hundredths of a second: wanted by something here, and of these, taken by other machines."""

    wanted: int
    taken: int

    def share_since(self, before: Ticks) -> float:
        """Which share of what was wanted since then was taken, from 0 to 1."""
        wanted = self.wanted - before.wanted
        return (self.taken - before.taken) / wanted if wanted else 0.0


def ticks() -> Ticks:
    """Since the machine began. Where nobody counts, nothing was taken. Source: proc(5)."""
    if not STAT.exists():
        return Ticks(0, 0)
    user, nice, system, _idle, _wait, irq, soft, taken, *_ = map(int, STAT.read_text().split("\n", 1)[0].split()[1:])
    return Ticks(user + nice + system + irq + soft + taken, taken)
