"""What is doubtful in a criterion's query, before it is armed.

One rule: it reads the text alone, and every doubt says what to write instead. Which of them matter is a person's call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from events.plan.schema import Criterion
from services.analysis import promql
from services.rollout import criteria

_AGGREGATE = re.compile(r"^\s*\(*\s*(?:sum|max|min|avg|count|quantile|scalar|histogram_quantile|\w+_over_time)\b")


def lint(one: Criterion) -> tuple[str, ...]:
    """The doubts about one measured criterion, in words."""
    if one.reading:
        return tuple(_readings(one))
    return tuple(_query(one, promql.query_of(one)))


def _readings(one: Criterion) -> Iterator[str]:
    if one.fresh <= 300:
        yield "fresh: is 5 minutes; a job that publishes less often needs more, such as fresh: 1 day"
    if one.per_seconds and not one.take:
        yield f"per: {one.per} without take: looks at the last reading only; write take: sum, largest, .."


def _query(one: Criterion, query: str) -> Iterator[str]:
    if not promql.has_span(query):
        yield (
            "has no SPAN: a promotion looks at it every "
            f"{one.every} seconds over the whole step; with SPAN one look covers the step"
        )
    back = promql.reach(query)
    if back and promql.has_span(query):
        yield f"looks back {back} seconds by itself: SPAN is shortened by that, so nothing from before the step counts"
    elif back:
        yield f"looks back {back} seconds: it is not judged in the first {back} seconds of a step"
    counting = not one.count or not one.exact
    if counting and re.search(r"\bincrease\s*\(", query):
        yield (
            "increase() extrapolates: at a scrape of a minute a true 9 in ten minutes reads 10. Where the limit is a "
            "count, write count: with the counter and per:, which is exact"
        )
    if one.count and one.exact:
        yield "counts exactly, and so counts too little over a restart of what it counts (the counter begins anew)"
    if "vector(" in query and not one.traffic:
        yield "is a number even when nobody reports (vector()): add traffic: and traffic_at_least:"
    elif not one.traffic:
        yield "has no traffic: with too few users a good value means nothing; add traffic: and traffic_at_least:"
    if not one.count and not _AGGREGATE.match(query) and promql.selectors(query):
        yield "may give several series; put sum(), max() or avg() around it"
    if not criteria.has_limit(one) and not one.baseline:
        yield "has no limit: it is recorded and never blocks"
