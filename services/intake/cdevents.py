"""CDEvents 0.4.1 and 0.5.1: what CI says of changes, artifacts, services, tests and incidents.

One rule: a type is known by its subject and predicate, never by its version; what carries no rule is kept and says so.
Source: https://cdevents.dev, the specification's event types and their required fields.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from events.signals import Deployed, NoRule, Origin, Shown, Signal, TakenBack, Trouble
from services.intake.cloudevents import CloudEvent
from services.intake.wrong import NotUnderstood, short

PREFIX = "dev.cdevents."
EVIDENCE = {  # type without prefix and version: the kind of evidence that it is
    "change.merged": "change",
    "artifact.published": "artifact",
    "service.published": "reachable",
    "testsuiterun.finished": "tests",
    "testcaserun.finished": "tests",
    "pipelinerun.finished": "pipeline",
    "incident.resolved": "incident",
}
OUTCOMES = {"pass": "success", "fail": "failure"}  # as 0.4.1 says it: as 0.5.1 does
_NEEDS_ENVIRONMENT = ("service.", "incident.", "testsuiterun.", "testcaserun.")
_NEEDS_OUTCOME = ("testsuiterun.finished", "testcaserun.finished")

Json = dict[str, Any]


def meaning(event: CloudEvent, origin: Origin) -> Signal:
    """What a CDEvent says. Raises NotUnderstood where a required field is missing."""
    kind = kind_of(event.type)
    data = event.value()
    if not isinstance(data, dict):
        raise NotUnderstood("data: a CDEvent is a JSON object with context and subject")
    context, subject = _part(data, "context"), _part(data, "subject")
    _check(event, kind, context, subject)
    content = subject["content"]
    custom = data.get("customData")
    origin = _with_chain(origin, context, content)
    named = str(custom.get("rollout", "")) if isinstance(custom, dict) else ""
    match kind:
        case "service.deployed" | "service.upgraded":
            return _deployed(origin, subject, content, named)
        case "service.rolledback" | "service.removed":
            return TakenBack(
                origin,
                named,
                service=subject["id"],
                environment=_id(content, "environment"),
                removed=kind == "service.removed",
            )
        case "incident.detected" | "incident.reported":
            return _trouble(origin, subject, content, named)
    if kind in EVIDENCE:
        return _shown(origin, kind, subject, content, named)
    return NoRule(origin, named, why=f"no rule for {PREFIX}{kind}: it is kept for the record")


def kind_of(type_: str) -> str:
    """ "dev.cdevents.service.deployed.0.3.0" is "service.deployed"."""
    return ".".join(type_.removeprefix(PREFIX).split(".")[:2])


def version_of(artifact: str) -> str:
    """The version in a package URL, decoded; the whole text where it is none or has none. Raises NotUnderstood.

    Source: the purl specification: version after the last @, before qualifiers (?) and subpath (#).
    """
    if not artifact.startswith("pkg:"):
        return artifact
    path = artifact.partition("#")[0].partition("?")[0]
    name, at, version = path.rpartition("@")
    return _unquoted(version) if at and name and version else artifact


def _check(event: CloudEvent, kind: str, context: Json, subject: Json) -> None:
    """The fields that every CDEvent has. The event's own id and source are its identity; senders vary in them."""
    missing = [name for name in ("id", "source", "type", "timestamp") if not _text(context, name)]
    if not (_text(context, "specversion") or _text(context, "version")):
        missing.insert(0, "specversion")  # 0.4.1 calls it version
    if missing:
        raise NotUnderstood(f"context: missing {', '.join(missing)}")
    if kind_of(context["type"]) != kind:
        raise NotUnderstood(f"context.type: expected {event.type} as the CloudEvent says, found {context['type'][:80]}")
    if not _text(subject, "id"):
        raise NotUnderstood("subject: missing id")
    if not isinstance(subject.get("content"), dict):
        raise NotUnderstood("subject: missing content")
    content = subject["content"]
    if kind in EVIDENCE or kind.startswith(("service.", "incident.")):
        if kind.startswith(_NEEDS_ENVIRONMENT) and not _id(content, "environment"):
            raise NotUnderstood("subject.content: missing environment.id")
        if kind in ("service.deployed", "service.upgraded") and not _text(content, "artifactId"):
            raise NotUnderstood("subject.content: missing artifactId")
        if kind in _NEEDS_OUTCOME and not _text(content, "outcome"):
            raise NotUnderstood("subject.content: missing outcome")


def _deployed(origin: Origin, subject: Json, content: Json, named: str) -> Deployed:
    return Deployed(
        origin,
        named,
        service=subject["id"],
        environment=_id(content, "environment"),
        version=short(version_of(content["artifactId"]), "the version of subject.content.artifactId"),
    )


def _trouble(origin: Origin, subject: Json, content: Json, named: str) -> Trouble:
    return Trouble(
        origin,
        named,
        of=_text(subject, "source") or origin.source,
        about=subject["id"],
        text=_text(content, "description"),
        service=_id(content, "service"),
        environment=_id(content, "environment"),
    )


def _shown(origin: Origin, kind: str, subject: Json, content: Json, named: str) -> Shown:
    outcome = _text(content, "outcome")
    said = {"incident.resolved": "resolved", "service.published": "success", "change.merged": "merged"}
    texts = ("description", "reason", "errors", "severity")
    name = _text(content, "pipelineName") or _name(content, "testSuite") or _name(content, "testCase")
    return Shown(
        origin,
        named,
        kind=EVIDENCE[kind],
        about=subject["id"],
        outcome=OUTCOMES.get(outcome, outcome) or said.get(kind, ""),
        text="; ".join(part for part in (name, *(_text(content, text) for text in texts)) if part),
        service=_service(kind, subject, content),
        environment=_id(content, "environment"),
        repository=_id(content, "repository"),
        of=(_text(subject, "source") or origin.source) if kind == "incident.resolved" else "",
    )


def _service(kind: str, subject: Json, content: Json) -> str:
    """Which service it is about, where it says so: a service by its id, an artifact by the name in its package URL."""
    if kind == "service.published":
        return str(subject["id"])
    if kind == "artifact.published":
        path = str(subject["id"]).partition("#")[0].partition("?")[0]
        return _unquoted(path.rpartition("@")[0] or path).removeprefix("pkg:")
    return _id(content, "service") or _text(content, "pipelineName")


def _unquoted(text: str) -> str:
    """Part of a package URL, percent-decoded."""
    found = unquote(text)
    if "\0" in found:
        raise NotUnderstood("a package URL holds the character U+0000, which not every database can keep")
    return found


def _with_chain(origin: Origin, context: Json, content: Json) -> Origin:
    link = _text(content, "url") or _text(content, "uri") or origin.link
    return replace(origin, chain=_text(context, "chainId"), time=context["timestamp"], link=link)


def _part(data: Json, name: str) -> Json:
    part = data.get(name)
    if not isinstance(part, dict):
        raise NotUnderstood(f"data: a CDEvent needs {name}, an object")
    return part


def _text(data: Json, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _id(content: Json, name: str) -> str:
    part = content.get(name)
    return _text(part, "id") if isinstance(part, dict) else ""


def _name(content: Json, name: str) -> str:
    part = content.get(name)
    return (_text(part, "name") or _text(part, "id")) if isinstance(part, dict) else ""
