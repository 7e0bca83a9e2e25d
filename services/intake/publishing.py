"""What a CI publishes: CDEvents 0.5.1 as CloudEvents, with an id that its own run makes.

One rule: the same run telling the same thing makes the same id, so a step that is tried again tells nothing twice.
Where no run is known each telling is one of its own: what was deployed again after a rollback must count.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from services.client import CannotAsk, Client

Json = dict[str, Any]
SOURCE = "/cutover/publish"
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # seconds between tries; the last one again and again
POLLS = (0.05, 0.1, 0.2, 0.5, 1.0)
TRY_AGAIN = (429, 502, 503, 504)


class NoVerdict(Exception):
    """The signal is on disk, and nothing is said of it yet."""


def deployed(
    service: str, environment: str, version: str, now: datetime, *, run: str = "", chain: str = "", id_: str = ""
) -> Json:
    """`dev.cdevents.service.deployed` as a CloudEvent. `run`: the CI run's address, which is its source."""
    source = run or SOURCE
    whole = "\0".join((source, service, environment, version)).encode()
    id_ = id_ or (hashlib.sha256(whole).hexdigest()[:32] if run else secrets.token_hex(16))
    kind, when = "dev.cdevents.service.deployed.0.3.0", now.astimezone(UTC).isoformat(timespec="seconds")
    context: Json = {"specversion": "0.5.1", "id": id_, "source": source, "type": kind, "timestamp": when}
    if chain:
        context["chainId"] = chain
    artifact = f"pkg:generic/{quote(service, safe='/')}@{quote(version, safe='')}"
    content = {"environment": {"id": environment}, "artifactId": artifact}
    data = {"context": context, "subject": {"id": service, "source": source, "content": content}}
    return {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": kind,
        "subject": service,
        "time": when,
        "datacontenttype": "application/json",
        "data": data,
    }


def publish(client: Client, event: Json, patience: float, sleep: Callable[[float], None] = time.sleep) -> Json:
    """Send it, again and again while nobody answers, for up to `patience` seconds. Raises CannotAsk."""
    end, pauses = time.monotonic() + patience, iter(PAUSES)
    while True:
        try:
            return client.send_event(event)
        except CannotAsk as error:
            pause = next(pauses, PAUSES[-1])
            if error.problem.get("status", 503) not in TRY_AGAIN or time.monotonic() + pause > end:
                raise
            sleep(pause)


def verdict(
    client: Client, event: Json, number: int, patience: float, sleep: Callable[[float], None] = time.sleep
) -> Json:
    """What it led to as signal `number`, or when it was told before. Raises NoVerdict after `patience` seconds, and
    CannotAsk."""
    end, pauses = time.monotonic() + patience, iter(POLLS)
    while True:
        pause = next(pauses, POLLS[-1])
        try:
            found = client.outcome(event["source"], event["id"])
            if found is not None and (found["result"] != "kept" or found["number"] >= number):
                return found
        except CannotAsk as error:
            if error.problem.get("status", 503) not in TRY_AGAIN or time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise NoVerdict(f"after {patience:g} s nothing is said of the signal {event['id']}")
        sleep(pause)


def missed(outcome: Json) -> bool:
    """Whether it reached no rollout at all: not even one that asks for no deploys any more, which `why` names."""
    return outcome["result"] == "kept" and not outcome["why"].startswith("rollout ")
