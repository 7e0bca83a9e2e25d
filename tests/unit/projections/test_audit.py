"""The trail, the chain, the list and the KPIs, folded from records."""

from __future__ import annotations

import typing
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events import codec
from events import facts as f
from events.facts import EVERYONE, Evidence, Fact
from events.plan.schema import Criterion, Plan, Quantity
from projections import audit, flags, kpis, rollouts
from projections.chain import BrokenChain, check_chain
from projections.known import Known, added, decode_known, encode, take
from projections.sentences import sentence, texts
from tests.histories import START, History, Stored, plan

HMM = f.WorkflowResult("View", True)
FACTS: tuple[Fact, ...] = (
    f.PlanAdopted(Plan("The plan"), ("Platform",), 2),
    f.PlanRevised(Plan("The plan"), ("toggles",)),
    f.PhaseEntered("cutover"),
    f.StageEntered(1, "everyone"),
    f.ExposureSet(EVERYONE),
    f.Halted("errors"),
    f.Resumed(),
    f.DeployReported("vets-api", "production", "1.0"),
    f.WatchStarted(),
    f.Attested("hsrm-live", "Business Stakeholders"),
    f.AttestationWithdrawn("hsrm-live"),
    f.Decided("no_go", "stage-1", "VAOS Product Owner", 1, 5),
    f.QuestionAnswered("feedback", "they like it"),
    f.ResultRecorded("1 week", "users", "120", verdict="pass"),
    f.Noted("a note"),
    f.EvidenceRecorded("tests", "login-suite", outcome="success"),
    f.VerdictRecorded("Errors", "stage-1", "fail", "red", "12 is not below 10", START, START, Quantity(12.0)),
    f.SnapshotTaken("1 week", (f.SnapshotEntry("users", "120"),)),
    f.SessionScheduled("s1", "t-1", START, START, START, START),
    f.SessionMoved("s1", START, None, START, None),
    f.SessionCancelled("s1", "ill"),
    f.WindowOpened("s1"),
    f.WindowClosed("s1"),
    f.SessionRecorded("s1", True, (HMM,)),
    f.WorkflowWaived("s1", "View", "enc:AAAA"),
    f.IssueReported("requests are listed twice"),
    f.Announced("vaos/37/0/0", "github", "sent", "https://github.com/va/team/issues/1"),
    f.Announced("vaos/37/0/0", "slack", "not sent", why="no token", text="VAOS V2 Prod: it fails"),
    f.Reminded("x", "the snapshot is due"),
    f.ToggleRetired("key"),
)


def taken(*stored: Stored) -> tuple[Known, list[audit.Values]]:
    known, lines = None, []
    for revision, (rollout, data, _id) in enumerate(stored, 1):
        one = take(known, rollout, revision, data)
        known = one.known
        lines += one.lines.values
    assert known is not None
    return known, lines


def test_every_fact_has_a_sentence() -> None:
    assert {type(fact) for fact in FACTS} == set(typing.get_args(Fact))
    said = [sentence(fact, {}) for fact in FACTS]
    assert len(set(said)) == len(FACTS)
    assert all(words[0].isupper() or words.startswith(("vets-api", "feedback")) for words in said)


def test_a_fact_that_a_fold_passes_over_would_change_nothing_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History("vaos")
    before, _lines = taken(history.adopted(), history.deployed(), history.testing())
    record = codec.decode(history.deployed().data)
    records = [replace(record, facts=(fact,)) for fact in FACTS]
    after = [added(before, each, 4, "hash") for each in records]
    everything = frozenset(map(type, FACTS))
    for fold, passes in ((flags, "BEARING"), (rollouts, "TOLD"), (kpis, "MEASURED")):
        monkeypatch.setattr(fold, passes, everything)
    looked_at = [added(before, each, 4, "hash") for each in records]
    assert [replace(known, bore=0) for known in looked_at] == [replace(known, bore=0) for known in after]


@given(st.datetimes(timezones=st.just(UTC)) | st.datetimes(timezones=st.timezones()))
def test_an_instant_is_text_that_sorts_as_time_does(when: datetime) -> None:
    with suppress(OverflowError):  # the first and last day of the calendar are not in it everywhere
        assert audit.instant(when) == when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def test_a_sentence_says_items_in_the_plans_words() -> None:
    names = texts(plan("vaos"))
    assert sentence(f.Attested("hsrm-live", "Business Stakeholders"), names) == (
        "Attested as Business Stakeholders: HSRM is launched and live in Production"
    )
    assert sentence(f.ExposureSet(EVERYONE), names) == "The whole toggle group is on for everyone"


def test_the_trail_has_one_line_a_fact_with_who_when_and_why() -> None:
    history = History("vaos")
    stored = history.adopted(), history.rolled_back()
    _known, lines = taken(*stored)
    rows = [audit.accepted(dict(zip(audit.COLUMNS, line, strict=True))) for line in lines]
    assert [(row.revision, row.n, row.fact) for row in rows] == [
        (1, 0, "plan_adopted"),
        (1, 1, "phase_entered"),
        (2, 0, "phase_entered"),
        (2, 1, "exposure_set"),
    ]
    last = rows[-1]
    assert (last.subject, last.reason, last.when, last.previous) == (
        "mia",
        "errors",
        history.when,
        codec.digest(stored[0].data),
    )
    assert last.data == {"fact": "exposure_set", "exposure": {"to": "nobody"}}


def test_a_plan_is_named_in_the_trail_and_not_stored_again() -> None:
    _known, lines = taken(History("vaos").adopted())
    assert audit.accepted(dict(zip(audit.COLUMNS, lines[0], strict=True))).data == {
        "plan": {"id": "vaos", "title": "Release plan of vaos"},
        "default_approvers": [],
        "bucketing": 1,
    }


def test_evidence_and_refusals_read_back_as_they_were() -> None:
    refused = f.Attempt(1, "vaos", START, f.Actor("mia", "approver", ("A",)), "cut_over", "c1", ("no go", "frozen"))
    row = audit.refused(dict(zip(audit.ATTEMPT_COLUMNS, audit.attempt_values(7, refused), strict=True)))
    assert (row.n, row.outcome, row.titles, row.says) == (7, "refused", ("A",), "cut_over was refused: no go; frozen")
    history = History("vaos")
    record = codec.decode(history.adopted().data)
    record = f.Record(
        **{name: getattr(record, name) for name in record.__struct_fields__} | {"evidence": (Evidence("ci"),)}
    )
    line, _ = audit.lines(1, "hash", record, {}, audit.Standing(), audit.Standing()).values
    assert audit.accepted(dict(zip(audit.COLUMNS, line, strict=True))).evidence == (Evidence("ci"),)


def test_a_record_that_does_not_follow_is_refused_by_name() -> None:
    history = History("vaos")
    first, second, third = history.adopted(), history.deployed(), history.testing()
    known, _lines = taken(first)
    with pytest.raises(BrokenChain, match="record 2 of 'vaos' expected, found number 3"):
        take(known, "vaos", 2, third.data)
    with pytest.raises(BrokenChain, match="as the hash of the record before it"):
        take(known, "vaos", 2, second.data.replace(codec.digest(first.data).encode(), b"0" * 64))
    with pytest.raises(BrokenChain, match="stands on the subject of 'other'"):
        check_chain("", 0, codec.decode(first.data), "other")
    with pytest.raises(codec.Unreadable, match="never_heard_of"):
        take(known, "vaos", 2, second.data.replace(b"watch_started", b"never_heard_of"))
    for decode in (codec.decode, codec.decode_attempt):
        for data in (b'{"rollout": "va\xffos"}', b'{"x": ' + b"[" * 5_000):
            with pytest.raises(codec.Unreadable, match="not a"):
                decode(data)


def test_what_is_known_reads_back_as_it_was() -> None:
    history = History("vaos")
    known, _lines = taken(
        history.adopted(), history.attested(), history.deployed(), history.judged(3), history.cut_over()
    )
    assert decode_known(encode(known)) == known
    assert encode(decode_known(encode(known))) == encode(known)


def test_the_list_says_where_a_rollout_stands() -> None:
    history = History("vaos")
    stored = [history.adopted(), history.deployed(), history.cut_over()]
    entered = history.when
    row = taken(*stored, history.add("halt", f.Halted(), after=500))[0].row
    assert (row.phase, row.stage, row.exposure, row.halted, row.entered_at) == ("cutover", 1, "everyone", True, entered)
    assert isinstance(row, rollouts.RolloutRow)


def test_a_value_after_the_snapshot_is_late_and_the_frozen_one_stays() -> None:
    history = History("vaos")
    first = [history.adopted(), history.judged(3)]
    frozen = history.add("take_snapshot", f.SnapshotTaken("stage-1", (f.SnapshotEntry("Sum of Errors", "3"),)))
    rows = taken(*first, frozen)[0].kpis.rows
    (row,) = rows.values()
    assert (row.value, row.target, row.late, row.frozen) == ("3", "below 10 per any 10 minutes", False, "3")
    (row,) = taken(*first, frozen, history.judged(12))[0].kpis.rows.values()
    assert (row.value, row.verdict, row.late, row.frozen, row.revision) == ("12", "fail", True, "3", 4)


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (Criterion(at_most=Quantity(0.0)), "at most 0"),
        (Criterion(between=(Quantity(1.0, "s"), Quantity(2.0, "s"))), "between 1 s and 2 s"),
        (Criterion(trend="no higher", than=Quantity(5.0, "%")), "no higher than 5%"),
        (Criterion(text="judged by a person"), "judged by a person"),
    ],
)
def test_a_target_is_said_in_words(criterion: Criterion, words: str) -> None:
    assert kpis.target(criterion) == words


def test_the_trail_and_a_target_say_a_number_as_it_was_compared() -> None:
    at = datetime(2022, 7, 29, tzinfo=UTC)
    judged = f.VerdictRecorded("Errors", "stage-1", "pass", "", "", at, at, Quantity(9.9999999))
    assert sentence(judged, {}) == "Errors for stage-1: pass at 9.9999999"
    assert kpis.target(Criterion(below=Quantity(1_234_567.0))) == "below 1234567"


def test_a_snapshot_says_how_many_of_its_values_are_known() -> None:
    entries = (f.SnapshotEntry("Errors", "3"), f.SnapshotEntry("Users"))
    assert sentence(f.SnapshotTaken("1 week", entries), {}) == "Snapshot of 1 week with 1 of 2 values"
    assert sentence(f.SnapshotTaken("1 week", entries[1:]), {}) == "Snapshot of 1 week with 0 of 1 value"
