"""Alerts of Alertmanager and Grafana: each for itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from events.signals import NoRule, Shown, Trouble
from services.intake.alertmanager import meaning, origin, read, split
from services.intake.wrong import NotUnderstood


def alert(status: str = "firing", fingerprint: str = "f1", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "Breaker", **labels},
        "annotations": {"summary": "the breaker is open"},
        "startsAt": "2026-03-20T14:27:05.315Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": fingerprint,
    }


def group(*alerts: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"version": "4", "groupKey": "{}", "status": "firing", "alerts": alerts, **more})


def said(one: dict[str, Any]) -> Any:
    found = read(msgspec.json.encode(one))
    return meaning(found, origin(found))


def test_each_alert_of_a_group_is_a_signal_by_its_own_status() -> None:
    body = group(alert(service="api"), alert("resolved", "f2", service="api"))
    assert [came.id for came, _ in split(body)] == [
        "f1/2026-03-20T14:27:05.315Z/firing",
        "f2/2026-03-20T14:27:05.315Z/resolved",
    ]


def test_grafana_sends_the_same_with_more_beside_it() -> None:
    one = {**alert(service="api"), "values": {"B": 11.5}, "silenceURL": "https://grafana/silence", "dashboardURL": ""}
    (found,) = split(group(one, version="1", orgId=1, title="[FIRING:1]", state="alerting", message="text"))
    assert found[0].source == "alerts"


def test_a_firing_alert_that_names_a_service_is_trouble() -> None:
    found = said(alert(service="api", environment="production"))
    assert isinstance(found, Trouble)
    assert (found.service, found.environment, found.about) == ("api", "production", "Breaker")


def test_an_alert_may_name_its_rollout() -> None:
    assert said(alert(rollout="small")).rollout == "small"


def test_a_resolved_alert_is_evidence_about_the_trouble_that_fired() -> None:
    fired, over = said(alert(service="api")), said(alert("resolved", service="api"))
    assert isinstance(over, Shown)
    assert (over.of, over.about, over.outcome) == (fired.of, fired.about, "resolved")


def test_an_alert_of_quiet_severity_halts_nothing() -> None:
    assert isinstance(said(alert(service="api", severity="info")), Shown)


def test_an_alert_that_names_nothing_of_ours_is_kept() -> None:
    assert isinstance(said(alert()), NoRule)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"{",
        group({"status": "firing"}),
        group({**alert(), "status": "odd"}),
        group({**alert(), "labels": 1}),
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        split(body)
