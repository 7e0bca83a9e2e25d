"""Whatever the bytes of a request are: a command, or words about what is wrong with them."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.problems import Failed
from services.api.reading import KINDS, OFFERED, read_command, read_written_plan
from services.rollout.commands import Command, RecordSession, ReportDeploy

WORDS = sorted({name for kind in KINDS.values() for name in kind.__struct_fields__} | {"workflow", "done", "title"})
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(), inner, max_size=4),
    max_leaves=12,
)
commands = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from([*KINDS, "cut-over", ""]),
    st.dictionaries(st.sampled_from(WORDS), anything, max_size=5),
)


@given(commands | anything)
def test_any_json_is_a_command_or_a_problem(data: Any) -> None:
    with contextlib.suppress(Failed):
        assert isinstance(read_command(msgspec.json.encode(data), "small"), Command)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_problem(data: bytes) -> None:
    with pytest.raises(Failed) as failed:
        read_command(data, "small")
    assert failed.value.problem.status in (400, 422)


@given(anything | commands, st.booleans())
def test_any_data_is_a_plan_or_a_problem(data: Any, is_json: bool) -> None:
    with contextlib.suppress(Failed):
        assert read_written_plan(msgspec.json.encode(data), is_json=is_json, default_id="small").id


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_plan_or_a_problem(data: bytes, is_json: bool) -> None:
    with contextlib.suppress(Failed):
        assert read_written_plan(data, is_json=is_json, default_id="small").id


def test_every_command_but_those_of_the_services_own_parts_is_offered() -> None:
    assert set(KINDS) - set(OFFERED) == {"remind", "record_delivery"}


def test_a_whole_command_is_read() -> None:
    body = b'{"type":"report_deploy","service":"web","version":"1","evidence":[{"kind":"ci"}],"seen":4}'
    found = read_command(body, "small")
    assert isinstance(found, ReportDeploy)
    assert found.evidence[0].kind == "ci"
    assert (found.seen, found.environment) == (4, "production")
    session = b'{"type":"record_session","session":"s","workflows":[{"workflow":"w","done":true,"load_times":[1,2.5]}]}'
    recorded = read_command(session, "small")
    assert isinstance(recorded, RecordSession)
    assert recorded.workflows[0].load_times == (1.0, 2.5)


def test_a_stored_plan_is_held_to_what_a_written_one_is() -> None:
    plan = {"title": "x", "id": "huge", "toggles": [{"key": "h1"}], "deploy": {"watch": [{"until": 10**12}]}}
    with pytest.raises(Failed) as failed:
        read_written_plan(msgspec.json.encode(plan), is_json=True, default_id="")
    assert failed.value.problem.status == 422
    assert (
        "deploy / watch / 1 / until: expected a span of time from 0"
        in msgspec.json.encode(failed.value.problem).decode()
    )
