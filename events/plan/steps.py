"""What is wrong or doubtful in a plan's stages and watches.

One rule: exposure is the union of the stages so far, so a stage lower than those before it cannot be meant.
"""

from __future__ import annotations

from events.plan.findings import Finding, Findings
from events.plan.gaps import Path
from events.plan.schema import Plan, Stage


def share(stage: Stage) -> float:
    """The percentage a stage begins with; a group as a whole, or everyone, is 100."""
    return 100.0 if stage.percentage is None else stage.percentage


def stages(plan: Plan) -> Findings:
    """No stage may be lower than the union before it: advancing takes the group from nobody."""
    written = plan.rollout.stages
    if not written:
        yield Finding("error", ("rollout", "stages"), "is empty; the default is [everyone]")
    reached: dict[str, float] = {}
    for n, stage in enumerate(written):
        path: Path = ("rollout", "stages", n, "to")
        before = reached.get(stage.group, 0.0)
        if stage.group and reached.get("", 0.0) == 100:
            yield Finding("error", path, f"goes down: everyone has it already, so {stage.to!r} would add nobody")
        elif share(stage) < before and share(stage) < _begins(written[:n], stage.group):
            yield Finding("error", path, f"goes down: {stage.to!r} is less than the {before:g}% before it")
        elif share(stage) < before:
            yield Finding(
                "warning", path, f"{stage.to!r} begins below the {before:g}% that the stages before may reach"
            )
        if stage.up_to is not None and stage.up_to < share(stage):
            yield Finding("error", path, f"goes down: from {share(stage):g}% to {stage.up_to:g}%")
        if stage.percentage == 0:
            yield Finding("question", path, "switches on for nobody (0%): is it meant?")
        reached[stage.group] = max(before, stage.up_to or share(stage))
        if stage.percentage is not None and "flipper" in plan.readers:
            yield Finding("error", path, _MIXED)
        group = plan.groups.get(stage.group)
        if group and group.attribute and "flipper" in plan.readers:
            yield Finding(
                "error", path, "a group by attribute is not possible with the reader flipper: it knows ids only"
            )
    if written and (written[-1].group or share(written[-1]) < 100) and (written[-1].up_to or 0) < 100:
        yield Finding("warning", ("rollout", "stages"), "the last stage is not everyone; go-live sets everyone")


_MIXED = (
    "a percentage is not possible with the reader flipper: each Flipper client hashes the toggle's own key, so users "
    "would get a part of the toggles (of four toggles at 5%, 25% and 50%, measured: 18%, 67% and 88% of all users "
    "get a mixed set); use everyone or a group, or let applications ask by ofrep, va.gov or in-process"
)


def _begins(stages: tuple[Stage, ...], group: str) -> float:
    return max((share(stage) for stage in stages if stage.group == group), default=0.0)


def watches(plan: Plan) -> Findings:
    """Watches follow one another; a hole between them is watched by nobody."""
    if not plan.deploy.watch:
        yield Finding("error", ("deploy", "watch"), "is empty; the default is 24 hours")
    reached = 0
    for n, watch in enumerate(plan.deploy.watch):
        path: Path = ("deploy", "watch", n, "until")
        if watch.start >= watch.until:
            yield Finding("error", path, "ends before it starts")
        if watch.start > reached:
            yield Finding(
                "warning", path, f"begins {watch.start // 3600} hours after the deploy; nobody watches before"
            )
        if watch.start < reached and n:
            yield Finding("warning", path, "begins before the watch before it ends")
        reached = max(reached, watch.until)
