"""A plan in its stored form keeps to all that a written one must."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from events.plan.bounds import bounds
from events.plan.checks import check
from events.plan.reading import read_plan
from events.plan.schema import Plan

WRITTEN = {
    "title": "A plan",
    "toggles": {"one": "", "two": ""},
    "prerequisites": ["it is live", "it is approved"],
    "go_no_go": {"decided_by": ["Product Owner"], "valid_for": "2 days"},
    "criteria": {"errors": {"below": "5%", "per": "any 10 minutes", "query": "errors", "breaches": "2 of 3"}},
    "deploy": {"services": ["api"], "criteria": ["errors"], "watch": [{"until": "24 hours"}], "date": "2026-03-02"},
    "testing": {"workflows": ["book"], "sessions": {"length": "15 to 30 minutes"}},
    "groups": {"clinic": {"attribute": "facility", "any_of": ["983"]}},
    "rollout": {"length": "1 to 2 days", "stages": ["clinic", "5% to 25%", "everyone"]},
    "go_live": {"kpis": ["bookings"], "experiment": {"ends_after": "1 week"}},
    "freezes": [{"first": "2026-11-24", "last": "2026-11-30"}],
}
STORED = msgspec.to_builtins(read_plan(WRITTEN, default_id="a-plan"))
TEN_YEARS = 316_224_000


def with_value(path: str, value: Any) -> Plan:
    """The stored plan with another value at "rollout/stages/0/to"."""
    data = msgspec.json.decode(msgspec.json.encode(STORED))
    place = data
    *steps, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for step in steps:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[last] = value
    return msgspec.convert(data, Plan)


def errors(plan: Plan) -> list[str]:
    return [finding.words() for finding in check(plan) if finding.level == "error"]


def test_what_was_read_is_within_bounds() -> None:
    plan = msgspec.convert(STORED, Plan)
    assert list(bounds(plan)) == []
    assert errors(plan) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("deploy/watch/0/until", 10**12),
        ("go_live/results_after", [{"text": "1 week", "seconds": 10**12}]),
        ("go_live/experiment/ends_after", 10**12),
        ("go_live/experiment/ends_after", -1),
        ("testing/sessions/toggles_on", -7200),
        ("testing/sessions/toggles_off", TEN_YEARS + 1),
        ("go_no_go/valid_for", -5),
        ("rollout/length/at_most", -1),
        ("criteria/errors/fresh", 10**18),
        ("criteria/errors/every", 10**12),
    ],
)
def test_every_span_of_time_is_from_nothing_to_ten_years(path: str, value: Any) -> None:
    found = errors(with_value(path, value))
    assert any(f"from 0 to {TEN_YEARS:,} seconds (ten years), found the number" in text for text in found), found


def test_a_span_of_ten_years_is_possible() -> None:
    assert errors(with_value("go_no_go/valid_for", TEN_YEARS)) == []


def test_an_error_names_the_place_what_is_expected_and_what_was_found() -> None:
    assert errors(with_value("deploy/watch/0/until", 10**12)) == [
        "deploy / watch / 1 / until: expected a span of time from 0 to 316,224,000 seconds (ten years), "
        "found the number 1000000000000"
    ]


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("freezes/0/last", "2022-99-99", "freezes / 1 / last: expected a day that exists, found '2022-99-99'"),
        ("freezes/0/last", "9999-12-31", "freezes / 1 / last: expected a year from 1970 to 9000, found '9999-12-31'"),
        ("freezes/0/last", "2026-11-30\n", "freezes / 1 / last: expected a day such as 2022-11-24, found"),
        ("deploy/date/first", "soon", "deploy / date / first: expected a day such as 2022-11-24, found 'soon'"),
        ("rollout/stages/1/percentage", 500.0, "rollout / stages / 2 / percentage: expected a percentage from 0"),
        ("rollout/stages/1/up_to", -5.0, "rollout / stages / 2 / up_to: expected a percentage from 0 to 100"),
        ("testing/testers", -1, "testing / testers: expected a number from 0 to 1,000,000, found the number -1"),
        ("go_no_go/before", ["nonsense"], "go_no_go / before: expected one of testing, first stage, every"),
        ("go_no_go/before", ["stage-2"], "found 'stage-2'"),
        ("rollout/length", {"at_least": 60, "at_most": 30}, "rollout / length / at_most: expected at least 60 seconds"),
        ("toggles/0/key", "one\n", "toggles / 1 / key: expected [A-Za-z0-9._-]{1,250}, found the text 'one\\n'"),
        ("title", "A\x07plan", "title: holds a character that cannot be shown: '\\x07'"),
        ("links", {"a\x07": "b"}, "holds a character that cannot be shown: '\\x07'"),
        ("reminders", ["x"] * 2_001, "reminders: expected at most 2,000 entries, found 2,001"),
        ("prerequisites/1/id", "it-is-live", "prerequisites / 2 / id: 'it-is-live' is the id of something else"),
        ("prerequisites/1/id", "", "prerequisites / 2 / id: expected small letters, digits and hyphens, found ''"),
        ("criteria/errors/name", "other", "criteria / errors / name: expected 'errors', found 'other'"),
        ("criteria/errors/per_seconds", 0, "criteria / errors / per_seconds: expected 600, as the words say, found 0"),
        ("criteria/errors/per", "lately", "criteria / errors / per: expected a window of time"),
        ("criteria/errors/breaches_needed", 0, "criteria / errors / breaches: expected some of at most 100, found 0"),
        ("criteria/errors/breaches_of", 4, "criteria / errors / breaches_of: expected 3, as the words say, found 4"),
        ("criteria/errors/between", [{"value": 5}, {"value": 1}], "between: expected the lower number first"),
        ("criteria/errors/below/value", float("nan"), "errors / below: expected a number within reach, found nan"),
        ("go_live/kpis/0/name", "", "go_live / kpis / 1 / name: is missing"),
        ("rollout/stages/2/to", "10%", "rollout / stages / 3 / percentage: expected 10, as `to` says ('10%')"),
        ("rollout/stages/2/to", "clinic", "rollout / stages / 3 / group: expected 'clinic', as `to` says ('clinic')"),
        ("rollout/stages/2/to", "500%", "rollout / stages / 3 / to: expected a percentage from 0 to 100, found '500%'"),
        ("toggles", [], "toggles: no toggle is named"),
    ],
)  # fmt: skip
def test_what_no_written_plan_can_say_is_refused(path: str, value: Any, error: str) -> None:
    found = errors(with_value(path, value))
    assert any(error in text for text in found), found
