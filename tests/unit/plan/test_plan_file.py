"""Plan files: YAML 1.2 core, line numbers, traps, limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plan.schema import Plan
from services.plan.file import PlanFileError, parse, read

SEED = Path(__file__).parents[3] / "plans" / "vaos-service-integration.yaml"


def told(text: str | bytes) -> list[str]:
    with pytest.raises(PlanFileError) as caught:
        parse(text, name="plan.yaml")
    return str(caught.value).splitlines()


def test_every_problem_has_its_line() -> None:
    text = "title: A plan\nstagse: 3\nrollout:\n  stages:\n  - 5%\n  - to: 300%\n  lenght: 1 day\n"
    assert told(text) == [
        "plan.yaml:2: stagse: is not a field here",
        "plan.yaml:6: rollout / stages / 2 / to: expected a percentage from 0 to 100, found '300%'",
        "plan.yaml:7: rollout / lenght: is not a field here; the nearest is 'length'",
    ]


def test_a_missing_field_has_the_line_of_its_part() -> None:
    assert told("title: A plan\nprerequisites:\n- Ready\n- attested_by: Ann\n") == [
        "plan.yaml:4: prerequisites / 2 / text: is missing"
    ]


def test_findings_and_gaps_have_lines_too() -> None:
    file = read(SEED.read_bytes(), default_id=SEED.stem)
    lines = SEED.read_text().splitlines()
    for gap in file.plan.gaps:
        assert "TBD" in lines[file.line((gap.path,)) - 1]
    assert lines[file.line(("rollout", "stages", 0, "to")) - 1].strip().startswith("stages:")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("title: A\nreport_issues:\n- channel: #vaos-team\n", "plan.yaml:3: report_issues / 1 / channel: nothing is"),
        ("title: A\nreport_issues:\n- channel: #vaos-team\n", 'write "#vaos-team" in quotes'),
        ("title: A\nreport_issues:\n- notify: @vaos-fe-all\n", 'text that begins with @ needs quotes: "@vaos-fe-all"'),
        ("title: A\nrollback:\n  triggers:\n  - > 50% errors\n", "text that begins with > needs quotes"),
        ("title: A\nreminders:\n- %done is shown\n", "text that begins with % needs quotes"),
        ("title: A\nreminders:\n- *important* letter\n", "text that begins with * needs quotes"),
        ("title: Phase I: Code\n", "a text with a colon in it needs quotes"),
        ("title: A\ndeploy:\n\tservices: [a]\n", "indent with spaces, not tabs"),
        ("title: A\nreminders: [Is it?, b]\n", "inside [...] and {...} a text with a question mark needs quotes"),
        ("title: A\nreminders: [a, b\ntasks: []\n", "not YAML"),
        ("title: !!python/object:os.system A\n", "expected no tags"),
        ("title: A\n---\ntitle: B\n", "plan.yaml:2: expected one plan, found a second document"),
        ("title: A\ntitle: B\n", "plan.yaml:2: title: is written twice; first on line 1"),
        ("", "expected a plan, found nothing"),
        ("- a\n- b\n", "found a list"),
        (b"title: \xff", "plan.yaml:1: expected text in UTF-8"),
        ("title: \x07", "not YAML"),
        ('title: "\\u0007"', "a character that cannot be shown"),
        ('title: "\\ud800"', ""),
    ],
)
def test_a_trap_of_yaml_is_explained(text: str | bytes, hint: str) -> None:
    if hint:
        assert any(hint in line for line in told(text))
    else:
        assert parse(text, default_id="a").title == "\ufffd"


def test_scalars_are_those_of_yaml_12() -> None:
    plan = parse(
        "title: A\nprerequisites: [yes, no, on, 'true', 10:30, 2022-08-01, 0123, 1_000]\n"
        "go_no_go: {questions: [{text: 'Is it?', must_be: no}]}\ndraft: true\n"
    )
    assert [item.text for item in plan.prerequisites] == [
        "yes",
        "no",
        "on",
        "true",
        "10:30",
        "2022-08-01",
        "0123",
        "1_000",
    ]
    assert plan.go_no_go.questions[0].must_be == "no"
    assert plan.draft is True


def test_json_is_read_and_its_errors_are_jsons() -> None:
    plan = parse('{\n\t"title": "A \\ud83d\\ude00 plan",\n\t"toggles": ["a"]\n}')
    assert plan.title == "A 😀 plan"
    (line,) = told('{"title": "A",\n\t"toggles": ["a",]}')
    assert line.startswith("plan.yaml:2: not JSON: ")
    assert told('{\n\t"title": "A", "title": "B"}') == ["plan.yaml: 'title' is written twice"]


def test_a_billion_laughs_are_cut_short() -> None:
    levels = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (line,) = told("\n".join(levels))
    assert "expected at most 20,000 values, counting repeated ones" in line


def test_an_anchor_cannot_hold_itself() -> None:
    assert any("repeats something that is not there" in line for line in told("title: &a [*a]\n"))


def test_an_anchor_may_save_writing() -> None:
    plan = parse("title: A\ndeploy: {services: &all [a, b]}\nrollout: {monitored_by: *all}\n")
    assert plan.rollout.monitored_by == ("a", "b")


@pytest.mark.parametrize("deep", ["[" * 10_000, '{"a":' * 10_000, "\n".join("  " * n + "a:" for n in range(400))])
def test_depth_is_bounded(deep: str) -> None:
    assert any("nested more than 24 deep" in line for line in told(deep))


def test_size_is_bounded() -> None:
    assert told("# " + "x" * 1_000_000) == ["plan.yaml: a plan has at most 256 KiB, found 977 KiB"]


def test_a_plan_at_the_limit_is_read() -> None:
    users = "\n".join(f"    - user-{n:06d}" for n in range(2_000))
    plan = parse(f"title: A\ngroups:\n  Many:\n    users:\n{users}\n")
    assert len(plan.groups["Many"].users) == 2_000


@pytest.mark.timeout(1_800)
@given(st.text() | st.text(alphabet="abc:-[]{}#&*!|>'\"%@`, \n\t\\0123456789"))
def test_any_text_gives_a_plan_or_a_plan_file_error(text: str) -> None:
    for source in (text, text.encode(), f"title: A\nreminders:\n- {text}"):
        try:
            parse(source)
        except PlanFileError as error:
            assert error.problems  # noqa: PT017


@pytest.mark.timeout(1_800)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_json_and_yaml_agree(data: Any) -> None:
    outcomes: list[Plan | set[str]] = []
    for source in (json.dumps({"title": "A", "links": data}), json.dumps({"title": "A", "links": data}, indent="\t")):
        try:
            outcomes.append(parse(source))
        except PlanFileError as error:
            outcomes.append({problem.text for problem in error.problems})
    assert outcomes[0] == outcomes[1]
