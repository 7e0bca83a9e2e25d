"""A written plan becomes a stored one.

One rule: all or nothing, and everything at once: either a `Plan`, or a `PlanError` with every problem in it.
Blanks are no problems here; they are the plan's `gaps`.
"""

from __future__ import annotations

from typing import Any, cast

from msgspec import UNSET, Struct
from msgspec.structs import replace

from events.plan.gaps import Path, step_of
from events.plan.names import IDENTIFIER, slug, unique
from events.plan.problems import PlanError, Problem, path_words
from events.plan.schema import Criterion, Gap, GoLive, Item, Plan, Question
from events.plan.walk import Walk, found, parts_inside

__all__ = ["PlanError", "Problem", "path_words", "read_plan"]


def read_plan(data: object, *, default_id: str = "") -> Plan:
    """The stored form of a plan written as plain data (from YAML or JSON); `PlanError` with all that is wrong.

    The id is the written one, or `default_id` (a file's name without its ending), or made of the title.
    """
    walk = Walk()
    if not isinstance(data, dict):
        raise PlanError((Problem((), f"expected a plan: a mapping of fields such as title:, found {found(data)}"),))
    plan = walk.read(Plan, data, ())
    if isinstance(data.get("go_live"), str) and plan is not UNSET:
        plan = replace(plan, go_live=walk.read(GoLive, {}, ("go_live",)))
    if plan is not UNSET:
        plan = _finished(cast(Plan, plan), default_id, walk)
    if walk.problems:
        raise PlanError(tuple(walk.problems))
    return cast(Plan, plan)


def _finished(plan: Plan, default_id: str, walk: Walk) -> Plan:
    """Names, ids and gaps: what can only be said once the whole plan is known."""
    plan = replace(
        plan,
        id=_plan_id(plan, default_id, walk),
        criteria={name: replace(one, name=name) for name, one in plan.criteria.items()},
        go_live=replace(plan.go_live, kpis=_named(plan.go_live.kpis)),
    )
    plan = cast(Plan, _Ids(plan, walk).given(plan, ()))
    gaps = [Gap(path_words(path), text, step_of(path, plan)) for path, text in walk.gaps]
    if plan.switch == "cutover" and not plan.toggles and not any(path[0] == "toggles" for path, _ in walk.gaps):
        gaps.append(Gap("toggles", "no toggle is named", "stage-1"))
    return replace(plan, gaps=tuple(gaps))


def _plan_id(plan: Plan, default_id: str, walk: Walk) -> str:
    wanted = plan.id or default_id or slug(plan.title)
    if wanted == "item" and not plan.id and not default_id:
        walk.fail(("id",), "is missing, and the title has no letters to make one of")
    if not IDENTIFIER.fullmatch(wanted):
        walk.fail(
            ("id",),
            f"expected small letters, digits and hyphens, at most 63, found {wanted[:80]!r}"
            + ("" if plan.id else "; it was taken from the file's name, so write an id: or rename the file"),
        )
    return wanted


def _named(kpis: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
    """A KPI written as one sentence has it as its name; a blank one is "KPI 1"."""
    blank = Walk()
    named = []
    for n, kpi in enumerate(kpis, 1):
        if kpi.name:
            named.append(kpi)
        elif not kpi.text or (blank.read(Criterion, kpi.text, ()) and blank.gaps):
            named.append(replace(kpi, name=f"KPI {n}"))
        else:
            named.append(replace(kpi, name=kpi.text, text=""))
        blank.gaps.clear()
    return tuple(named)


class _Ids:
    """Gives every item and question of a plan an id of its own, in the plan's order; written ones win."""

    def __init__(self, plan: Plan, walk: Walk) -> None:
        self.taken: set[str] = set()
        self._take_written(plan, (), walk)

    def _take_written(self, value: Any, path: Path, walk: Walk) -> None:
        for key, inner in parts_inside(value):
            self._take_written(inner, (*path, key), walk)
        if isinstance(value, (Item, Question)) and value.id:
            if not IDENTIFIER.fullmatch(value.id):
                walk.fail((*path, "id"), f"expected small letters, digits and hyphens, found {value.id[:80]!r}")
            elif value.id in self.taken:
                walk.fail((*path, "id"), f"'{value.id}' is the id of something else in this plan already")
            self.taken.add(value.id)

    def given(self, value: Any, path: Path) -> Any:
        """The same value with ids; untouched parts stay the same objects."""
        if isinstance(value, (Item, Question)):
            return value if value.id else replace(value, id=self._new(value.text, path))
        inside = {key: self.given(inner, (*path, key)) for key, inner in parts_inside(value)}
        if isinstance(value, Struct):
            return replace(value, **inside) if inside else value
        if isinstance(value, tuple):
            return tuple(inside.values())
        return inside if isinstance(value, dict) else value

    def _new(self, text: str, path: Path) -> str:
        part = f"stage-{path[2] + 1}" if path[1:2] == ("stages",) and isinstance(path[2], int) else str(path[0])
        made = unique(slug(text), part.replace("_", "-"), self.taken)
        self.taken.add(made)
        return made
