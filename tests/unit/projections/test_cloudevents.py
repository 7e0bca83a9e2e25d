"""Records as CloudEvents whose data is a custom CDEvent."""

from __future__ import annotations

import re
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from events import codec
from events import facts as f
from events.facts import EVERYONE, NOBODY, Attempt, Fact
from projections import audit, cloudevents
from projections.cloudevents import PREDICATES, CloudEvent, event, of_trail, predicate, refused, types
from services.intake import cloudevents as intake
from tests.histories import MANAGER, START, History, plan
from tests.unit.projections.test_audit import FACTS

TYPE = r"^dev\.cdeventsx\.[a-zA-Z0-9]+-[a-zA-Z]+\.[a-zA-Z]+\.[0-9]\.[0-9]\.[0-9]$"
TEXT = {"type": "string", "minLength": 1}
REFERENCE = {**TEXT, "format": "uri-reference"}
CUSTOM_CDEVENT = {
    # what custom/schema.json of CDEvents 0.5.1 asks of an event without links
    "type": "object",
    "required": ["context", "subject"],
    "additionalProperties": False,
    "properties": {
        "context": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "timestamp"],
            "additionalProperties": False,
            "properties": {
                "specversion": TEXT,
                "id": TEXT,
                "source": REFERENCE,
                "type": {"type": "string", "pattern": TYPE},
                "timestamp": {"type": "string", "format": "date-time"},
                "schemaUri": {**TEXT, "format": "uri"},
                "chainId": TEXT,
            },
        },
        "subject": {
            "type": "object",
            "required": ["id", "content"],
            "additionalProperties": False,
            "properties": {"id": TEXT, "source": REFERENCE, "content": {"type": "object"}},
        },
        "customData": {"type": "object"},
    },
}
CHECK = jsonschema_rs.validator_for(CUSTOM_CDEVENT, validate_formats=True)


def made(*facts: Fact, revision: int = 7, base: str = "") -> CloudEvent:
    """The event of a record with these facts."""
    stored = History("small").add("cut_over", *facts, reason="all is well")
    return event(revision, codec.digest(stored.data), codec.decode(stored.data), base)


def plain(found: CloudEvent) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(cloudevents.encode(found))
    return value


@pytest.mark.parametrize("fact", FACTS, ids=audit.tag)
def test_every_fact_makes_a_custom_cdevent(fact: Fact) -> None:
    found = plain(made(fact))
    CHECK.validate(found["data"])
    assert found["type"] in types()


@pytest.mark.parametrize("fact", FACTS, ids=audit.tag)
def test_every_fact_makes_a_cloudevent_that_intake_would_take(fact: Fact) -> None:
    found = made(fact)
    read = intake.structured(cloudevents.encode(found))
    assert (read.id, read.source, read.subject) == ("7", "/v1/rollouts/small", "small")
    assert read.extensions == {"sequence": "00000000000000000007"}
    assert read.value()["context"]["id"] == "7"


def test_the_cloudevent_and_the_cdevent_in_it_agree() -> None:
    found = plain(made(f.Halted("errors"), base="https://cutover.example.gov"))
    context, subject = found["data"]["context"], found["data"]["subject"]
    assert [found[name] for name in ("id", "source", "type", "time")] == [
        context[name] for name in ("id", "source", "type", "timestamp")
    ]
    assert found["subject"] == subject["id"]
    assert found["source"] == subject["source"] == "https://cutover.example.gov/v1/rollouts/small"


def test_every_fact_has_a_predicate_of_letters_alone() -> None:
    tags = {str(kind.__struct_config__.tag) for kind in get_args(Fact)}
    assert set(PREDICATES) == tags
    assert all(re.fullmatch(TYPE, type_) for type_ in types())


def test_of_a_records_facts_what_matters_most_gives_the_type() -> None:
    assert made(f.PhaseEntered("cutover"), f.StageEntered(1), f.ExposureSet(EVERYONE)).type == (
        "dev.cdeventsx.cutover-rollout.flipped.0.1.0"
    )
    assert predicate([{"fact": "noted"}, {"fact": "halted"}]) == "halted"


def test_a_rollback_is_said_to_be_one() -> None:
    assert made(f.ExposureSet(NOBODY), f.PhaseEntered("rolled_back")).type.split(".")[-4] == "rolledback"


def test_the_facts_are_as_the_log_holds_them() -> None:
    content = plain(made(f.PhaseEntered("cutover"), f.ExposureSet(EVERYONE)))["data"]["subject"]["content"]
    assert content["facts"] == [
        {"fact": "phase_entered", "phase": "cutover"},
        {"fact": "exposure_set", "exposure": {"to": "everyone"}},
    ]
    assert content["revision"] == 7
    assert content["who"]["subject"] == MANAGER.subject
    assert content["reason"] == "all is well"


def test_a_plan_is_named_and_not_sent() -> None:
    content = plain(made(f.PlanAdopted(plan("small"))))["data"]["subject"]["content"]
    assert content["facts"][0]["plan"] == {"id": "small", "title": "Release plan of small"}


def test_what_one_change_led_to_carries_its_chain() -> None:
    fact = f.EvidenceRecorded("tests", "login", chain="change-7")
    assert made(fact).data.context.chain == "change-7"
    assert "chainId" not in plain(made(fact, f.EvidenceRecorded("tests", "login", chain="change-8")))["data"]["context"]


@pytest.mark.parametrize("fact", FACTS, ids=audit.tag)
def test_the_trail_makes_the_same_event_as_the_record(fact: Fact) -> None:
    stored = History("small").add("cut_over", fact, f.Noted("and so on"), reason="all is well")
    record, data_hash = codec.decode(stored.data), codec.digest(stored.data)
    standing = audit.Standing()
    rows = audit.lines(7, data_hash, record, {}, standing, standing).values
    lines = [dict(zip(audit.COLUMNS, row, strict=True)) for row in rows]
    found = of_trail([audit.accepted(line) for line in lines])
    assert plain(found) == plain(event(7, data_hash, record))


def test_a_refused_attempt_is_an_event_without_a_revision() -> None:
    attempt = Attempt(1, "small", START, MANAGER, "cut_over", "c-1", ("nobody has decided go",))
    found = plain(refused(3, attempt))
    CHECK.validate(found["data"])
    assert (found["id"], found["type"]) == ("attempt-3", "dev.cdeventsx.cutover-rollout.refused.0.1.0")
    assert "sequence" not in found
    assert found["data"]["subject"]["content"]["facts"] == [
        {"fact": "refused", "code": "refused", "reasons": ["nobody has decided go"]}
    ]
    line = dict(zip(audit.ATTEMPT_COLUMNS, audit.attempt_values(3, attempt), strict=True))
    assert plain(of_trail([audit.refused(line)])) == found
