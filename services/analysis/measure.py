"""Measuring one thing: a criterion at an instant or over its full span, a KPI, a result.

One rule: a window never reaches back before `since`: SPAN is the time since then less what the query looks back by
itself. Whatever goes wrong comes back as words, never as an exception; what was asked and answered is evidence.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from events.facts import Evidence
from events.plan.measuring import measured
from events.plan.schema import Criterion, Quantity, Question
from events.readings import Reading
from projections.windows import fold, windows
from services.analysis import promql
from services.analysis.judging import Bad, Sample, bad, judged, not_yet, over_span, quiet, stale, value_of
from services.analysis.prometheus import RAW, Answer, NoAnswer, Prometheus
from services.analysis.readings import TROUBLES, Kept
from services.rollout import criteria
from services.rollout.criteria import Judged

CHUNK = 5_000  # points of one range question; the server allows 11,000
LOOK_BACK = 86_400  # seconds in which the newest sample is looked for, to say how old it is
MOST_KINDS = 20  # values of a label listed


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
        query = promql.query_of(one)
        if one.reading or promql.has_span(query):
            return await self.now(one, rollout, since, until)
        one, wrong = await self._with_baseline(one, since, until)
        return await self._range(one, since, until) if wrong is None else _failed(one, wrong)

    async def result(self, one: Question, rollout: str, since: datetime, until: datetime) -> Taken:
        """A result: one number, or a number for each value of a label."""
        if one.reading:
            return await self._result_by_readings(one, rollout, since, until)
        query, wrong = _asked(one.query, since, until)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), one.query)
        answer = await self._ask(query, until)
        found = _listed(answer, one.by) if one.by else value_of(answer)
        if one.by and isinstance(found, Bad) and isinstance(answer, Answer) and not answer.series:
            fresh = await self._stale(one.query, until, Criterion().fresh)
            found = "none" if fresh is None else fresh
        if isinstance(found, Bad):
            return Taken(Judged(found.verdict, "", found.why), query, (_evidence(one.text, query, answer, found.why),))
        said = found if isinstance(found, str) else criteria.shown(Quantity(found))
        proof = (_evidence(one.text, query, answer, "", said),)
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
            self._ask(query, at), self._not_fresh(one, at), self._ask(traffic, at) if traffic else _nothing()
        )
        sample = _judge(one, answer, old, there, at)
        evidence = [_evidence(one.name, query, answer, sample.judged.why, verdict=sample.judged)]
        if traffic and there is not None:
            evidence.append(_evidence(f"{one.name}: traffic", traffic, there))
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
        samples = samples_of(one, answers, begin, until, float(one.every))
        found = over_span(one, [*samples, Sample(until, last.judged, last.good)])
        proof = _points_evidence(one, query, samples, found)
        return Taken(found, query, (*last.evidence, proof), good=found.verdict in ("pass", "fail"))

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

    async def _not_fresh(self, one: Criterion, at: datetime) -> Bad | None:
        """Whether the newest sample is too old. Where the plan says what absence means (a counter, `or vector(0)`)
        and names its traffic, the traffic's samples must be fresh instead."""
        query = promql.query_of(one)
        told = bool(one.traffic) and (bool(one.count) or "vector(" in query)
        asked = [one.traffic] if told else [query, *([one.traffic] if one.traffic else [])]
        found = await asyncio.gather(*(self._stale(text, at, one.fresh) for text in asked))
        return next((wrong for wrong in found if wrong is not None), None)

    async def _stale(self, query: str, at: datetime, fresh: int) -> Bad | None:
        series = [s for s in promql.selectors(query) if promql.lasting(s)]
        if not series:
            return None
        seen = " or ".join(f"count(count_over_time({s}[{fresh}s]))" for s in series)
        answer = await self._ask(seen, at)
        if isinstance(answer, NoAnswer):
            return Bad("error", str(answer))
        if answer.series:
            return None
        ages = await asyncio.gather(*(self._newest(s, at) for s in series))
        return stale(max((age for age in ages if age is not None), default=None), at, fresh)

    async def _newest(self, selector: str, at: datetime) -> datetime | None:
        answer = await self._ask(f"max(max_over_time(timestamp({selector})[{LOOK_BACK}s:60s]))", at)
        value = value_of(answer)
        return None if isinstance(value, Bad) else datetime.fromtimestamp(value, UTC)

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
        proof = (_readings_evidence(one.name, one.reading, found, wrong.why if wrong else ""),)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        value = folded(one, found, since)
        if value is None:
            wrong = Bad("inconclusive", f"no whole window of {one.per} has a reading {one.reading!r} yet")
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        sample = judged(one, value, at)
        return Taken(sample.judged, "", proof, sample.good)

    async def _result_by_readings(self, one: Question, rollout: str, since: datetime, until: datetime) -> Taken:
        found, wrong = await self._published(one.reading, rollout, since, until)
        if wrong is None and not found:
            wrong = Bad("inconclusive", f"nobody has published a reading {one.reading!r} of that time")
        proof = (_readings_evidence(one.text, one.reading, found, wrong.why if wrong else ""),)
        if wrong is not None:
            return Taken(Judged(wrong.verdict, "", wrong.why), "", proof)
        last = found[-1]
        said = _counted(last.parts) if one.by and last.parts else criteria.shown(Quantity(last.value or 0.0, last.unit))
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


def folded(one: Criterion, readings: Sequence[Reading], since: datetime) -> float | None:
    """The readings' value: of the whole span, or of the window (`per`) that is worst for the limit."""
    points = [(reading.at.timestamp(), reading.value) for reading in readings if reading.value is not None]
    if not points:
        return None
    if not one.per_seconds:
        return fold([value for _, value in points], one.take)
    found = [value for _, value in windows(points, one.per_seconds, one.take, since.timestamp())]
    lower = one.below is None and one.at_most is None and (one.above or one.at_least) is not None
    return (min(found) if lower else max(found)) if found else None


def samples_of(
    one: Criterion, answers: Sequence[Answer], begin: datetime, until: datetime, step: float
) -> list[Sample]:
    """One sample for each look of a range; a look without a value is a sample without good data."""
    for answer in answers:
        if len(answer.series) > 1 or answer.warnings:
            wrong = value_of(answer)
            assert isinstance(wrong, Bad) or not answer.warnings
            if isinstance(wrong, Bad):
                return [bad(until, wrong)]
    points = {at: value for answer in answers for series in answer.series for at, value in series.points}
    samples = []
    for n in range(int((until - begin).total_seconds() // step) + 1):
        at = begin + timedelta(seconds=n * step)
        value = points.get(round(at.timestamp(), 3))
        samples.append(_look(one, at, value))
    return samples


def _look(one: Criterion, at: datetime, value: float | None) -> Sample:
    if value is None:
        return bad(at, Bad("inconclusive", "the query found no data: nothing answers to it"))
    return judged(one, value, at) if abs(value) < float("inf") else bad(at, Bad("error", f"the value is {value}"))


def _asked(template: str, since: datetime, at: datetime) -> tuple[str, Bad | None]:
    """The query with its span, or that its window does not fit into the step yet."""
    back = promql.reach(template)
    span = int((at - since).total_seconds()) - back
    if span < (1 if promql.has_span(template) else 0):
        return "", not_yet(at, since, back + 1)
    return promql.with_span(template, span), None


def _judge(
    one: Criterion, answer: Answer | NoAnswer, old: Bad | None, there: Answer | NoAnswer | None, at: datetime
) -> Sample:
    value = value_of(answer)
    empty = isinstance(value, Bad) and value.verdict == "inconclusive"
    if isinstance(value, Bad) and not (empty and old is not None and "old" in old.why):
        return bad(at, value)
    if old is not None:
        return bad(at, old)
    if there is not None and one.traffic_at_least is not None and (few := quiet(there, one.traffic_at_least)):
        return bad(at, few)
    assert not isinstance(value, Bad)
    return judged(one, value, at)


async def _nothing() -> None:
    return None


def _failed(one: Criterion, wrong: Bad, query: str = "") -> Taken:
    asked = query or promql.query_of(one)
    return Taken(
        Judged(wrong.verdict, "", wrong.why),
        asked,
        (Evidence("query", one.name, wrong.why, asked, verdict=wrong.verdict),),
    )


def _listed(answer: Answer | NoAnswer, by: str) -> str | Bad:
    """Every series by the value of a label, the largest first."""
    if isinstance(answer, NoAnswer):
        return Bad("error", str(answer))
    counts: dict[str, float] = {}
    for series in answer.series:
        value = series.points[-1][1] if series.points else 0.0
        if not abs(value) < float("inf"):
            return Bad("error", f"the value of {series.labels.get(by, 'a series')!r} is {value}")
        name = series.labels.get(by, "unnamed")
        counts[name] = counts.get(name, 0.0) + value
    return _counted(counts) if counts else Bad("inconclusive", "the query found no data: nothing answers to it")


def _counted(counts: dict[str, float]) -> str:
    largest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(largest) - MOST_KINDS} more" if len(largest) > MOST_KINDS else ""
    return ", ".join(f"{name}: {criteria.shown(Quantity(value))}" for name, value in largest[:MOST_KINDS]) + more


def _evidence(
    what: str, query: str, answer: Answer | NoAnswer, why: str = "", value: str = "", verdict: Judged | None = None
) -> Evidence:
    body = answer.body
    said = criteria.shown(verdict.value) if verdict is not None and verdict.value is not None else value
    text = why or (str(answer) if isinstance(answer, NoAnswer) else "")
    return Evidence(
        "query",
        what,
        text,
        query,
        said,
        verdict.verdict if verdict is not None else None,
        hashlib.sha256(body).hexdigest(),
        body[:RAW].decode("utf-8", "replace"),
    )


def _points_evidence(one: Criterion, query: str, samples: Sequence[Sample], found: Judged) -> Evidence:
    """The looks over the span as one text: when and what."""
    lines = [f"{s.at.timestamp():.0f} {s.judged.value.value if s.judged.value else s.judged.why}" for s in samples]
    body = "\n".join(lines).encode()
    text = f"{len(samples)} looks over the span: {found.why}"
    sha256 = hashlib.sha256(body).hexdigest()
    return Evidence("query", one.name, text, query, "", found.verdict, sha256, body[:RAW].decode("utf-8", "replace"))


def _readings_evidence(what: str, name: str, found: Sequence[Reading], why: str) -> Evidence:
    body = msgspec.json.encode([(reading.at, reading.value, reading.source, reading.id) for reading in found])
    text = why or f"{len(found)} published readings {name!r}"
    return Evidence(
        "reading", what, text, sha256=hashlib.sha256(body).hexdigest(), raw=body[:RAW].decode("utf-8", "replace")
    )
