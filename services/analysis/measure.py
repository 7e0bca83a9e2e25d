"""Measuring one thing: a criterion at an instant or over its full span, a KPI, a result.

One rule: a window never reaches back before `since`: SPAN is the time since then less what the query looks back by
itself. Whatever goes wrong comes back as words, never as an exception; what was asked and answered is evidence.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from events.facts import Evidence
from events.plan.measuring import measured
from events.plan.numbers import shown
from events.plan.schema import Criterion, Quantity, Question
from events.readings import Reading
from services.analysis import promql, proofs, samples
from services.analysis.judging import Bad, Sample, judged, not_yet, over_span, stale, unseen, value_of
from services.analysis.prometheus import Answer, NoAnswer, Prometheus
from services.analysis.readings import TROUBLES, Kept
from services.rollout.criteria import Judged

CHUNK = 5_000  # points of one range question; the server allows 11,000
LOOK_BACK = 86_400  # seconds, at least, in which the newest sample is looked for, to say how old it is


class Taken(NamedTuple):
    """What came of measuring one thing. `said`: the value in words where it is no single number."""

    judged: Judged
    query: str
    evidence: tuple[Evidence, ...] = ()
    good: bool = False
    said: str = ""


class Measurer:
    """Measures by whatever it was given; `can` says whether that is enough."""

    def __init__(self, prometheus: Prometheus | None, readings: Kept | None) -> None:
        self._prometheus = prometheus
        self._readings = readings

    def can(self, one: Criterion | Question) -> bool:
        """Whether this is measured here; otherwise a person records it."""
        by = measured(one)
        return bool(by) and (self._readings if by == "reading" else self._prometheus) is not None

    async def now(self, one: Criterion, rollout: str, since: datetime, at: datetime) -> Taken:
        """The criterion as it is at `at`: what the monitor asks."""
        if one.reading:
            return await self._by_readings(one, rollout, since, at)
        one, wrong = await self._with_baseline(one, since, at)
        return await self._instant(one, since, at) if wrong is None else _failed(one, wrong)

    async def over(self, one: Criterion, rollout: str, since: datetime, until: datetime) -> Taken:
        """The criterion over the full span [since, until): what a promotion rests on."""
        if one.reading:
            return await self._by_readings(one, rollout, since, until)
        one, wrong = await self._with_baseline(one, since, until)
        if wrong is not None:
            return _failed(one, wrong)
        look = self._instant if promql.has_span(promql.query_of(one)) else self._range
        taken = await look(one, since, until)
        return await self._all_seen(one, since, until, taken) if taken.judged.verdict == "pass" else taken

    async def result(self, one: Question, rollout: str, since: datetime, until: datetime) -> Taken:
        """A result: one number, or a number for each value of a label."""
        if one.reading:
            return await self._result_by_readings(one, rollout, since, until)
        query, wrong = _asked(one.query, since, until)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), one.query)
        answer = await self._ask(query, until)
        found = samples.listed(answer, one.by) if one.by else value_of(answer)
        if one.by and isinstance(found, Bad) and isinstance(answer, Answer) and not answer.series:
            fresh = await self._not_fresh(Criterion(query=one.query), since, until)
            found = "none" if fresh is None else fresh
        if isinstance(found, Bad):
            return Taken(
                Judged(found.verdict, "", found.why), query, (proofs.of_answer(one.text, query, answer, found.why),)
            )
        said = found if isinstance(found, str) else shown(Quantity(found))
        proof = (proofs.of_answer(one.text, query, answer, "", said),)
        return Taken(Judged("pass", "", said), query, proof, good=True, said=said)

    # -- by queries

    async def _instant(self, one: Criterion, since: datetime, at: datetime) -> Taken:
        template = promql.query_of(one)
        query, wrong = _asked(template, since, at)
        if wrong is not None:
            return _failed(one, wrong, template)
        traffic, too_soon = _asked(one.traffic, since, at) if one.traffic else ("", None)
        if too_soon is not None:
            return _failed(one, too_soon, template)
        answer, old, there = await asyncio.gather(
            self._ask(query, at), self._not_fresh(one, since, at), self._ask(traffic, at) if traffic else _nothing()
        )
        sample = samples.sample_of(one, answer, old, there, at)
        evidence = [proofs.of_answer(one.name, query, answer, sample.judged.why, verdict=sample.judged)]
        if traffic and there is not None:
            evidence.append(proofs.of_answer(f"{one.name}: traffic", traffic, there))
        return Taken(sample.judged, query, tuple(evidence), sample.good)

    async def _range(self, one: Criterion, since: datetime, until: datetime) -> Taken:
        """A query without SPAN, looked at every `every` seconds from its first whole window on."""
        query = promql.query_of(one)
        begin = since + timedelta(seconds=promql.reach(query))
        last = await self._instant(one, since, until)
        if begin >= until or not last.good:
            return last
        answers = await self.points(query, begin.timestamp(), until.timestamp(), float(one.every))
        if isinstance(answers, NoAnswer):
            return _failed(one, Bad("error", str(answers)), query)
        looks = samples.samples_of(one, answers, begin, until, float(one.every))
        found = over_span(one, [*looks, Sample(until, last.judged, last.good)])
        proof = proofs.of_points(one, query, looks, found)
        return Taken(found, query, (*last.evidence, proof), good=found.verdict in ("pass", "fail"))

    async def _all_seen(self, one: Criterion, since: datetime, until: datetime, taken: Taken) -> Taken:
        """What was taken, if data was there over the full span: however many looks that would be, few questions."""
        needed = promql.series_of(one).needed
        if not needed:
            return taken
        query, seconds = promql.seen(needed, one.fresh), (until - since).total_seconds()
        step = float(max(one.every, math.ceil(seconds / (CHUNK - 1))))
        answers = await self.points(query, since.timestamp(), until.timestamp(), step)
        if isinstance(answers, NoAnswer):
            return taken._replace(judged=Judged("error", "", str(answers)), good=False)
        looks = samples.samples_of(Criterion(name=one.name), answers, since, until, step)
        wrong = unseen(one, looks, since)
        if wrong is None:
            found = Judged("pass", "", "data was there all the time")
            return taken._replace(evidence=(*taken.evidence, proofs.of_points(one, query, looks, found)))
        found = Judged(wrong.verdict, "", wrong.why, taken.judged.value)
        said = f"{shown(found.value)}; {wrong.why}" if found.value is not None else ""
        proof = proofs.of_points(one, query, looks, found)
        return Taken(found, taken.query, (*taken.evidence, proof), said=said)

    async def points(
        self, query: str, begin: float, end: float, step: float, done: Callable[[float], None] = lambda _share: None
    ) -> list[Answer] | NoAnswer:
        """A range in chunks, one after the other; `done` is told the share that is through."""
        answers: list[Answer] = []
        at = begin
        while at <= end:
            upto = min(at + (CHUNK - 1) * step, end)
            answer = await self._ask_range(query, at, upto, step)
            if isinstance(answer, NoAnswer):
                return answer
            answers.append(answer)
            at = at + CHUNK * step
            done(min(1.0, (upto - begin) / max(end - begin, 1e-9)))
        return answers

    async def _with_baseline(self, one: Criterion, since: datetime, at: datetime) -> tuple[Criterion, Bad | None]:
        """The criterion with what its trend compares to: the same query over the span before the step began."""
        if not one.baseline or one.than is not None:
            return one, None
        query = promql.query_of(one)
        asked = promql.with_span(query, max(1, one.baseline - promql.reach(query)))
        value = value_of(await self._ask(asked, since), "the baseline")
        if isinstance(value, Bad):
            return one, value
        return replace(one, than=Quantity(value)), None

    async def _not_fresh(self, one: Criterion, since: datetime, at: datetime) -> Bad | None:
        """Whether the newest sample of any series is too old: one that lives does not vouch for another."""
        needed, may_be_unborn = promql.series_of(one)
        asked = [self._stale(needed, since, at, one.fresh)] if needed else []
        asked += [self._stale((each,), since, at, one.fresh, unborn_is_fine=True) for each in may_be_unborn]
        return next((wrong for wrong in await asyncio.gather(*asked) if wrong is not None), None)

    async def _stale(
        self, series: Sequence[str], since: datetime, at: datetime, fresh: int, *, unborn_is_fine: bool = False
    ) -> Bad | None:
        answer = await self._ask(promql.seen(series, fresh), at)
        if isinstance(answer, NoAnswer):
            return Bad("error", str(answer))
        if answer.series:
            return None
        newest: list[datetime] = []
        for found in await asyncio.gather(*(self._newest(each, since, at) for each in series)):
            if isinstance(found, Bad):
                return found
            newest += [found] if found is not None else []
        if len(newest) < len(series):
            return None if unborn_is_fine else stale(None, at, fresh)
        return stale(min(newest), at, fresh)

    async def _newest(self, selector: str, since: datetime, at: datetime) -> datetime | Bad | None:
        """When it was seen last, in a day or since the step began; None: not at all."""
        back = max(LOOK_BACK, int((at - since).total_seconds()))
        value = value_of(await self._ask(f"max(max_over_time(timestamp({selector})[{back}s:60s]))", at))
        if isinstance(value, Bad):
            return None if value.verdict == "inconclusive" else value
        return datetime.fromtimestamp(value, UTC)

    async def _ask(self, query: str, at: datetime) -> Answer | NoAnswer:
        return await self._answer(lambda server: server.query(query, at))

    async def _ask_range(self, query: str, begin: float, end: float, step: float) -> Answer | NoAnswer:
        return await self._answer(lambda server: server.query_range(query, begin, end, step))

    async def _answer(self, ask: Callable[[Prometheus], Awaitable[Answer]]) -> Answer | NoAnswer:
        if self._prometheus is None:
            return NoAnswer("no Prometheus is configured (CUTOVER_PROMETHEUS)")
        try:
            return await ask(self._prometheus)
        except NoAnswer as error:
            return error

    # -- by readings

    async def _by_readings(self, one: Criterion, rollout: str, since: datetime, at: datetime) -> Taken:
        found, wrong = await self._published(one.reading, rollout, since, at)
        if wrong is None:
            wrong = stale(found[-1].at if found else None, at, one.fresh)
        if wrong is None and one.traffic:
            there = await self._instant(
                Criterion(name=one.name, query=one.traffic, at_least=one.traffic_at_least, fresh=one.fresh), since, at
            )
            wrong = None if there.judged.verdict == "pass" else Bad("inconclusive", f"traffic: {there.judged.why}")
        if wrong is None and at - since < timedelta(seconds=one.per_seconds):
            wrong = not_yet(at, since, one.per_seconds)
        wrong = wrong or samples.other_unit(one, found)
        proof = (proofs.of_readings(one.name, one.reading, found, wrong.why if wrong else ""),)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        value = samples.folded(one, found, since)
        if value is None:
            wrong = Bad("inconclusive", f"no whole window of {one.per} has a reading {one.reading!r} yet")
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        sample = judged(one, value, at, found[-1].unit)
        return Taken(sample.judged, "", proof, sample.good)

    async def _result_by_readings(self, one: Question, rollout: str, since: datetime, until: datetime) -> Taken:
        found, wrong = await self._published(one.reading, rollout, since, until)
        if wrong is None and not found:
            wrong = Bad("inconclusive", f"nobody has published a reading {one.reading!r} of that time")
        proof = (proofs.of_readings(one.text, one.reading, found, wrong.why if wrong else ""),)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        last = found[-1]
        said = samples.counted(last.parts) if one.by and last.parts else shown(Quantity(last.value or 0.0, last.unit))
        return Taken(Judged("pass", "", said), "", proof, good=True, said=said)

    async def _published(
        self, name: str, rollout: str, since: datetime, until: datetime
    ) -> tuple[Sequence[Reading], Bad | None]:
        if self._readings is None:
            return (), Bad("error", "no published readings are kept here")
        try:
            found = await self._readings.of(rollout, name, since)
        except TROUBLES as error:
            return (), Bad("error", f"the published readings cannot be read: {error or type(error).__name__}")
        return [reading for reading in found if reading.at <= until], None


def _asked(template: str, since: datetime, at: datetime) -> tuple[str, Bad | None]:
    """The query with its span, or that its window does not fit into the step yet."""
    back = promql.reach(template)
    span = int((at - since).total_seconds()) - back
    if span < (1 if promql.has_span(template) else 0):
        return "", not_yet(at, since, back + 1)
    return promql.with_span(template, span), None


async def _nothing() -> None:
    return None


def _failed(one: Criterion, wrong: Bad, query: str = "") -> Taken:
    asked = query or promql.query_of(one)
    return Taken(
        Judged(wrong.verdict, "", wrong.why),
        asked,
        (Evidence("query", one.name, wrong.why, asked, verdict=wrong.verdict),),
    )
