"""Judging afresh: what a promotion or a snapshot rests on is measured for it, over the full span.

One rule: it ends within its limit, whatever the servers do; what was not measured by then says so, and does not pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec.structs import replace

from events.facts import Evidence
from events.plan.measuring import measured
from events.plan.schema import Criterion, Question
from services.analysis import promql
from services.analysis.measure import Measurer, Taken
from services.rollout import commands as c
from services.rollout import criteria, steps
from services.rollout.criteria import Judged
from services.rollout.measured import Measured, Measurement
from services.rollout.measuring import PROMOTIONS
from services.rollout.state import Frozen, Rollout

LIMIT = 10.0  # seconds for all of it
SHORT = 500  # characters of a query once there is no room left
MOST_EVIDENCE = 384 * 1024  # characters: half of a record

Kind = Literal["criterion", "kpi", "result"]


class Wanted(NamedTuple):
    """One thing to measure for `of`, over [since, until)."""

    item: str
    kind: Kind
    one: Criterion | Question
    since: datetime
    until: datetime


class Afresh:
    """Measures for a command, if it is one that rests on measurements."""

    def __init__(self, measurer: Measurer, *, limit: float = LIMIT) -> None:
        self._measurer = measurer
        self._limit = limit

    async def __call__(self, rollout: Rollout, command: c.Command, now: datetime) -> Measured | None:
        """What was measured for this command at `now`; None where nothing of the plan is measured for it."""
        if isinstance(command, PROMOTIONS):
            of, began, wanted = steps.current_step(rollout), rollout.step_ordinal, self._of_step(rollout, now)
        elif isinstance(command, c.TakeSnapshot):
            of, began, wanted = command.of, rollout.released_ordinal, self._of_set(rollout, command.of, now)
        else:
            return None
        if not wanted:
            return None
        taken = await self._all(rollout.id, wanted)
        items = tuple(_measurement(want, found) for want, found in zip(wanted, taken, strict=True))
        return Measured(of, began, items, _bounded(proof for found in taken for proof in found.evidence))

    def _of_step(self, rollout: Rollout, now: datetime) -> list[Wanted]:
        """The criteria and the measured results of the step that is being left."""
        step, since = steps.current_step(rollout), rollout.step_since
        if not step or since is None:
            return []
        found = [Wanted(k.name, "criterion", k, since, now) for k in steps.criteria(rollout.plan, step)]
        found += [Wanted(q.id, "result", q, since, now) for q in steps.questions(rollout.plan, step)]
        return [want for want in found if self._measurer.can(want.one)]

    def _of_set(self, rollout: Rollout, of: str, now: datetime) -> list[Wanted]:
        """The measured KPIs and results of a set, as they were when it was due, not when somebody got to it."""
        if of in rollout.frozen and of in steps.steps(rollout.plan):
            return self._of_past(rollout, of, rollout.frozen[of])
        seconds, since = steps.result_sets(rollout.plan).get(of), rollout.released_at
        if seconds is None or since is None or now < since + timedelta(seconds=seconds):
            return []
        due = since + timedelta(seconds=seconds)
        found = [Wanted(k.name, "kpi", k, since, due) for k in rollout.plan.go_live.kpis]
        found += [Wanted(q.id, "result", q, since, due) for q in steps.questions(rollout.plan, of)]
        return [want for want in found if self._measurer.can(want.one)]

    def _of_past(self, rollout: Rollout, step: str, held: Frozen) -> list[Wanted]:
        """What was published of a step that is over: readings may come late, a server's past does not change."""
        since, until = held.since, held.until
        if step == steps.current_step(rollout) or since is None or until is None:
            return []
        found = [Wanted(k.name, "criterion", k, since, until) for k in steps.criteria(rollout.plan, step)]
        found += [Wanted(q.id, "result", q, since, until) for q in steps.questions(rollout.plan, step)]
        return [want for want in found if measured(want.one) == "reading" and self._measurer.can(want.one)]

    async def _all(self, rollout: str, wanted: Sequence[Wanted]) -> list[Taken]:
        tasks = [asyncio.ensure_future(self._one(rollout, want)) for want in wanted]
        try:
            await asyncio.wait(tasks, timeout=self._limit)
            return [
                task.result() if task.done() else _late(want, self._limit)
                for want, task in zip(wanted, tasks, strict=True)
            ]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _one(self, rollout: str, want: Wanted) -> Awaitable[Taken]:
        if isinstance(want.one, Question):
            return self._measurer.result(want.one, rollout, want.since, want.until)
        return self._measurer.over(want.one, rollout, want.since, want.until)


def _bounded(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """As much of it as a record has room for: raw answers go first, what was asked and found stays."""
    kept: list[Evidence] = []
    room = MOST_EVIDENCE
    for proof in evidence:
        short = proof if room > 0 else replace(proof, raw="", query=proof.query[:SHORT])
        kept.append(short)
        room -= len(short.query) + 2 * len(short.raw)
    return tuple(kept)


def query_in(one: Criterion | Question) -> str:
    """The query as the plan means it, SPAN and all."""
    return promql.query_of(one) if isinstance(one, Criterion) else one.query


def _measurement(want: Wanted, found: Taken) -> Measurement:
    verdict, band, why, value = found.judged
    limited = isinstance(want.one, Criterion) and criteria.has_limit(want.one)
    if want.kind == "kpi" and not limited:
        band = ""
    query = found.query or query_in(want.one)
    return Measurement(want.item, want.kind, verdict, why, want.since, want.until, band, value, found.said, query)


def _late(want: Wanted, limit: float) -> Taken:
    query, why = query_in(want.one), f"it could not be measured within {limit:g} s"
    return Taken(Judged("error", "", why), query, (Evidence("query", want.item, why, query, verdict="error"),))
