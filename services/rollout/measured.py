"""What was measured for a decision: verdicts and results with their spans and evidence.

One rule: whoever measures hands in finished measurements; deciding on them is pure, and replay measures nothing.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from events.facts import Band, Evidence, UtcTime, Verdict
from events.plan.schema import Quantity


class Measurement(Struct, frozen=True, omit_defaults=True):
    """One criterion, KPI or result, measured over [since, until). `value` None: none was to be had, and `why` says so.

    `said` is the value in words where it is no single number ("timeout: 12, 5xx: 3").
    """

    item: str  # a criterion's or KPI's name, a question's id
    kind: Literal["criterion", "kpi", "result"]
    verdict: Verdict
    why: str
    since: UtcTime
    until: UtcTime
    band: Band = ""
    value: Quantity | None = None
    said: str = ""
    query: str = ""


class Measured(Struct, frozen=True, omit_defaults=True):
    """Everything measured for one step or set of results (`of`), as it was entered by record `began`."""

    of: str
    began: int
    items: tuple[Measurement, ...]
    evidence: tuple[Evidence, ...] = ()

    def of_kind(self, *kinds: str) -> tuple[Measurement, ...]:
        """The measurements of these kinds, in the plan's order."""
        return tuple(item for item in self.items if item.kind in kinds)
