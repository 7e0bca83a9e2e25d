"""How the log's values are worded: times in the plan's zone, people by what they act as, blanks as blanks.

One rule: what somebody said about a tester is sealed, and is shown only as `reveal` gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from events import facts as f
from events.facts import Verdict
from events.plan.gaps import placeholder
from events.plan.numbers import shown
from events.plan.schema import Plan, Planned
from projections.kpis import target
from projections.report.document import ABSENT, Answer, Cell, web_address
from projections.report.history import Found, History, Line
from projections.sentences import SEALED

F = TypeVar("F")
Reveal = Callable[[str, str], str]
"""(a tester's reference, a text about them as the log holds it) -> what the reader may see of it."""

ENCRYPTED = "kept encrypted"
UNKNOWN = "not recorded yet"
NEVER = "not recorded"
UNFILLED = "not filled in yet"
UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
LATE = timedelta(days=1)  # people need some time to write down what a snapshot could not hold
SHORT = timedelta(minutes=2)
EARLIER = 3  # so many earlier values of a blank are shown


def closed(_tester: str, _text: str) -> str:
    """The Reveal for readers who may not see what testers said."""
    return ENCRYPTED


def span(seconds: float) -> str:
    """The two largest units: "1 day 4 hours"."""
    left = max(0, round(seconds))
    if left >= 3_600:
        left = round(left / 60) * 60
    parts = []
    for unit, size in UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "no time"


class Pen:
    """What every part of the report writes with. `as_of` is when it is asked, in UTC."""

    def __init__(self, history: History, as_of: datetime, reveal: Reveal = closed) -> None:
        self.history = history
        self.plan = history.plan
        self.as_of = as_of
        self._reveal = reveal
        self._zone = _zone(self.plan.time_zone)

    # -- words

    def time(self, when: datetime) -> str:
        """ "Fri 2022-07-29 09:30 EDT"."""
        return f"{when.astimezone(self._zone):%a %Y-%m-%d %H:%M %Z}"

    def times(self, begin: datetime, end: datetime) -> str:
        """From one time to another; the day is said once where both are on it, seconds where minutes say too little."""
        here, there = begin.astimezone(self._zone), end.astimezone(self._zone)
        if here.date() != there.date() or here.utcoffset() != there.utcoffset():
            return f"{self.time(begin)} to {self.time(end)}"
        clock = "%H:%M:%S" if end - begin < SHORT else "%H:%M"
        return f"{here:%a %Y-%m-%d} {here:{clock}} to {there:{clock} %Z}"

    def day(self, when: datetime) -> str:
        """The local day, "2022-07-29"."""
        return f"{when.astimezone(self._zone):%Y-%m-%d}"

    def who(self, line: Line) -> str:
        """ "pat (VAOS Product Owner)"; by the role where there is no title."""
        who = line.record.who
        return f"{who.subject} ({', '.join(who.titles) or who.role.replace('_', ' ')})"

    def text(self, text: str, tester: str = "") -> str:
        """A text of the log as the reader may see it."""
        if not text.startswith(SEALED):
            return text
        return self._reveal(tester, text) if tester else ENCRYPTED

    def reason(self, line: Line) -> str:
        """Why, in the words of whoever did it."""
        return self.text(line.record.reason, self.history.tester(line))

    def why(self, line: Line, about: tuple[str, ...] = ()) -> tuple[Cell, ...]:
        """The record's reason, note and evidence, as notes. Of the queries of a promotion those `about` these names."""
        record, tester = line.record, self.history.tester(line)
        said = [("Why", record.reason), ("Note", record.note)]
        found = [Cell(f"{name}: {self.text(text, tester)}") for name, text in said if text]
        for one in record.evidence:
            if one.kind == "query":
                found += [Cell(f"Measured by: {one.query}")] if one.source in about and one.query else []
                continue
            source = self.text(one.source, tester)
            words = source or self.text(one.text, tester) or one.kind
            found.append(Cell(f"Evidence: {words}", url=web_address(source)))
        return tuple(found)

    def grounds(self, line: Line) -> Cell:
        """The same in one cell; it leads to the first of the evidence that has an address."""
        why = self.why(line)
        return Cell("; ".join(note.text for note in why), url=next((note.url for note in why if note.url), ""))

    def earlier_tries(self, lines: Iterable[Line]) -> tuple[Cell, ...]:
        """When each try before the last rollback came to this."""
        return tuple(
            Cell(f"an earlier try began {self.time(line.when)}", revisions=(line.revision,))
            for line in self.history.firsts(lines)
            if line.revision <= self.history.rolled_back
        )

    # -- blanks

    def said(self, label: str, text: str, line: Line, *notes: Cell, verdict: Verdict | None = None) -> Answer:
        """A blank that this record has filled."""
        value = Cell(text, revisions=(line.revision,), verdict=verdict)
        return Answer(label, value, self.who(line), self.time(line.when), notes)

    def open(self, label: str, *notes: Cell, text: str = "") -> Answer:
        """A blank that nothing has filled."""
        ended = self.history.phase in ("closed", "cancelled")
        return Answer(label, Cell(text or (NEVER if ended else UNKNOWN), "open"), notes=notes)

    def planned(self, label: str, text: str, part: Callable[[Plan], object], *notes: Cell, url: str = "") -> Answer:
        """What the plan says, by the record since which it says so; a blank in it is a blank."""
        line = self.history.planned_in(part)
        said = Answer(label, Cell(text, url=url, revisions=(line.revision,)), notes=notes)
        gap = placeholder(text)
        if not text or gap == "whole":
            words = f"{UNFILLED} (the plan says: {text})" if text else ABSENT
            return Answer(label, Cell(words, "open" if text else "known"), notes=notes)
        return said

    def planned_dates(self, label: str, part: Callable[[Plan], Planned | None]) -> Answer:
        """A planned date or range, in the plan's words."""
        found = part(self.plan)
        return self.planned(label, found.text if found else "", part)

    def recorded(self, label: str, step: str, item: str, *notes: Cell) -> Answer:
        """A result of a step (or of a set of results): the latest of this try, with the earlier ones."""
        found = [each for each in self.history.of(f.ResultRecorded) if (each.fact.step, each.fact.item) == (step, item)]
        current, before = self._current(found, step)
        earlier = [self._earlier(each, each.fact.value) for each in before]
        if current is None:
            return self._awaited(label, step, *notes, *earlier)
        fact = current.fact
        more = [Cell(f"Note: {fact.note}")] if fact.note else []
        more += [Cell("measured, not typed in")] if fact.measured else []
        more += self._late(step, current)
        return self.said(
            label,
            fact.value,
            current.at,
            *notes,
            *more,
            *self.why(current.at, about=(label, item)),
            *earlier,
            verdict=fact.verdict,
        )

    def judged(self, name: str, step: str) -> Answer:
        """A criterion in a step: its latest value and verdict of this try."""
        found = [
            each for each in self.history.of(f.VerdictRecorded) if (each.fact.step, each.fact.criterion) == (step, name)
        ]
        current, before = self._current(found, step)
        limit = self.plan.criteria.get(name)
        notes = [Cell(f"should be {target(limit)}")] if limit and target(limit) else []
        earlier = [self._earlier(each, f"{_value(each.fact)} ({each.fact.verdict})") for each in before]
        if current is None:
            return self._awaited(name, step, *notes, *earlier)
        fact = current.fact
        if fact.measured:
            notes.append(Cell(f"measured from {self.time(fact.since)} to {self.time(fact.until)}"))
        return self.said(
            name, _value(fact), current.at, *notes, *self.why(current.at, about=(name,)), *earlier, verdict=fact.verdict
        )

    def answered(self, label: str, question: str) -> Answer:
        """A post-launch or go/no-go question; an answer from before a rollback was about another release."""
        found = [each for each in self.history.of(f.QuestionAnswered) if each.fact.question == question]
        now = [each for each in found if each.at.revision > self.history.rolled_back]
        before = found[:-1] if now else found
        earlier = [self._earlier(each, each.fact.answer) for each in before[-EARLIER:]]
        if not now:
            return self.open(label, *earlier)
        fact, line = now[-1]
        note = [Cell(f"Note: {fact.note}")] if fact.note else []
        return self.said(label, fact.answer, line, *note, *self.why(line), *earlier)

    def _current(self, found: Sequence[Found[F]], step: str) -> tuple[Found[F] | None, list[Found[F]]]:
        """The latest of this try, and those before it."""
        if found and found[-1].at.revision >= self.history.starts(step):
            return found[-1], list(found[:-1])[-EARLIER:]
        return None, list(found)[-EARLIER:]

    def _earlier(self, found: Found[F], words: str) -> Cell:
        return Cell(f"earlier: {words}, {self.time(found.at.when)}", revisions=(found.at.revision,))

    def _awaited(self, label: str, step: str, *notes: Cell) -> Answer:
        due = self.due(step)
        if due is None:
            return self.open(label, *notes)
        if due > self.as_of:
            return Answer(label, Cell(f"due {self.day(due)}", "due"), notes=notes)
        return self.open(label, Cell(f"was due {self.day(due)}"), *notes)

    def due(self, step: str) -> datetime | None:
        """When a set of results is due; None for other steps, and while nothing is released to everyone."""
        seconds = {after.text: after.seconds for after in self.plan.go_live.results_after}.get(step)
        if seconds is None or self.history.released is None:
            return None
        return self.history.released.when + timedelta(seconds=seconds)

    def _late(self, step: str, found: Found[f.ResultRecorded]) -> list[Cell]:
        """That the snapshot of its step had been taken without it."""
        taken = [
            each
            for each in self.history.of(f.SnapshotTaken)
            if each.fact.of == step and not each.fact.revises and self.history.starts(step) <= each.at.revision
        ]
        if not taken or found.at.when - taken[-1].at.when < LATE:
            return []
        after = span((found.at.when - taken[-1].at.when).total_seconds())
        return [Cell(f"recorded {after} after the snapshot was taken", revisions=(taken[-1].at.revision,))]


def _value(fact: f.VerdictRecorded) -> str:
    return shown(fact.value) if fact.value is not None else fact.why or fact.verdict


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
