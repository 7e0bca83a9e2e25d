"""A stored message becomes a signal: which way it came, by whom, and what it says.

One rule: what came by HTTP was let in by a token or a signature, and its header `Cutover-Subject` says whose; what came
over NATS speaks for itself alone, by its source. Headers that a publisher on NATS writes are never believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from events.signals import NoRule, Origin, Signal
from services.intake import alertmanager, cdevents, cloudevents, github
from services.intake.wrong import NotUnderstood

PREFIX = "rollouts.signals."
HTTP = f"{PREFIX}http."
CI = f"{PREFIX}ci"
SUBJECT = "cutover-subject"
LARGEST = 512 * 1024


class Arrived(NamedTuple):
    """Which way a message came, and whose word it is ("": nobody can say)."""

    way: str
    by: str


def arrived(subject: str, headers: Mapping[str, str]) -> Arrived:
    """What the subject says; the header counts only where NATS lets nobody but the API publish."""
    if subject.startswith(HTTP):
        kind = subject.removeprefix(HTTP)
        return Arrived("http" if kind == "cloudevents" else kind, headers.get(SUBJECT, ""))
    return Arrived("nats", "")


def identify(subject: str, headers: Mapping[str, str], body: bytes) -> Origin:
    """The identity, before the meaning is known. Raises NotUnderstood."""
    if len(body) > LARGEST:
        raise NotUnderstood(f"a signal has at most {LARGEST} bytes, found {len(body)}")
    return replace(_origin(subject, headers, body), sha256=hashlib.sha256(body).hexdigest())


def _origin(subject: str, headers: Mapping[str, str], body: bytes) -> Origin:
    match arrived(subject, headers).way:
        case "github":
            return github.origin(headers, github.payload(headers.get("content-type", ""), body))
        case "alerts":
            return alertmanager.origin(alertmanager.read(body))
        case "http":
            return _of_event(cloudevents.event(headers, body, "http"))
        case "nats" if subject == CI or subject.startswith(f"{CI}."):
            return _of_event(cloudevents.event(headers, body, "nats"))
    raise NotUnderstood(f"signals come on {CI}.>, found {subject[:80]!r}")


def understand(subject: str, headers: Mapping[str, str], body: bytes, origin: Origin) -> Signal:
    """What it says. Raises NotUnderstood."""
    match arrived(subject, headers).way:
        case "github":
            return github.meaning(github.payload(headers.get("content-type", ""), body), origin)
        case "alerts":
            return alertmanager.meaning(alertmanager.read(body), origin)
        case way:
            event = cloudevents.event(headers, body, "nats" if way == "nats" else "http")
            if event.type.startswith(cdevents.PREFIX):
                return cdevents.meaning(event, origin)
            return NoRule(origin, why=f"no rule for the type {event.type[:120]}: it is kept for the record")


def _of_event(event: cloudevents.CloudEvent) -> Origin:
    return Origin(event.source, event.id, event.type, event.time)
