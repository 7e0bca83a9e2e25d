"""Alerts as Alertmanager (webhook version 4) and Grafana send them.

One rule: each alert stands for itself, by (fingerprint, startsAt, status); the group's own status says nothing of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from events.codec import NOT_JSON
from events.signals import NoRule, Origin, Shown, Signal, Trouble
from services.intake.cloudevents import plain
from services.intake.wrong import NotUnderstood

SOURCE = "alerts"
QUIET = ("info", "none", "debug", "notice")
"""Severities that halt nothing."""


class Alert(Struct, frozen=True):
    """One alert. Grafana sends more beside it."""

    status: str
    fingerprint: Annotated[str, Meta(min_length=1)]
    startsAt: Annotated[str, Meta(min_length=1)]
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generatorURL: str = ""


class _Group(Struct):
    alerts: list[Raw]
    version: str | int = ""


def split(body: bytes) -> list[tuple[Origin, bytes]]:
    """Each alert of a notification, with its identity and its own bytes. Raises NotUnderstood."""
    try:
        group = msgspec.json.decode(body, type=_Group)
        alerts = [(one, read(bytes(one))) for one in group.alerts]
    except NOT_JSON as error:
        raise NotUnderstood(f"not a notification of Alertmanager or Grafana: {error}") from error
    return [(origin(alert), bytes(raw)) for raw, alert in alerts]


def read(body: bytes) -> Alert:
    """One alert from its bytes. Raises NotUnderstood."""
    try:
        alert = msgspec.convert(plain(body, "alert"), type=Alert)
    except msgspec.ValidationError as error:
        raise NotUnderstood(f"not an alert: {error}") from error
    if alert.status not in ("firing", "resolved"):
        raise NotUnderstood(f"status: expected firing or resolved, found {alert.status[:40]!r}")
    return alert


def origin(alert: Alert) -> Origin:
    """The alert's identity."""
    name = f"{alert.fingerprint}/{alert.startsAt}/{alert.status}"
    return Origin(SOURCE, name, f"alert.{alert.status}", alert.startsAt, alert.generatorURL)


def meaning(alert: Alert, came: Origin) -> Signal:
    """A firing alert is trouble, unless its severity is quiet; a resolved one is evidence."""
    labels = alert.labels
    about = labels.get("alertname", "") or alert.fingerprint
    words = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    named = labels.get("rollout", "") or labels.get("cutover_rollout", "")
    place = {"service": labels.get("service", ""), "environment": labels.get("environment", "")}
    of = f"{SOURCE}/{alert.fingerprint}/{alert.startsAt}"
    if not named and not place["service"]:
        return NoRule(came, why=f"alert {about} names no rollout and no service in its labels")
    severity = labels.get("severity", "")
    if alert.status == "firing" and severity.lower() not in QUIET:
        return Trouble(came, named, of=of, about=about, kind="alert", text=words, **place)
    outcome = "resolved" if alert.status == "resolved" else f"firing ({severity})"
    return Shown(
        came,
        named,
        kind="alert",
        about=about,
        outcome=outcome,
        text=words,
        of=of if alert.status == "resolved" else "",
        **place,
    )
