"""GitHub's webhooks: the signature over the raw body, the payload in its two encodings, and what it says.

One rule: nothing of a delivery is believed before its signature is right. Its identity is X-GitHub-Delivery, which a
redelivery keeps.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from msgspec.structs import replace

from events.signals import Deployed, NoRule, Origin, Shown, Signal
from services.intake.cloudevents import plain
from services.intake.wrong import NotUnderstood, UnknownFormat, short

Json = dict[str, Any]
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def signed(secret: str, body: bytes, header: str) -> bool:
    """Whether X-Hub-Signature-256 is the HMAC-SHA256 of the raw body. Compared as bytes, in the same time always."""
    right = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right.encode(), header.encode(errors="replace"))


def payload(content_type: str, body: bytes) -> Json:
    """The payload, from JSON or from a form's field `payload`. Raises NotUnderstood."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        try:
            fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=16)
        except (ValueError, UnicodeDecodeError) as error:
            raise NotUnderstood(f"the form cannot be read: {error}") from error
        if len(fields.get("payload", ())) != 1:
            raise NotUnderstood("the form needs one field `payload`")
        body = fields["payload"][0].encode()
    elif kind != JSON:
        raise UnknownFormat(f"expected {JSON} or {FORM}, found {content_type[:80]!r}")
    found = plain(body, "payload")
    if not isinstance(found, dict):
        raise NotUnderstood("payload: expected a JSON object")
    return found


def origin(headers: Mapping[str, str], data: Json) -> Origin:
    """Who sent this delivery. Raises NotUnderstood without X-GitHub-Event and X-GitHub-Delivery."""
    missing = [name for name in ("X-GitHub-Event", "X-GitHub-Delivery") if not headers.get(name.lower(), "").strip()]
    if missing:
        raise NotUnderstood(f"missing header: {', '.join(missing)}")
    repository = _text(_part(data, "repository"), "full_name")
    return Origin(f"github:{repository}", headers["x-github-delivery"].strip(), headers["x-github-event"].strip())


def meaning(data: Json, came: Origin) -> Signal:
    """What the delivery says; unknown events are kept. Raises NotUnderstood."""
    match came.type:
        case "deployment_status":
            return _deployment_status(data, came)
        case "workflow_run":
            return _workflow_run(data, came)
        case "ping":
            return NoRule(came, why="a ping: the webhook reaches us")
    return NoRule(came, why=f"no rule for GitHub's {came.type}: it is kept for the record")


def _deployment_status(data: Json, came: Origin) -> Signal:
    status, deployment = _part(data, "deployment_status"), _part(data, "deployment")
    repository = _text(_part(data, "repository"), "full_name")
    state, sha = _text(status, "state"), _text(deployment, "sha")
    environment = _text(deployment, "environment") or _text(status, "environment")
    if not (state and sha and environment and repository):
        raise NotUnderstood("deployment_status: needs state, sha, environment and the repository's full_name")
    link = _text(status, "log_url") or _text(status, "target_url") or _text(status, "environment_url")
    came = replace(came, time=_text(status, "created_at"), link=link)
    if state == "success":
        return Deployed(
            came,
            environment=environment,
            version=short(sha, "deployment.sha"),
            repository=repository,
            task=_text(deployment, "task"),
            ref=_text(deployment, "ref"),
        )
    if state in ("failure", "error"):
        return Shown(
            came,
            kind="deploy",
            about=f"{repository}@{sha[:12]}",
            outcome="failure",
            text=_text(status, "description"),
            repository=repository,
            environment=environment,
        )
    return NoRule(came, why=f"a deployment that is {state}: only success, failure and error count")


def _workflow_run(data: Json, came: Origin) -> Signal:
    """Evidence alone: a run names no environment, so it proves no deploy."""
    run = _part(data, "workflow_run")
    if _text(data, "action") != "completed":
        return NoRule(came, why=f"a workflow run that is {_text(data, 'action') or 'under way'}: only completed counts")
    came = replace(came, time=_text(run, "updated_at"), link=_text(run, "html_url"))
    return Shown(
        came,
        kind="pipeline",
        about=f"{_text(run, 'name') or 'workflow'} {run.get('id', '')}".strip(),
        outcome=_text(run, "conclusion"),
        text=_text(run, "head_sha"),
        repository=_text(_part(data, "repository"), "full_name"),
    )


def _part(data: Json, name: str) -> Json:
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _text(data: Json, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""
