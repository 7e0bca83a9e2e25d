"""The schema for editors and the starter keep up with what reading understands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from events.plan.checks import check
from events.plan.written import json_schema, starter
from services.plan.file import parse

PLANS = sorted((Path(__file__).parents[3] / "plans").glob("*.yaml"))


def test_the_starter_reads_and_has_nothing_but_gaps() -> None:
    plan = parse(starter('Forms: "the next" one'), default_id="forms")
    assert plan.title == "Forms: 'the next' one - Release Plan"
    assert {finding.level for finding in check(plan)} == {"gap"}


def test_the_schema_is_json_and_points_only_at_what_it_defines() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for name in ("for", "toggles_on", "stop_above", "before_release_again"))
    assert "gaps" not in schema["properties"]
    assert "per_seconds" not in schema["$defs"]["Criterion"]["properties"]
    assert {part.split('"')[0] for part in text.split("#/$defs/")[1:]} <= set(schema["$defs"])


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_schema_accepts_the_example_plans(path: Path) -> None:
    validator = pytest.importorskip("jsonschema_rs", reason="comes with schemathesis; without it nothing validates")
    data: Any = yaml.load(path.read_text(), yaml.BaseLoader) | {"draft": True}
    assert [
        f"{error.instance_path}: {error.message}" for error in validator.validator_for(json_schema()).iter_errors(data)
    ] == []


def test_the_schema_refuses_an_unknown_field() -> None:
    validator = pytest.importorskip("jsonschema_rs", reason="comes with schemathesis; without it nothing validates")
    assert not validator.validator_for(json_schema()).is_valid({"title": "A plan", "stagse": []})
