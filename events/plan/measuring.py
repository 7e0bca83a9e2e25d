"""What is wrong or doubtful in how criteria, KPIs and results are measured.

One rule: only what the plan says by itself is judged here; what a query means is for `cutover criteria test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from events.plan.findings import Finding, Findings
from events.plan.gaps import Path
from events.plan.schema import Criterion, Plan, Question

_SELECTOR = re.compile(r"^[A-Za-z_:][A-Za-z0-9_:]*(?:\{.*\})?$|^\{.+\}$", re.DOTALL)
_EVERY_LEAST = 5  # seconds between measurements


def measured(one: Criterion | Question) -> str:
    """By what it is measured: "query", "count" or "reading"; "" when a person records it."""
    fields = ("query", "count", "reading") if isinstance(one, Criterion) else ("query", "reading")
    return next((field for field in fields if getattr(one, field)), "")


def measuring(path: Path, one: Criterion) -> Findings:
    """One way to measure, and all that belongs to it."""
    ways = [field for field in ("query", "count", "reading") if getattr(one, field)]
    if len(ways) > 1:
        yield Finding("error", path, f"is measured in {len(ways)} ways ({', '.join(ways)}); keep one")
    if one.count and not one.per_seconds:
        yield Finding("error", (*path, "count"), "needs per: to say in which window it counts, such as any 10 minutes")
    if one.count and not _SELECTOR.match(one.count.strip()):
        yield Finding(
            "error", (*path, "count"), f"expected one counter such as errors_total{{..}}, found {one.count!r}"
        )
    if not one.exact and not one.count:
        yield Finding("error", (*path, "exact"), "belongs to count:")
    if bool(one.traffic) != (one.traffic_at_least is not None):
        yield Finding("error", (*path, "traffic"), "traffic: and traffic_at_least: belong together")
    if one.take and not one.reading:
        yield Finding("error", (*path, "take"), "belongs to reading:")
    if one.baseline and not one.trend:
        yield Finding("error", (*path, "baseline"), "needs trend: to say what the comparison is")
    if one.baseline and one.than is not None:
        yield Finding("error", (*path, "baseline"), "is already said by than:; write one of them")
    if one.every < _EVERY_LEAST:
        yield Finding("error", (*path, "every"), f"expected at least {_EVERY_LEAST} seconds, found {one.every}")
    if not ways:
        yield from _idle(path, one)


def _idle(path: Path, one: Criterion) -> Findings:
    """What belongs to measuring, where nothing is measured."""
    for field in ("breaches", "traffic", "baseline"):
        if getattr(one, field):
            yield Finding("error", (*path, field), "needs query:, count: or reading: a person records this one")


def answers(plan: Plan) -> Findings:
    """Results that are measured."""
    for path, question in _questions(plan):
        if question.query and question.reading:
            yield Finding("error", path, "is measured in 2 ways (query, reading); keep one")
        if question.by and not measured(question):
            yield Finding("error", (*path, "by"), "needs query: or reading:")
        if measured(question) and question.kind in ("yes/no", "found/fixed"):
            yield Finding("error", path, f"is answered by {question.kind}, and a measurement is a number")


def _questions(plan: Plan) -> Iterator[tuple[Path, Question]]:
    """The results of all steps. Questions of the go/no-go and after the launch are for people."""
    for n, watch in enumerate(plan.deploy.watch):
        yield from ((("deploy", "watch", n, "results", m), q) for m, q in enumerate(watch.results))
    yield from ((("testing", "results", m), q) for m, q in enumerate(plan.testing.results))
    yield from ((("rollout", "results", m), q) for m, q in enumerate(plan.rollout.results))
    for n, stage in enumerate(plan.rollout.stages):
        yield from ((("rollout", "stages", n, "results", m), q) for m, q in enumerate(stage.results))
    yield from ((("go_live", "results", m), q) for m, q in enumerate(plan.go_live.results))
