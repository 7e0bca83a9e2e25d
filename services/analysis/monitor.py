"""The monitor: measures while a step runs, and says so when a verdict changes.

One rule: every measurement is kept as a reading; the log gets changes of verdict alone (and one more when the step's
time is over). What a breach leads to is the plan's choice and the decider's work; the monitor only reports, on good
data or as an error, never on silence.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from events.facts import Actor
from events.plan.measuring import measured
from events.plan.schema import Criterion, Question
from events.plan.words import LONGEST
from events.readings import Reading
from services.analysis.judging import Sample, over_samples
from services.analysis.measure import Measurer, Taken
from services.analysis.readings import TROUBLES, Kept
from services.ending import end_if_cancelled
from services.engine.messages import Ask, Refusal, Request
from services.following import Followed, Troubled, follow
from services.log.protocol import Entry, Log
from services.rollout import commands as c
from services.rollout import steps
from services.rollout.criteria import Judged
from services.rollout.measured import Measurement
from services.rollout.state import Judgement, Rollout

logger = logging.getLogger(__name__)

MONITOR = Actor("monitor", "monitor")
TICK = 0.5  # seconds between looks at what is due
AT_ONCE = 8  # measurements under way at a time
LIMIT = 15.0  # seconds for one
AGAIN = timedelta(minutes=1)  # before snapshots are looked at again
MOST_SAMPLES = 200


class Watched(Struct):
    """One criterion of one step as it was entered, and what was found so far."""

    rollout: str
    step: str
    began: int
    one: Criterion
    due: datetime
    samples: deque[Sample]
    busy: bool = False


class Monitor:
    """Follows the log. Any number may run beside each other: a change of verdict has one command id."""

    def __init__(
        self,
        log: Log,
        ask: Ask,
        measurer: Measurer,
        readings: Kept,
        now: Callable[[], datetime],
        *,
        tick: float = TICK,
    ) -> None:
        self._log = log
        self._ask = ask
        self._measurer = measurer
        self._readings = readings
        self._now = now
        self._tick = tick
        self._rollouts = Followed()
        self._watched: dict[tuple[str, str, int, str], Watched] = {}
        self._looked: dict[str, datetime] = {}  # when a rollout's snapshots were looked at last
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._position = 0
        self._troubled = Troubled("the monitor")
        self.troubles = self._troubled.troubles

    async def run(self) -> None:
        """Follow and measure for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(self._log, "the monitor", self._take, pause=self._tick))
            while True:
                end_if_cancelled()
                for work in self._due():
                    tasks.create_task(self._measure(work))
                for rollout in self._snapshots_due():
                    tasks.create_task(self._look_at_snapshots(rollout))
                await asyncio.sleep(self._tick)

    async def once(self) -> None:
        """Take in the log and measure what is due, once: for tests and for a look from outside."""
        head = await self._log.head()
        if head > self._position:
            async for batch in self._log.follow(self._position, until=head):
                await self._take(batch)
        await asyncio.gather(*(self._measure(work) for work in self._due()))
        for rollout in self._snapshots_due():
            await self._look_at_snapshots(rollout)

    # -- following

    async def _take(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            state = self._rollouts.take(entry)
            try:
                self._watch(entry.rollout, state)
            except Exception as error:
                self._forget(entry.rollout)
                self._troubled.fails(entry.rollout, error)
            else:
                self._troubled.begins_anew(entry.rollout)
        self._position = batch[-1].revision

    def _watch(self, rollout: str, state: Rollout | None) -> None:
        if state is None or not any(True for _ in self._of_plan(state)):
            self._forget(rollout)
        else:
            self._plan(state)

    def _forget(self, rollout: str, keep: frozenset[tuple[str, str, int, str]] = frozenset()) -> None:
        for key in [key for key in self._watched if key[0] == rollout and key not in keep]:
            del self._watched[key]

    def _of_plan(self, rollout: Rollout) -> Iterator[Criterion]:
        """The criteria of the current step that are measured here; none while it is not active."""
        if rollout.active and rollout.step_since is not None:
            step = steps.current_step(rollout)
            yield from (k for k in steps.criteria(rollout.plan, step) if self._measurer.can(k))

    def _plan(self, rollout: Rollout) -> None:
        step, keep = steps.current_step(rollout), set()
        for one in self._of_plan(rollout):
            key = (rollout.id, step, rollout.step_ordinal, one.name)
            keep.add(key)
            held = self._watched.get(key)
            if held is None:
                samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
                due = rollout.step_since or self._now()
                self._watched[key] = Watched(rollout.id, step, rollout.step_ordinal, one, due, samples)
            elif held.one != one:  # the plan was revised: what was measured by the old words does not count
                held.one = one
                held.samples.clear()
        self._forget(rollout.id, frozenset(keep))

    # -- measuring

    def _due(self) -> list[Watched]:
        now = self._now()
        found = [work for work in self._watched.values() if work.due <= now and not work.busy]
        for work in found:
            work.busy = True
        return found

    async def _measure(self, work: Watched) -> None:
        """One measurement: kept, and told where it changes the verdict. Never raises for what a server does."""
        try:
            async with self._gate:
                state = self._rollouts.get(work.rollout)
                if state is None or state.step_since is None or state.step_ordinal != work.began:
                    return
                at = self._now()
                taken = await self._taken(work, state.step_since, at)
                work.samples.append(Sample(at, taken.judged, taken.good))
                await self._keep(work, state.step_since, at, taken)
                found = over_samples(work.one, work.samples)
                if found is not None:
                    await self._tell(work, at, found, taken)
        except Exception as error:  # one criterion's trouble must not end the watch over the others
            self._troubled.fails(work.rollout, error, work.one.name)
        else:
            self._troubled.works(work.rollout, work.one.name)
        finally:
            work.due = self._now() + timedelta(seconds=min(work.one.every, LONGEST))
            work.busy = False

    async def _taken(self, work: Watched, since: datetime, at: datetime) -> Taken:
        try:
            async with asyncio.timeout(LIMIT):
                return await self._measurer.now(work.one, work.rollout, since, at)
        except TimeoutError:
            return Taken(Judged("error", "", f"it could not be measured within {LIMIT:g} s"), work.one.query)

    async def _keep(self, work: Watched, since: datetime, at: datetime, taken: Taken) -> None:
        verdict, band, why, value = taken.judged
        reading = Reading(
            work.rollout,
            work.one.name,
            at,
            value.value if value else None,
            value.unit if value else "",
            source="monitor",
            id=f"{work.step}:{work.began}:{at.isoformat()}",
            taken=self._now(),
            step=work.step,
            since=since,
            query=taken.query,
            verdict=verdict,
            band=band,
            why=why,
            sha256=taken.evidence[0].sha256 if taken.evidence else "",
        )
        try:
            await self._readings.keep(reading)
        except TROUBLES as error:
            logger.warning("%s: a reading of %r is not kept: %s", work.rollout, work.one.name, error)

    async def _tell(self, work: Watched, at: datetime, found: Judged, taken: Taken) -> None:
        """Record the verdict if it is news: another one than the log has, or the first after the step's full time."""
        state = self._rollouts.get(work.rollout)
        if state is None or state.step_ordinal != work.began or state.step_since is None or not state.active:
            return
        known = state.verdicts.get(f"{work.step}/{work.one.name}")
        if known is not None and known.ordinal < state.step_ordinal:
            known = None
        if not _news(state, known, found, at):
            return
        m = Measurement(
            work.one.name,
            "criterion",
            found.verdict,
            found.why,
            state.step_since,
            at,
            found.band,
            found.value,
            query=taken.query,
        )
        command = c.RecordVerdict(criterion=work.one.name, step=work.step, measurement=m, evidence=taken.evidence)
        name = hashlib.sha256(work.one.name.encode()).hexdigest()[:12]
        since = known.ordinal if known else 0
        key = f"monitor:{work.step}:{work.began}:{name}:{since}:{found.verdict}:{found.band or '-'}"
        reply = await self._ask(Request(work.rollout, key, MONITOR, command))
        if isinstance(reply, Refusal):
            logger.info("%s: %r is not recorded: %s", work.rollout, work.one.name, "; ".join(reply.reasons))

    # -- snapshots

    def _snapshots_due(self) -> list[str]:
        now, found = self._now(), []
        for name in self._rollouts.ids():
            state = self._rollouts.get(name)
            live = state is not None and state.active and state.frozen
            if live and self._looked.get(name, now) <= now:
                self._looked[name] = now + AGAIN
                found.append(name)
        return found

    async def _look_at_snapshots(self, rollout: str) -> None:
        """Ask for a snapshot anew where something was missing, or where readings may have come late."""
        state = self._rollouts.get(rollout)
        for of in state.frozen if state is not None else ():
            try:
                if state is not None and self._may_differ(state, of):
                    key = f"monitor:snapshot:{state.snapshots[of]}:{int(self._now().timestamp())}"
                    await self._ask(Request(rollout, key, MONITOR, c.TakeSnapshot(of=of)))
            except Exception as error:  # one snapshot's trouble must not end the watch
                self._troubled.fails(rollout, error, f"snapshot {of}")
            else:
                self._troubled.works(rollout, f"snapshot {of}")

    def _may_differ(self, state: Rollout, of: str) -> bool:
        set_of = of in steps.result_sets(state.plan)
        standing = state.released_ordinal if set_of else max(state.rolled_back_ordinal, _began(state, of))
        if state.snapshots[of] <= standing:
            return False
        judged = state.plan.go_live.kpis if set_of else steps.criteria(state.plan, of)
        things: tuple[Criterion | Question, ...] = (*judged, *steps.questions(state.plan, of))
        if any(measured(one) == "reading" for one in things):
            return True
        return set_of and any(entry.why and not entry.value for entry in state.frozen[of].entries)


def _began(state: Rollout, step: str) -> int:
    """The record that began a step, if it is the current one."""
    return state.step_ordinal if step == steps.current_step(state) else 0


def _news(state: Rollout, known: Judgement | None, found: Judged, at: datetime) -> bool:
    if known is None or (known.verdict, known.band) != (found.verdict, found.band):
        return True
    over = steps.length_over_at(state)
    return over is not None and known.until < over <= at
