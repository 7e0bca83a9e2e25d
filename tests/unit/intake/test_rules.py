"""What follows from a signal: which rollouts, which commands, under which ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.facts import Actor, DeployReported, Evidence, Phase, Record
from events.plan.checks import check
from events.plan.reading import read_plan
from events.plan.schema import Deploy, GithubDeployment, Plan
from events.signals import Deployed, Origin, Shown, Signal, TakenBack, Trouble
from services.intake.cdevents import meaning, version_of
from services.intake.cloudevents import structured as read
from services.intake.rules import Orders, orders, says
from services.intake.standing import Running, Standing, with_fact
from services.intake.wrong import NotUnderstood
from services.rollout import commands as c
from tests.cdevents import TYPES, Example, cdevent, examples, structured

PLAN = Plan(title="Small", id="small", deploy=Deploy(services=("api",)))
RUNNING = Standing(PLAN, "cutover")
EARLY, NOON, LATE = "2026-03-20T08:00:00Z", "2026-03-20T12:00:00Z", "2026-03-20T18:00:00Z"
AHEAD = "2099-01-01T00:00:00Z"
TOLD = datetime(2026, 3, 20, 20, 0, 5, 999_000, tzinfo=UTC)  # when we were told of it
CHAIN = "4c8cb7dd-3448-41de-8768-eec704e2829b"


def came(id_: str = "1", time: str = "", chain: str = "") -> Origin:
    return Origin("/ci", id_, "a.type", time, chain=chain)


def deployed(version: str = "v1", id_: str = "1", time: str = "", **more: Any) -> Deployed:
    return Deployed(came(id_, time), **{"service": "api", "environment": "production", "version": version, **more})


def asked(signal: Signal, standing: Standing = RUNNING) -> Orders:
    return orders(signal, {"small": standing}, TOLD)


def ids(signal: Signal, standing: Standing = RUNNING) -> list[str]:
    return [order.command_id for order in asked(signal, standing).orders]


def commands(found: Orders) -> list[str]:
    return [c.name_of(order.command) for order in found.orders]


# -- CDEvents


def said(event: dict[str, Any]) -> Signal:
    found = read(structured(event))
    return meaning(found, Origin(found.source, found.id, found.type))


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_every_type_of_cdevent_has_its_effect_or_none(example: Example) -> None:
    found = asked(said(example.event))
    assert commands(found) == ([example.effect] if example.effect else [])
    assert bool(found.why) != bool(found.orders)


@pytest.mark.parametrize(
    "missing",
    [("context", "id"), ("context", "source"), ("context", "timestamp"), ("subject", "id"), ("subject", "content")],
)
def test_a_cdevent_without_a_required_field_is_not_understood(missing: tuple[str, str]) -> None:
    subject, content, _ = TYPES["service.deployed"]
    event = cdevent("service.deployed", subject, content)
    whole = structured(event)
    part, name = missing
    envelope = msgspec.json.decode(whole)
    del envelope["data"][part][name]
    found = read(msgspec.json.encode(envelope))
    with pytest.raises(NotUnderstood, match=f"{part}.*{name}"):
        meaning(found, Origin(found.source, found.id, found.type))


@pytest.mark.parametrize(
    ("kind", "content", "missing"),
    [
        ("service.deployed", {"environment": {"id": "production"}}, "artifactId"),
        ("service.deployed", {"artifactId": "pkg:oci/api@1"}, "environment"),
        ("incident.detected", {}, "environment"),
        ("testsuiterun.finished", {"environment": {"id": "production"}}, "outcome"),
    ],
)
def test_a_cdevent_without_what_its_rule_needs_is_not_understood(
    kind: str, content: dict[str, Any], missing: str
) -> None:
    with pytest.raises(NotUnderstood, match=missing):
        said(cdevent(kind, "api", content))


def test_the_version_of_a_type_does_not_matter() -> None:
    event = cdevent("service.deployed", *TYPES["service.deployed"][:2])
    for version in ("0.1.0", "0.3.0", "9.9.9-draft"):
        event["context"]["type"] = f"dev.cdevents.service.deployed.{version}"
        assert commands(asked(said(event))) == ["report_deploy"]


def test_an_event_that_contradicts_its_envelope_is_not_understood() -> None:
    event = cdevent("service.deployed", *TYPES["service.deployed"][:2])
    envelope = msgspec.json.decode(structured(event))
    envelope["type"] = "dev.cdevents.service.removed.0.3.0"
    found = read(msgspec.json.encode(envelope))
    with pytest.raises(NotUnderstood, match=r"context\.type"):
        meaning(found, Origin(found.source, found.id, found.type))


@pytest.mark.parametrize(
    ("artifact", "version"),
    [
        ("pkg:oci/api@sha256%3A0b31?repository_url=x@y", "sha256:0b31"),
        ("pkg:golang/mygit.com/org/app@234fd47e", "234fd47e"),
        ("pkg:npm/%40scope/app@1.2.3#sub@path", "1.2.3"),
        ("pkg:oci/api", "pkg:oci/api"),
        ("v1.2.3", "v1.2.3"),
    ],
)
def test_the_version_is_that_of_the_package_url(artifact: str, version: str) -> None:
    assert version_of(artifact) == version


@pytest.mark.parametrize(
    ("kind", "subject", "content"),
    [
        ("service.deployed", "api", {"environment": {"id": "production"}, "artifactId": "pkg:oci/api@v%00x"}),
        ("artifact.published", "pkg:oci/api%00@v1", {}),
    ],
)
def test_a_package_url_that_hides_what_no_database_keeps_is_not_understood(
    kind: str, subject: str, content: dict[str, Any]
) -> None:
    with pytest.raises(NotUnderstood, match=r"U\+0000"):
        said(cdevent(kind, subject, content))


# -- deploys


def test_the_same_deploy_told_three_ways_has_one_command_id() -> None:
    ways = (
        deployed(id_="by-http"),
        deployed(id_="by-nats", service="service/api"),
        deployed(id_="by-github", service="", repository="Example/API", task="deploy"),
    )
    assert len({id_ for way in ways for id_ in ids(way)}) == 1


def test_another_service_environment_or_version_is_another_deploy() -> None:
    plan = replace(PLAN, deploy=Deploy(services=("api", "web")))
    standing = Standing(plan, "code_deploy")
    different = {
        *ids(deployed(), standing),
        *ids(deployed("v2"), standing),
        *ids(deployed(service="web"), standing),
    }
    assert len(different) == 3
    assert "no plan deploys api in staging" in asked(deployed(environment="staging")).why


def test_in_a_rolled_back_rollout_each_telling_counts() -> None:
    standing = Standing(PLAN, "rolled_back", {"api": Running("v1")}, frozenset({("api", "v1")}))
    assert ids(deployed(id_="1"), standing) != ids(deployed(id_="2"), standing)
    assert ids(deployed(id_="1"), standing) == ids(deployed(id_="1"), standing)


def test_an_earlier_version_deployed_again_later_counts_and_told_again_does_not() -> None:
    told = frozenset({("api", "v1"), ("api", "v2")})
    standing = Standing(PLAN, "cutover", {"api": Running("v2", NOON)}, told)
    first = ids(deployed("v1", time=EARLY))
    assert ids(deployed("v1", "again", LATE), standing) != first
    assert ids(deployed("v1", "late telling", EARLY), standing) == first
    assert ids(deployed("v1", "without a time"), standing) == first


def test_a_deploy_that_is_told_after_a_later_one_changes_nothing() -> None:
    standing = Standing(PLAN, "cutover", {"api": Running("v2", NOON)}, frozenset({("api", "v2")}))
    found = asked(deployed("v1", time=EARLY), standing)
    assert (found.orders, found.why) == ((), "rollout small: told late, v2 was deployed after it")


def test_a_clock_that_is_ahead_makes_nothing_later_than_when_we_were_told() -> None:
    (order,) = asked(deployed("v1", time=AHEAD)).orders
    assert order.command.evidence[0].time == "2026-03-20T20:00:05+00:00"
    assert asked(deployed("v1", time=LATE)).orders[0].command.evidence[0].time == LATE
    assert asked(deployed("v1", time="")).orders[0].command.evidence[0].time == ""
    standing = Standing(
        PLAN, "cutover", {"api": Running("v1", "2026-03-20T20:00:05+00:00")}, frozenset({("api", "v1")})
    )
    assert ids(deployed("v2", time="2026-03-20T20:00:05Z"), standing)
    assert ids(TakenBack(came(time=AHEAD), service="api", environment="production"), standing)


def test_what_runs_since_after_a_rollback_was_told_does_not_hide_it() -> None:
    standing = Standing(PLAN, "cutover", {"api": Running("v2", AHEAD)})
    signal = TakenBack(came(time=LATE), service="api", environment="production")
    assert commands(asked(signal, standing)) == ["roll_back"]


@pytest.mark.parametrize(("time", "known"), [(AHEAD, "2026-03-20T20:00:05+00:00"), (NOON, NOON), ("", ""), ("?", "?")])
def test_what_runs_was_deployed_before_it_was_recorded(time: str, known: str) -> None:
    fact = DeployReported("api", "production", "v1")
    evidence = (Evidence("ci", time=time),)
    record = Record(1, "small", 2, "", TOLD, Actor("ci", "ci"), "report_deploy", "d1", "", (fact,), evidence=evidence)
    standing = with_fact(RUNNING, fact, record)
    assert standing is not None
    assert standing.running == {"api": Running("v1", known)}


@pytest.mark.parametrize("phase", ["closed", "cancelled"])
def test_deploys_after_the_end_ask_nothing_of_the_rollout(phase: Phase) -> None:
    assert asked(deployed(), Standing(PLAN, phase)).why == f"rollout small is {phase}: its deploys are over"


def test_every_rollout_that_has_the_service_is_told() -> None:
    found = orders(deployed(), {"one": RUNNING, "two": RUNNING, "other": Standing(Plan(title="Other"))}, TOLD)
    assert [order.rollout for order in found.orders] == ["one", "two"]


def test_a_plan_says_how_github_names_its_deploys() -> None:
    github = {"api": GithubDeployment("example/monolith", "prod-eu", "deploy:api")}
    standing = Standing(replace(PLAN, deploy=Deploy(services=("api",), github=github)), "code_deploy")
    told = {"service": "", "repository": "example/monolith", "environment": "prod-eu", "task": "deploy:api"}
    assert ids(deployed(**told), standing)
    for name, other in (("repository", "example/api"), ("environment", "production"), ("task", "deploy")):
        assert not ids(deployed(**{**told, name: other}), standing)


def test_a_github_task_that_is_no_deploy_is_none() -> None:
    assert not ids(deployed(service="", repository="example/api", task="deploy:migrations"))


# -- trouble and what is over


def test_a_rollback_told_of_a_rollout_that_is_not_running_is_kept() -> None:
    signal = TakenBack(came(), service="api", environment="production")
    assert commands(asked(signal)) == ["roll_back"]
    assert asked(signal, Standing(PLAN, "planned")).why == "rollout small is planned: nothing to roll back"


def test_a_rollback_from_before_the_last_deploy_is_late() -> None:
    standing = Standing(PLAN, "cutover", {"api": Running("v2", NOON)})
    signal = TakenBack(came(time=EARLY), service="api", environment="production")
    assert "told late" in asked(signal, standing).why


def test_one_incident_halts_once_whoever_tells_of_it() -> None:
    first = Trouble(came("detected"), of="/pager", about="i-1", environment="production")
    second = Trouble(came("reported"), of="/pager", about="i-1", environment="production", service="api")
    assert ids(first) == ids(second)


def test_an_incident_of_another_service_or_place_halts_nothing() -> None:
    assert not ids(Trouble(came(), of="/pager", about="i-1", environment="production", service="billing"))
    assert not ids(Trouble(came(), of="/pager", about="i-1", environment="staging"))
    assert not ids(Trouble(came(), of="/pager", about="i-1"))


def test_an_incident_that_was_resolved_before_it_was_told_halts_nothing() -> None:
    standing = replace(RUNNING, over=frozenset({("/pager", "i-1")}))
    signal = Trouble(came(), of="/pager", about="i-1", environment="production")
    assert asked(signal, standing).why == "rollout small: incident i-1 is resolved already"


def test_a_signal_that_names_its_rollout_is_about_that_one() -> None:
    signal = Trouble(came(), "two", of="/pager", about="i-1")
    assert [o.rollout for o in orders(signal, {"one": RUNNING, "two": RUNNING}, TOLD).orders] == ["two"]
    assert not orders(signal, {"one": RUNNING}, TOLD).orders


GITHUB = {"api": GithubDeployment("example/monolith", "prod-eu")}


@pytest.mark.parametrize(
    "signal",
    [
        TakenBack(came(), "small", service="api", environment="staging"),
        TakenBack(came(), "small", service="preview-api", environment="production"),
        Trouble(came(), "small", of="/pager", about="i-1", environment="staging", service="api"),
        Shown(came(chain=CHAIN), "small", kind="tests", about="smoke", environment="staging"),
        deployed(rollout="small", environment="staging"),
        deployed(rollout="small", service="preview-api"),
    ],
    ids=lambda signal: says(signal),
)
def test_a_signal_that_names_its_rollout_from_elsewhere_is_not_about_it(signal: Signal) -> None:
    found = asked(signal, replace(RUNNING, chains=(CHAIN,)))
    assert (found.orders, found.why[:18]) == ((), "matches no rollout")


@pytest.mark.parametrize("environment", ["", "production", "prod-eu"])
def test_a_signal_that_names_its_rollout_may_come_from_any_of_the_plans_environments(environment: str) -> None:
    standing = Standing(replace(PLAN, deploy=Deploy(services=("api",), github=GITHUB)), "cutover")
    other = Trouble(came(), "small", of="/pager", about="i-1", environment=environment, service="database")
    tests = Shown(came(), "small", kind="tests", about="smoke", environment=environment)
    back = TakenBack(came(), "small", service="service/api", environment=environment)
    assert [commands(asked(signal, standing)) for signal in (other, tests, back)] == [
        ["halt"],
        ["record_evidence"],
        ["roll_back"],
    ]


# -- evidence


def test_evidence_reaches_the_rollout_that_its_chain_led_to() -> None:
    signal = Shown(came(chain=CHAIN), kind="pipeline", about="run 1", outcome="success")
    assert not ids(signal)
    assert commands(asked(signal, replace(RUNNING, chains=(CHAIN,)))) == ["record_evidence"]


def test_what_goes_into_the_log_is_bounded() -> None:
    signal = Shown(came(), kind="tests", about="a" * 5000, text="b" * 100_000, environment="production")
    (order,) = asked(signal).orders
    assert len(msgspec.json.encode(order.command)) < 5000


def test_a_plan_that_names_github_deployments_of_no_service_of_its_is_told() -> None:
    written = {
        "title": "Small",
        "toggles": {"one": ""},
        "deploy": {"services": ["vets-api"], "github": {"vets-apy": "example/api"}},
    }
    errors = [finding.text for finding in check(read_plan(written, default_id="small")) if finding.level == "error"]
    assert any("there is no service 'vets-apy'" in text and "vets-api" in text for text in errors)
