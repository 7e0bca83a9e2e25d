"""What is wrong, doubtful or still open in a plan that can be read.

One rule: it names and asks; it never changes a plan. Errors make adoption impossible; a blank is an error unless
the plan says `draft: true`. It knows no clock: that a date has passed is not its business.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator

from events.plan.actors import known_as
from events.plan.bounds import bounds
from events.plan.findings import Finding, Findings, Level
from events.plan.gaps import Path
from events.plan.ids import ids
from events.plan.limits import limits
from events.plan.measuring import answers
from events.plan.names import IDENTIFIER, nearest
from events.plan.problems import path_words
from events.plan.schema import Plan, Planned
from events.plan.steps import stages, watches

__all__ = ["Finding", "check"]

MOST_USERS = 2_000

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def check(plan: Plan) -> tuple[Finding, ...]:
    """Everything worth saying about the plan, in the order errors, gaps, questions, warnings."""
    found = [
        *bounds(plan),
        *_gaps(plan),
        *_whole(plan),
        *_toggles(plan),
        *_names(plan),
        *ids(plan),
        *stages(plan),
        *watches(plan),
        *_audiences(plan),
        *limits(plan),
        *answers(plan),
        *_people(plan),
        *_dates(plan),
        *_testing(plan),
    ]
    order = ("error", "gap", "question", "warning")
    return tuple(sorted(found, key=lambda finding: order.index(finding.level)))


def _gaps(plan: Plan) -> Findings:
    for gap in plan.gaps:
        text = f"is still open ({gap.text}); it blocks {_step_words(gap.step)}"
        if plan.draft:
            yield Finding("gap", (gap.path,), text)
        else:
            yield Finding("error", (gap.path,), f"{text}; fill it, or write draft: true")


def _step_words(step: str) -> str:
    names = {
        "code_deploy": "the deploy",
        "veteran_testing": "the start of testing",
        "stage-1": "the first exposure",
        "go_live": "go-live",
        "close": "the close",
    }
    return names.get(step, step.replace("-", " "))


def _whole(plan: Plan) -> Findings:
    try:
        zoneinfo.ZoneInfo(plan.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        yield Finding(
            "error", ("time_zone",), f"expected a time zone such as America/New_York, found {plan.time_zone!r}"
        )
    for service in plan.deploy.github:
        if service not in plan.deploy.services:
            text = f"there is no service {service!r} in deploy.services{nearest(service, plan.deploy.services)}"
            yield Finding("error", ("deploy", "github", service), text)
    if plan.id in plan.after:
        yield Finding("error", ("after",), "the plan comes after itself")
    for other in plan.after:
        if not IDENTIFIER.fullmatch(other):
            yield Finding("error", ("after",), f"expected the id of a plan, found {other!r}")
    if not plan.readers:
        yield Finding("error", ("readers",), "nobody asks for the toggles; name at least one reader")
    if not plan.title:
        yield Finding("error", ("title",), "is empty")
    if not plan.go_live.results_after and plan.go_live.results:
        yield Finding("warning", ("go_live", "results_after"), "is empty, so the results are never asked for")


def _toggles(plan: Plan) -> Findings:
    seen: dict[str, str] = {}
    for toggle in plan.toggles:
        alike = seen.setdefault(toggle.key.lower(), toggle.key)
        if alike != toggle.key or sum(one.key == toggle.key for one in plan.toggles) > 1:
            yield Finding("error", ("toggles", toggle.key), f"is too much like '{alike}': a toggle is named once")
    if plan.switch == "cutover" and not plan.toggles and not any(g.path.startswith("toggles") for g in plan.gaps):
        yield Finding("error", ("toggles",), "no toggle is named")
    if plan.switch == "elsewhere" and plan.toggles:
        yield Finding("question", ("switch",), "is elsewhere, yet toggles are named: who switches them?")


def _names(plan: Plan) -> Findings:
    """Every name used must be defined, and every criterion defined should be used."""
    uses = dict(_criteria_used(plan))
    for path, names in uses.items():
        for name in names:
            if name not in plan.criteria:
                yield Finding("error", path, f"'{name}' is not among the plan's criteria{nearest(name, plan.criteria)}")
            if names.count(name) > 1:
                yield Finding("warning", path, f"'{name}' is named twice")
    used = {name for names in uses.values() for name in names}
    for name in plan.criteria:
        if name not in used:
            yield Finding("warning", ("criteria", name), "is used by no step; name it under criteria: of a step")
    for n, stage in enumerate(plan.rollout.stages):
        if stage.group and stage.group not in plan.groups:
            close = nearest(stage.group, plan.groups) if plan.groups else "; the plan has no groups:"
            yield Finding(
                "error",
                ("rollout", "stages", n, "to"),
                f"'{stage.group}' is not everyone, a percentage or a group{close}",
            )
    for title in plan.go_no_go.delegates:
        if title not in plan.go_no_go.decided_by:
            yield Finding(
                "error",
                ("go_no_go", "delegates", title),
                f"'{title}' decides nothing here{nearest(title, plan.go_no_go.decided_by)}",
            )


def _criteria_used(plan: Plan) -> Iterator[tuple[Path, tuple[str, ...]]]:
    yield ("deploy", "criteria"), plan.deploy.criteria
    for n, watch in enumerate(plan.deploy.watch):
        yield ("deploy", "watch", n, "criteria"), watch.criteria
    yield ("testing", "criteria"), plan.testing.criteria
    yield ("rollout", "criteria"), plan.rollout.criteria
    for n, stage in enumerate(plan.rollout.stages):
        yield ("rollout", "stages", n, "criteria"), stage.criteria
    yield ("go_live", "criteria"), plan.go_live.criteria


def _audiences(plan: Plan) -> Findings:
    for name, group in plan.groups.items():
        path: Path = ("groups", name)
        if bool(group.users) == bool(group.attribute):
            yield Finding("error", path, "expected either users: or attribute: with any_of:")
        elif bool(group.attribute) != bool(group.any_of):
            yield Finding("error", path, "attribute: and any_of: belong together")
        if len(group.users) > MOST_USERS:
            yield Finding(
                "error", (*path, "users"), f"expected at most {MOST_USERS:,} users, found {len(group.users):,}"
            )
        yield from _kind_of_ids(plan, path, group.users)
    if any(group.users for group in plan.groups.values()) and plan.actor == "email":
        yield Finding(
            "warning", ("groups",), "email addresses in a plan stay in the log for ever; an attribute is better"
        )


def _kind_of_ids(plan: Plan, path: Path, users: tuple[str, ...]) -> Findings:
    """One kind of id for everybody: applications ask by the plan's actor, an email address in lower case."""
    emails = [one for one in users if _EMAIL.fullmatch(one)]
    if plan.actor != "email" and emails:
        level: Level = "error" if "flipper" in plan.readers else "warning"
        text = f"holds what looks like an email address, but the actor is the {plan.actor}"
        yield Finding(level, (*path, "users"), text)
    if any(known_as(one, plan.actor) != one for one in users):
        yield Finding("error", (*path, "users"), "email addresses are written in lower case: users are known so")


def _people(plan: Plan) -> Findings:
    if not plan.go_no_go.decided_by:
        yield Finding(
            "warning",
            ("go_no_go", "decided_by"),
            "names no approver, so the service's default approvers decide; without any, no step can be entered",
        )


def _dates(plan: Plan) -> Findings:
    """Planned days in an order that cannot be; the order of the steps is the order here."""
    planned: list[tuple[Path, Planned | None]] = [
        (("deploy", "date"), plan.deploy.date),
        (("testing", "dates"), plan.testing.dates),
        (("rollout", "dates"), plan.rollout.dates),
        *((("rollout", "stages", n, "dates"), stage.dates) for n, stage in enumerate(plan.rollout.stages)),
        (("go_live", "date"), plan.go_live.date),
    ]
    earlier: tuple[Path, str] | None = None
    for path, date in planned:
        if date is None or not date.first:
            continue
        if date.last < date.first:
            yield Finding("warning", path, f"ends ({date.last}) before it begins ({date.first})")
        if earlier and date.last < earlier[1]:
            yield Finding(
                "warning",
                path,
                f"is over ({date.last}) before {path_words(earlier[0])} begins ({earlier[1]}): which is right?",
            )
        if not earlier or date.first > earlier[1]:
            earlier = (path, date.first)
    for n, freeze in enumerate(plan.freezes):
        if freeze.last < freeze.first:
            yield Finding("error", ("freezes", n), f"ends ({freeze.last}) before it begins ({freeze.first})")
        for path, date in planned:
            if date and date.first and freeze.first <= date.first == date.last <= freeze.last:
                yield Finding("warning", path, f"falls into the freeze from {freeze.first} to {freeze.last}")


def _testing(plan: Plan) -> Findings:
    testing = plan.testing
    if testing.waived and (testing.workflows or testing.testers or testing.results):
        yield Finding("warning", ("testing", "waived"), "is waived, so its workflows and results are not asked for")
    if testing.access == "whole phase" and not (testing.testers or testing.waived or testing.length.at_least):
        yield Finding("warning", ("testing",), "says neither how many testers nor how long, so it may end at once")
