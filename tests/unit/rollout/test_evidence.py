"""Evidence from outside: it is recorded, and moves nothing by itself."""

from __future__ import annotations

from events.facts import EvidenceRecorded
from services.rollout import commands as c
from services.rollout.state import MOST_EVIDENCE

from .scenario import CI, CLOCK, adopted, given

TESTS = c.RecordEvidence(kind="tests", about="smoke 12", source="/ci", outcome="success", chain="c-1")
FACT = EvidenceRecorded("tests", "smoke 12", "/ci", "success", chain="c-1")


def test_ci_records_what_tests_showed_and_the_same_again_is_already_so() -> None:
    given(adopted()).when(TESTS, by=CI).then(FACT)
    given(adopted().then(TESTS, by=CI)).when(TESTS, by=CI).already()


def test_another_outcome_of_the_same_run_is_news() -> None:
    failed = c.RecordEvidence(kind="tests", about="smoke 12", source="/ci", outcome="failure")
    after = adopted().then(TESTS, by=CI).then(failed, by=CI)
    assert [evidence.outcome for evidence in after.state.evidence] == ["failure"]


def test_evidence_needs_a_kind_and_what_it_is_about() -> None:
    for wrong in (c.RecordEvidence(kind=" ", about="x"), c.RecordEvidence(kind="tests", about="")):
        given(adopted()).when(wrong, by=CI).refused("evidence needs a kind", code="invalid")
    given(adopted()).when(TESTS, by=CLOCK).refused("may be sent by", code="forbidden")


def test_evidence_changes_nothing_that_a_decision_rests_on() -> None:
    story = adopted()
    assert story.then(TESTS, by=CI).state.basis == story.state.basis


def test_a_rollout_remembers_the_latest_evidence_and_no_endless_list() -> None:
    story = adopted()
    for number in range(MOST_EVIDENCE + 5):
        story = story.then(c.RecordEvidence(kind="tests", about=f"case {number}"), by=CI)
    assert [evidence.about for evidence in story.state.evidence][::99] == ["case 5", "case 104"]
