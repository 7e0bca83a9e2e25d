"""What is wrong with the ids of a plan's items and questions.

One rule: an id names one thing in the whole plan. What people attest, answer and record is kept under it, so two
things with one id would be confirmed by the word of one person.
"""

from __future__ import annotations

from events.plan.findings import Finding, Findings
from events.plan.gaps import Path
from events.plan.names import IDENTIFIER
from events.plan.schema import Item, Plan, Question
from events.plan.walk import parts_inside

SWITCHED = "switched-"  # ids of what is attested where the toggles are switched elsewhere: switched-stage-1


def ids(plan: Plan) -> Findings:
    """Odd, repeated and reserved ids; and a result that is called as a KPI is, since both are recorded by name."""
    seen: set[str] = set()
    kpis = {kpi.name for kpi in plan.go_live.kpis}
    for path, named in _named(plan, ()):
        place: Path = (*path, "id")
        if not IDENTIFIER.fullmatch(named.id):
            text = f"expected small letters, digits and hyphens, found {named.id[:80]!r}"
            yield Finding("error", place, text)
        elif named.id in seen:
            yield Finding("error", place, f"'{named.id}' is the id of something else in this plan already")
        elif named.id.removeprefix(f"{SWITCHED}stage-").isdecimal():
            yield Finding("error", place, f"'{named.id}' is the id of what is attested where toggles are elsewhere")
        elif path[:2] == ("go_live", "results") and named.id in kpis:
            yield Finding("error", place, f"'{named.id}' is the name of a KPI, which is recorded by it")
        seen.add(named.id)


def _named(value: object, path: Path) -> list[tuple[Path, Item | Question]]:
    inside = [found for key, inner in parts_inside(value) for found in _named(inner, (*path, key))]
    return [(path, value), *inside] if isinstance(value, (Item, Question)) else inside
