"""CDEvents of every type of 0.4.1 and 0.5.1, written from the fields that their schemas name, and what each leads to.

One rule: each has an id of its own; the two versions differ as the specifications do (`version` and `specversion`,
pass/fail and success/failure, the subject's `type`). Versions of the types are never looked at, so they are rough here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

Json = dict[str, Any]
Spec = Literal["0.4.1", "0.5.1"]
Effect = Literal["report_deploy", "roll_back", "halt", "record_evidence", ""]

HERE: Json = {"environment": {"id": "production", "source": "/iaas/geo1"}}
PURL = "pkg:oci/api@sha256%3A0b31b1c02ff458ad?repository_url=registry.example.gov/team"
REPOSITORY: Json = {"repository": {"id": "example/api", "source": "https://git.example.gov"}}

# subject.predicate: the subject's id, its content, and what is asked of a rollout whose plan has "api" in "production"
TYPES: dict[str, tuple[str, Json, Effect]] = {
    "taskrun.started": ("task-1", {"taskName": "build", "url": "https://ci.example.gov/t/1"}, ""),
    "taskrun.finished": ("task-1", {"taskName": "build", "outcome": "success"}, ""),
    "pipelinerun.queued": ("run-1", {"pipelineName": "api"}, ""),
    "pipelinerun.started": ("run-1", {"pipelineName": "api", "url": "https://ci.example.gov/1"}, ""),
    "pipelinerun.finished": ("run-1", {"pipelineName": "api", "outcome": "success"}, "record_evidence"),
    "repository.created": ("example/api", {"name": "api", "url": "https://git.example.gov/api"}, ""),
    "repository.modified": ("example/api", {"name": "api", "url": "https://git.example.gov/api"}, ""),
    "repository.deleted": ("example/api", {"name": "api"}, ""),
    "branch.created": ("main", REPOSITORY, ""),
    "branch.deleted": ("old", REPOSITORY, ""),
    "change.created": ("change-1", REPOSITORY, ""),
    "change.updated": ("change-1", REPOSITORY, ""),
    "change.reviewed": ("change-1", REPOSITORY, ""),
    "change.merged": ("change-1", REPOSITORY, "record_evidence"),
    "change.abandoned": ("change-2", REPOSITORY, ""),
    "build.queued": ("build-1", {}, ""),
    "build.started": ("build-1", {}, ""),
    "build.finished": ("build-1", {"artifactId": PURL}, ""),
    "testcaserun.queued": ("case-1", {**HERE, "testCase": {"id": "login"}}, ""),
    "testcaserun.started": ("case-1", {**HERE, "testCase": {"id": "login"}}, ""),
    "testcaserun.finished": (
        "case-1",
        {**HERE, "outcome": "success", "testCase": {"id": "login", "name": "Login", "type": "integration"}},
        "record_evidence",
    ),
    "testcaserun.skipped": ("case-2", {**HERE, "reason": "not on this platform", "testCase": {"id": "print"}}, ""),
    "testsuiterun.queued": ("suite-1", {**HERE, "testSuite": {"id": "smoke"}}, ""),
    "testsuiterun.started": ("suite-1", {**HERE, "testSuite": {"id": "smoke"}}, ""),
    "testsuiterun.finished": (
        "suite-1",
        {**HERE, "outcome": "failure", "severity": "critical", "reason": "no such host", "testSuite": {"id": "smoke"}},
        "record_evidence",
    ),
    "testoutput.published": (
        "report-1",
        {"outputType": "report", "format": "text/html", "testCaseRun": {"id": "case-1"}},
        "",
    ),
    "artifact.packaged": (PURL, {"change": {"id": "change-1"}}, ""),
    "artifact.signed": (PURL, {"signature": "bm90IG9uZQ=="}, ""),
    "artifact.published": (PURL, {"sbom": {"uri": "https://sbom.example.gov/api"}}, "record_evidence"),
    "artifact.downloaded": (PURL, {"user": "deployer"}, ""),
    "artifact.deleted": (PURL, {"user": "cleaner"}, ""),
    "environment.created": ("production", {"name": "Production"}, ""),
    "environment.modified": ("production", {"name": "Production"}, ""),
    "environment.deleted": ("staging", {"name": "Staging"}, ""),
    "service.deployed": ("api", {**HERE, "artifactId": PURL}, "report_deploy"),
    "service.upgraded": ("service/api", {**HERE, "artifactId": PURL.replace("0b31", "0b32")}, "report_deploy"),
    "service.published": ("api", HERE, "record_evidence"),
    "incident.detected": ("incident-1", {**HERE, "service": {"id": "api"}, "description": "slow"}, "halt"),
    "incident.reported": ("incident-2", {**HERE, "ticketURI": "https://tickets.example.gov/2"}, "halt"),
    "incident.resolved": ("incident-1", {**HERE, "service": {"id": "api"}}, "record_evidence"),
    "ticket.created": ("ticket-1", {"summary": "slow", "creator": "pat", "uri": "https://tickets.example.gov/1"}, ""),
    "ticket.updated": ("ticket-1", {"summary": "slower", "uri": "https://tickets.example.gov/1"}, ""),
    "ticket.closed": ("ticket-1", {"resolution": "completed", "uri": "https://tickets.example.gov/1"}, ""),
    "service.rolledback": ("api", {**HERE, "artifactId": PURL}, "roll_back"),
    "service.removed": ("api", HERE, "roll_back"),
}


class Example(NamedTuple):
    """One CDEvent and the command it leads to ("": none)."""

    name: str
    event: Json
    effect: Effect


def examples(tag: str = "") -> Iterator[Example]:
    """Every type in both versions. `tag` makes other ids of the same events."""
    for spec in ("0.4.1", "0.5.1"):
        for name, (subject, content, effect) in TYPES.items():
            event = cdevent(name, subject, content, spec=spec, id_=f"{tag}{name}", source=f"/ci/{spec}")
            yield Example(f"{name} {spec}", event, effect)


def cdevent(
    name: str,
    subject: str,
    content: Json,
    *,
    spec: str = "0.5.1",
    id_: str = "event-1",
    source: str = "/ci/example",
    time: str = "2026-03-20T14:27:05.315384Z",
    **more: Any,
) -> Json:
    """One CDEvent."""
    old = spec == "0.4.1"
    outcomes = {"success": "pass", "failure": "fail"}
    if old and name.startswith("test") and "outcome" in content:
        content = {**content, "outcome": outcomes[content["outcome"]]}
    type_ = f"dev.cdevents.{name}.{'0.2.0' if old else '0.3.0'}"
    context = {"version" if old else "specversion": spec, "id": id_, "source": source, "type": type_}
    context |= {"timestamp": time, "chainId": "4c8cb7dd-3448-41de-8768-eec704e2829b"}
    about = {"id": subject, "source": source, **({"type": name.partition(".")[0]} if old else {}), "content": content}
    return {"context": context, "subject": about, "customData": {"any": "thing"}, **more}


def deploy(version: str = "v1", *, service: str = "api", environment: str = "production", **context: Any) -> Json:
    """A `service.deployed` of this version."""
    content = {"environment": {"id": environment}, "artifactId": f"pkg:oci/{service}@{version}"}
    return cdevent("service.deployed", service, content, **context)


def structured(event: Json) -> bytes:
    """The CloudEvent around it, in structured mode."""
    context = event["context"]
    attributes = {name: context[name] for name in ("id", "source", "type")}
    rest = {"time": context["timestamp"], "subject": event["subject"]["id"], "datacontenttype": "application/json"}
    return msgspec.json.encode({"specversion": "1.0", **attributes, **rest, "data": event})


def binary(event: Json) -> dict[str, str]:
    """The headers of the CloudEvent around it, in binary mode, without the content type."""
    context = event["context"]
    attributes = {name: context[name] for name in ("id", "source", "type")}
    rest = {"specversion": "1.0", "time": context["timestamp"], "subject": event["subject"]["id"]}
    return {f"ce-{name}": _encoded(value) for name, value in {**attributes, **rest}.items()}


def _encoded(value: str) -> str:
    """A header's value as the HTTP binding wants it: what is not printable ASCII, quotes and % percent-encoded."""
    return "".join(
        c if "!" <= c <= "~" and c not in '"%' else "".join(f"%{byte:02X}" for byte in c.encode()) for c in value
    )
