"""The blanks of a plan over a revision: which are still open, which were filled, which were only left out.

One rule: a blank is filled by what stands in its place now. The list of them comes with the plan, from its sender.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct

from events.plan.gaps import Path, placeholder, step_of
from events.plan.schema import Criterion, Gap, Plan


def left_out(old: Plan, new: Plan) -> Iterator[str]:
    """Why the revision may not leave blanks out, or move them: nothing else stands where they were."""
    for gap in old.gaps:
        blocks = [other.step for other in new.gaps if other.path == gap.path]
        if not blocks and not _filled(gap, old, new):
            yield f"the plan said {gap.text!r} at {gap.path!r}: fill it in, or leave it open; it cannot be left out"
        elif blocks and blocks[0] not in (gap.step, step_of(_path(gap.path), new)):
            yield f"the blank at {gap.path!r} blocks {gap.step}, not {blocks[0]}"


def touched(old: Plan, new: Plan) -> tuple[str, ...]:
    """The steps whose blanks are others now, in the order of the plans."""
    other = [gap for gap in old.gaps if gap not in new.gaps] + [gap for gap in new.gaps if gap not in old.gaps]
    return tuple(dict.fromkeys(gap.step for gap in other))


def _filled(gap: Gap, old: Plan, new: Plan) -> bool:
    if gap.path == "toggles" and new.switch == "elsewhere":
        return True
    path = _path(gap.path)
    depth, holder = _stands(old, path[:-1])
    whole = depth == len(path) - 1 and isinstance(holder, tuple)
    if whole and isinstance(path[-1], int) and not _kept(_stands(old, path)[1]):
        return _entries(new, path[:-1]) >= _entries(old, path[:-1])
    return _stands(old, path) != _stands(new, path)


def _kept(value: Any) -> bool:
    """Whether the blank itself stands in its list: sentences and KPIs do, other parts are left out."""
    text = value.text if isinstance(value, Criterion) else value
    return isinstance(text, str) and placeholder(text) != ""


def _entries(plan: Plan, path: Path) -> int:
    """How long a list is, with the blanks that were left out of it."""
    depth, value = _stands(plan, path)
    blanks = sum(1 for gap in plan.gaps if _path(gap.path)[:-1] == path)
    return blanks + (len(value) if depth == len(path) and isinstance(value, tuple) else 0)


def _stands(plan: Plan, path: Path) -> tuple[int, Any]:
    """What stands at a path, or at as much of it as there is, and how much that is."""
    value: Any = plan
    for depth, part in enumerate(path):
        inner = _part(value, part)
        if inner is UNSET:
            return depth, value
        value = inner
    return len(path), value


def _part(value: Any, part: str | int) -> Any:
    if isinstance(value, tuple) and isinstance(part, int):
        return value[part] if 0 <= part < len(value) else UNSET
    if isinstance(value, dict):
        return value.get(part, UNSET)
    if isinstance(value, Struct) and part in value.__struct_fields__:
        return getattr(value, str(part))
    return UNSET


def _path(words: str) -> Path:
    """The path that `path_words` wrote: list positions counted from 0 again."""
    return tuple(int(part) - 1 if part.isdecimal() else part for part in words.split(" / "))
