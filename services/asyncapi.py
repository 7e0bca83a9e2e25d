"""The AsyncAPI 3 document of the NATS side: what is on which subject, made of the types that are there.

One rule: a channel is a subject that somebody else may meet; its address, stream and payload are those of the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from events.codec import ATTEMPT_SUBJECT, COMMAND_SUBJECT, LOG_SUBJECT
from events.facts import Attempt, Fact, Record
from events.readings import READING_SUBJECT, Reading
from events.signals import Outcome
from projections.flags import FlagSnapshot
from services import json_schemas
from services.engine.messages import Reply, Request
from services.flags.marks import HEADER, MARK, Mark
from services.intake.store import OUTCOME
from services.json_schemas import Json
from services.log import streams
from services.notary.kept import SUBJECT as CHECKPOINT_SUBJECT
from services.rollout.commands import Command

ASYNCAPI = "3.0.0"
VERSION = "0.1.0"  # of the service
UNIONS = {"Fact": Fact, "Command": Command, "Reply": Reply}
ABOUT = (
    "What Cutover keeps and says on NATS JetStream. The log is the truth, and only Cutover's engine writes it; the "
    "rest is what came in, what was refused, and what readers live on. Whoever listens to the log reads each record "
    "once, in the order of the stream's sequences, which are the revisions."
)
Way = Literal["send", "receive"]  # Cutover says it; Cutover is told


class Channel(NamedTuple):
    """One subject. `kind`: the type of what is on it, or a JSON Schema. `answers`: the type of the reply."""

    name: str
    address: str
    way: Way
    says: str
    kind: Any
    stream: str = ""
    content_type: str = "application/json"
    answers: Any = None
    headers: Mapping[str, str] = MappingProxyType({})  # what is in each


CLOUDEVENT = {
    "type": "object",
    "description": "A CloudEvent 1.0 in structured mode; in binary mode its attributes are headers `ce-...`.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
    },
}
NOTE = {"type": "string", "description": "A C2SP signed note of a tlog-checkpoint: the log's size and its Merkle root."}
EVENTS = "application/cloudevents+json"
CHANNELS = (
    Channel("log", f"{LOG_SUBJECT}{{rollout}}", "send", "Every decision, for ever.", Record, streams.ROLLOUTS),
    Channel("attempts", f"{ATTEMPT_SUBJECT}{{rollout}}", "send", "What was refused.", Attempt, streams.ATTEMPTS),
    Channel(
        "commands",
        f"{COMMAND_SUBJECT}{{rollout}}",
        "receive",
        "One command, asked and answered. The same `command_id` again gets the first answer.",
        Request,
        answers=Reply,
    ),
    Channel(
        "signals",
        "rollouts.signals.ci.{topic}",
        "receive",
        "CI's events, as they come; JetStream acknowledges what is on disk.",
        CLOUDEVENT,
        streams.SIGNALS,
        EVENTS,
    ),
    Channel("outcomes", f"{OUTCOME}{{signal}}", "send", "What a signal led to.", Outcome, streams.OUTCOMES),
    Channel(
        "readings",
        f"{READING_SUBJECT}{{rollout}}.{{kind}}.{{name}}",
        "send",
        "What was published or measured.",
        Reading,
        streams.READINGS,
    ),
    Channel(
        "flags",
        f"$KV.{streams.FLAGS}.{{rollout}}",
        "send",
        "The whole toggle group of a rollout: the latest value of a key of the bucket.",
        FlagSnapshot,
        f"KV_{streams.FLAGS}",
        headers={HEADER: "The value of `_position` that holds with this snapshot; not on every one."},
    ),
    Channel(
        "position",
        f"$KV.{streams.FLAGS}.{MARK}",
        "send",
        "How far the bucket goes, at least every second: after five seconds of silence readers are stale.",
        Mark,
        f"KV_{streams.FLAGS}",
    ),
    Channel(
        "checkpoints",
        CHECKPOINT_SUBJECT,
        "send",
        "What the notary signed.",
        NOTE,
        streams.CHECKPOINTS,
        "text/plain",
    ),
)
PARAMETERS = {
    "rollout": "The rollout's id.",
    "topic": "Whatever the sender likes; it may have several words.",
    "signal": "The hash of the signal's identity; `again.N` for what was told before.",
    "kind": "`published` or `measured`.",
    "name": "A hash of the reading's name.",
}


def document() -> Json:
    """The whole document."""
    kinds = [kind for channel in CHANNELS for kind in (channel.kind, channel.answers) if kind is not None]
    typed = [kind for kind in kinds if not isinstance(kind, dict)]
    schemas, parts = json_schemas.components(typed, UNIONS)
    payloads = dict(zip(map(id, typed), schemas, strict=True))
    made: Json = {"channels": {}, "operations": {}, "messages": {}}
    for channel in CHANNELS:
        _add(made, channel, payloads)
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": "Cutover on NATS", "version": VERSION, "description": ABOUT},
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "The embedded server."}},
        "channels": made["channels"],
        "operations": made["operations"],
        "components": {"messages": made["messages"], "schemas": _plainly_told_apart(parts)},
    }


def _add(made: Json, channel: Channel, payloads: dict[int, Json]) -> None:
    """The channel, its operation and its message, and what is answered."""
    name = channel.name
    made["channels"][name] = _channel(channel)
    made["messages"][name] = _message(channel, channel.kind, payloads)
    operation = {
        "action": channel.way,
        "summary": channel.says,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
    if channel.answers is not None:
        answers = f"{name}Answers"
        made["channels"][answers] = {
            "address": None,
            "messages": {answers: {"$ref": f"#/components/messages/{answers}"}},
        }
        made["messages"][answers] = _message(channel._replace(headers={}), channel.answers, payloads)
        operation["reply"] = {
            "address": {"location": "$message.header#/reply", "description": "The inbox that the request names."},
            "channel": {"$ref": f"#/channels/{answers}"},
            "messages": [{"$ref": f"#/channels/{answers}/messages/{answers}"}],
        }
    made["operations"][name] = operation


def _channel(channel: Channel) -> Json:
    names = re.findall(r"{(\w+)}", channel.address)
    kept = (
        f"Kept in the stream {channel.stream}." if channel.stream else "Core NATS: request and reply; nothing is kept."
    )
    return {
        "address": channel.address,
        "description": kept,
        "messages": {channel.name: {"$ref": f"#/components/messages/{channel.name}"}},
        **({"parameters": {name: {"description": PARAMETERS[name]} for name in names}} if names else {}),
    }


def _message(channel: Channel, kind: Any, payloads: dict[int, Json]) -> Json:
    payload = kind if isinstance(kind, dict) else payloads[id(kind)]
    message = {"contentType": channel.content_type, "summary": channel.says, "payload": payload}
    if channel.headers:
        told = {name: {"type": "string", "description": says} for name, says in channel.headers.items()}
        message["headers"] = {"type": "object", "properties": told}
    return message


def _plainly_told_apart(schema: Any) -> Any:
    """The schema with AsyncAPI's discriminator, which is the property's name alone."""
    if isinstance(schema, list):
        return [_plainly_told_apart(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plainly_told_apart(part) for name, part in schema.items()}
    if isinstance(told := plain.get("discriminator"), dict) and "propertyName" in told:
        plain["discriminator"] = told["propertyName"]
    return plain
