"""How the command line ends, and what it prints when it cannot do what was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli import app
from services.cli.workflows import parse_workflows
from services.client import CannotAsk
from services.people.vault import hmac_key

NOWHERE = {"CUTOVER_URL": "http://127.0.0.1:1", "CUTOVER_TOKEN": "", "CUTOVER_DATA": "/nonexistent"}


def run(*words: str, env: dict[str, str] | None = None) -> Any:
    return CliRunner().invoke(app, list(words), env={**NOWHERE, **(env or {})})


def test_a_service_that_is_not_there_is_exit_2_and_says_where_it_was_looked_for_and_how_to_start_one() -> None:
    result = run("status", "some-rollout")
    assert result.exit_code == 2
    assert result.stdout == ""
    for words in ("http://127.0.0.1:1", "cutover up", "CUTOVER_URL"):
        assert words in result.stderr


def test_with_json_stdout_holds_one_value_even_when_nothing_could_be_asked() -> None:
    result = run("list", "--json")
    assert result.exit_code == 2
    assert "http://127.0.0.1:1" in json.loads(result.stdout)["title"]


@pytest.mark.parametrize(
    "words",
    [
        ("attest", "some-rollout"),
        ("decide", "some-rollout", "perhaps"),
        ("close", "some-rollout", "keep", "--sen", "4"),
        ("cut-over", "some-rollout", "--seen", "yesterday"),
        ("cut-across", "some-rollout"),
        ("demo", "--pace", "quickly"),
    ],
)
def test_what_is_not_understood_is_exit_2(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr != ""


def test_the_local_admin_token_is_used_only_on_this_machine_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text("cut_secret")
    here = run("note", "some-rollout", "x", env={"CUTOVER_DATA": str(tmp_path)})
    assert "Asking as admin" in here.stderr
    there = run(
        "note", "some-rollout", "x", env={"CUTOVER_DATA": str(tmp_path), "CUTOVER_URL": "http://cutover.invalid:1"}
    )
    mine = run("note", "some-rollout", "x", env={"CUTOVER_DATA": str(tmp_path), "CUTOVER_TOKEN": "cut_mine"})
    assert "Asking as admin" not in there.stderr + mine.stderr
    assert "cut_secret" not in here.output + there.output + mine.output


def test_a_plan_that_is_none_is_exit_1_with_every_problem_and_its_line(tmp_path: Path) -> None:
    plan = tmp_path / "release.yaml"
    plan.write_text("titel: Release\nstages: 5\n")
    result = run("plan", "check", str(plan), "--json")
    assert result.exit_code == 1
    assert [problem["line"] for problem in json.loads(result.stdout)["problems"]] == [0, 1, 2]
    assert "nearest is 'title'" in result.stderr
    assert run("adopt", str(plan)).exit_code == 1


def test_a_plan_that_cannot_be_read_is_exit_2(tmp_path: Path) -> None:
    assert run("plan", "check", str(tmp_path / "none.yaml")).exit_code == 2


def test_a_starter_is_written_once_and_can_be_checked(tmp_path: Path) -> None:
    plan = tmp_path / "my-release.yaml"
    assert run("plan", "new", str(plan)).exit_code == 0
    assert run("plan", "check", str(plan)).exit_code == 0
    written = plan.read_bytes()
    assert run("plan", "new", str(plan)).exit_code == 1
    assert plan.read_bytes() == written
    assert run("plan", "new").stdout.encode() == written


def test_the_schema_is_json() -> None:
    result = run("plan", "schema")
    assert result.exit_code == 0
    assert "title" in result.stdout
    assert json.loads(result.stdout)["$schema"].startswith("https://json-schema.org/")


def test_a_workflow_is_read_with_its_load_times_and_remarks() -> None:
    found = parse_workflows(
        ["View upcoming...=done,1.2s, 900ms", "a=b=failed,waived: the clinic was closed, as known,errors: 404"]
    )
    assert found == [
        {"workflow": "View upcoming", "done": True, "load_times": [1.2, 0.9]},
        {"workflow": "a=b", "done": False, "waived": "the clinic was closed, as known", "errors": "404"},
    ]


@pytest.mark.parametrize("text", ["View", "View=maybe", "View=done,fast", "=done"])
def test_a_workflow_that_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(CannotAsk, match="--workflow"):
        parse_workflows([text])


def test_the_tester_key_is_printed_alone_where_the_vault_is_and_never_made(tmp_path: Path) -> None:
    nowhere = run("tester-key", "--data", str(tmp_path))
    assert nowhere.exit_code == 2
    assert "vault.keycannotberead" in "".join(nowhere.stderr.split())  # the path may be broken over lines
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "vault.key").write_bytes(bytes(range(32)))
    printed = run("tester-key", "--data", str(tmp_path))
    assert printed.stdout == f"{hmac_key(bytes(range(32))).hex()}\n"
    assert json.loads(run("tester-key", "--json", "--data", str(tmp_path)).stdout) == {
        "tester_key": printed.stdout.strip()
    }
