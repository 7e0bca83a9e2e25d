"""What was measured and recorded, beside its target; and a criterion's history, for charts.

One rule: a value names the record that gave it. What a snapshot froze stays beside what came later, which is marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from litestar import Response, get
from litestar.params import FromPath
from msgspec import Meta, Struct

from events.facts import Band, Record, SnapshotEntry, UtcTime, Verdict, VerdictRecorded
from events.plan.schema import Criterion, Plan, Quantity
from events.readings import Reading
from projections.kpis import KpiRow, limits, target
from projections.report.history import History, Line
from services.analysis.readings import TROUBLES
from services.api.answers import answer
from services.api.asof import as_of, past, read_point
from services.api.described import AS_OF, AT_LEAST, ROLLOUT, Param, described
from services.api.freshness import views_caught_up
from services.api.problems import failed, unknown_rollout
from services.api.report import stored_records
from services.api.service import Request, service_of
from services.rollout import steps
from services.rollout.state import Rollout
from services.views.past import EPOCH

DEFAULT, MOST = 500, 5000
LATEST = timedelta(days=31)


class Kpi(Struct, frozen=True):
    """One item of one step. `value` null: not known. `frozen`: what the step's snapshot held, null before it; `late`:
    the value came after it. `revision`: of the record that gave the value."""

    of: str
    item: str
    value: str | None
    target: str
    verdict: Verdict | None
    revision: int | None
    late: bool
    frozen: str | None


class Snapshot(Struct, frozen=True):
    """What was frozen of a step or a set of results; `revises` counts its marked revisions."""

    of: str
    since: UtcTime | None
    until: UtcTime | None
    revises: int
    entries: tuple[SnapshotEntry, ...]


class Kpis(Struct, frozen=True):
    revision: int
    items: Sequence[Kpi]
    snapshots: Sequence[Snapshot]


class Judged(Struct, frozen=True):
    """A verdict as the log holds it: a change, or the evidence of a promotion."""

    at: UtcTime
    step: str
    value: Quantity | None
    verdict: Verdict
    band: Band
    why: str
    since: UtcTime
    until: UtcTime
    measured: bool
    revision: int


class Limit(Struct, frozen=True):
    words: str
    value: Quantity


class CriterionHistory(Struct, frozen=True):
    """`verdicts` are all of the log; `readings` those between `since` and `until`, oldest first, at most as many as
    asked for: with `more`, ask again with the time of the last one as `since`."""

    name: str
    target: str
    limits: Sequence[Limit]
    verdicts: Sequence[Judged]
    readings: Sequence[Reading]
    since: UtcTime
    until: UtcTime
    more: bool


CRITERION = (
    ROLLOUT,
    Param("name", "The criterion, as the plan names it.", Annotated[str, Meta(min_length=1)], required=True),
    Param("since", "Readings from this instant on; a month back without it.", example="2022-07-29T12:00:00Z"),
    Param("until", "Readings before this instant; now without it.", example="2022-07-30T12:00:00Z"),
    Param("limit", f"Readings at most; {DEFAULT} without it.", Annotated[int, Meta(ge=1, le=MOST)]),
    AT_LEAST,
)
HISTORY = described("results", CriterionHistory, params=CRITERION, problems=("unavailable", "stopped"))


@get("/v1/rollouts/{rollout:str}/kpis", opt=described("results", Kpis, params=(ROLLOUT, AT_LEAST, AS_OF)))
async def kpis(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """By step and item; `?as_of=` a time or revision."""
    await views_caught_up(request)
    point = as_of(request)
    if point is not None:
        then = await past(request, rollout, point)
        rows: Iterable[KpiRow] = (row for _, row in sorted(then.known.kpis.rows.items()))
        return answer(_kpis(then.state, rows))
    views = service_of(request).views
    state = await asyncio.to_thread(views.state, rollout)
    if state is None:
        raise unknown_rollout(rollout)
    return answer(_kpis(state, await asyncio.to_thread(views.kpis, rollout)))


def _kpis(state: Rollout, rows: Iterable[KpiRow]) -> Kpis:
    items = [
        Kpi(row.of, row.item, row.value or None, row.target, row.verdict, row.revision or None, row.late, row.frozen)
        for row in sorted(rows, key=_order(state.plan))
    ]
    snapshots = [
        Snapshot(of, frozen.since, frozen.until, frozen.revises, frozen.entries) for of, frozen in state.frozen.items()
    ]
    return Kpis(state.revision, items, snapshots)


def _order(plan: Plan) -> Callable[[KpiRow], int]:
    """Rows in the order of the plan's steps and sets of results; what a revised plan has no more goes last."""
    named = {of: n for n, of in enumerate((*steps.steps(plan), *steps.result_sets(plan)))}
    return lambda row: named.get(row.of, len(named))


@get("/v1/rollouts/{rollout:str}/criteria/history", opt=HISTORY)
async def criterion_history(request: Request, rollout: FromPath[str]) -> Response[bytes]:
    """Of the criterion `?name=`: its verdicts, and what was measured in between; `since`, `until`, `limit`."""
    await views_caught_up(request)
    asked, now = request.query_params, service_of(request).now()
    name = asked.get("name", "").strip()
    if not name:
        raise failed("malformed", "name: expected the name of a criterion, found nothing")
    until = _instant(asked.get("until"), now, "until", now)
    since = _instant(asked.get("since"), now, "since", max(until, EPOCH + LATEST) - LATEST)
    if "since" in asked and since >= until:
        raise failed(
            "malformed", f"until: expected an instant after `since`, {since.isoformat()}; found {until.isoformat()}"
        )
    most = _limit(asked.get("limit"))
    stored = await stored_records(request, rollout, None)
    history = History(Line(revision, record) for revision, record in stored.records)
    verdicts = list(_verdicts(stored.records, name))
    one = history.plan.criteria.get(name)
    if one is None and not verdicts:
        known = ", ".join(history.plan.criteria) or "none"
        raise failed("not-found", f"'{name[:100]}' is no criterion of {rollout}; it has: {known[:500]}")
    one = one or Criterion(name=name)
    readings = await _readings(request, rollout, name, since, until, most + 1)
    found = [Limit(words, value) for words, value in limits(one)]
    return answer(
        CriterionHistory(name, target(one), found, verdicts, readings[:most], since, until, more=len(readings) > most)
    )


def _verdicts(records: Iterable[tuple[int, Record]], name: str) -> Iterator[Judged]:
    for revision, record in records:
        for fact in record.facts:
            if isinstance(fact, VerdictRecorded) and fact.criterion == name:
                yield Judged(
                    record.when,
                    fact.step,
                    fact.value,
                    fact.verdict,
                    fact.band,
                    fact.why,
                    fact.since,
                    fact.until,
                    fact.measured,
                    revision,
                )


async def _readings(
    request: Request, rollout: str, name: str, since: datetime, until: datetime, most: int
) -> Sequence[Reading]:
    kept = service_of(request).readings
    if kept is None:
        return ()
    try:
        return await kept.measured(rollout, name, since, until, most)
    except TROUBLES as error:
        raise failed("unavailable", f"readings cannot be read now: {error or type(error).__name__}") from error


def _instant(text: str | None, now: datetime, name: str, default: datetime) -> datetime:
    if text is None:
        return default
    found = read_point(text, now, name)
    if isinstance(found, int):
        raise failed("malformed", f"{name}: expected an instant such as 2022-07-29T12:00:00Z, found '{text[:40]}'")
    return max(found, EPOCH)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise failed("malformed", f"limit: expected a number from 1 to {MOST}, found '{text[:40]}'")
    return int(text)
