"""compose.yaml, the Dockerfile and deploy/ name things that exist: roles, settings, accounts, files.

One rule: images cannot be pulled where these tests run, so what is said there is held against the code and, in
tests/connected/test_cluster.py, against a real cluster.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml

from services.cli.running import RoleName
from services.settings import Settings, from_environment

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = ("nats-1", "nats-2", "nats-3")
ROLES: tuple[str, ...] = get_args(RoleName)
USERS = (ROOT / "deploy/nats/users.conf").read_text(encoding="utf-8")
ACCOUNTS = (*ROLES, "init", "application")  # the last is for applications that evaluate flags in process
PASSWORDS = {f"CUTOVER_NATS_PASSWORD_{name.upper()}" for name in ACCOUNTS}

OF_EVERY_ROLE = {"CUTOVER_NATS", "CUTOVER_REPLICAS"}


def settings_of(role: str) -> set[str]:
    """What the page about scaling out says that the role reads."""
    page = (ROOT / "docs/how-to/run-scaled-out.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{role}` \|.*$", page, re.MULTILINE)
    return set(re.findall(r"`(CUTOVER_\w+)`", row))


def names_in_tables(page: str) -> set[str]:
    """The variables in the first cells of a page's tables."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`CUTOVER_[^|]*)\|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(CUTOVER_\w+)`", cell)}


def test_every_role_runs_as_a_service_and_no_service_runs_another() -> None:
    commands = {name: service["command"] for name, service in SERVICES.items() if name not in NODES}
    assert {name: command[:2] for name, command in commands.items() if name != "init"} == {
        role: ["run", role] for role in ROLES
    }
    assert commands["init"] == ["init"]


def test_the_page_about_scaling_out_names_every_role() -> None:
    page = (ROOT / "docs/how-to/run-scaled-out.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(ROLES)


@pytest.mark.parametrize("name", [*ROLES, "init"])
def test_a_service_connects_to_every_node_by_its_own_account(name: str) -> None:
    variable = f"CUTOVER_NATS_PASSWORD_{name.upper()}"
    expected = ",".join(f"nats://{name}:${{{variable}}}@{node}:4222" for node in NODES)
    assert SERVICES[name]["environment"]["CUTOVER_NATS"] == expected


@pytest.mark.parametrize("name", [*ROLES, "init"])
def test_a_service_is_given_settings_that_cutover_reads(name: str) -> None:
    settings = from_environment(SERVICES[name]["environment"])
    assert settings.replicas == len(NODES)
    given = msgspec.structs.asdict(settings)
    changed = {field for field, value in msgspec.structs.asdict(Settings()).items() if given[field] != value}
    assert len(changed) == len(SERVICES[name]["environment"])


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_given_every_setting_that_the_page_about_scaling_out_names_for_it(role: str) -> None:
    given = {name: value for name, value in SERVICES[role]["environment"].items() if name not in OF_EVERY_ROLE}
    assert given == {name: f"${{{name}:-}}" for name in settings_of(role)}


@pytest.mark.parametrize(
    ("page", "role"),
    [
        ("how-to/report-issues.md", "herald"),
        ("how-to/measure-criteria.md", "engine"),
        ("how-to/measure-criteria.md", "monitor"),
    ],
)
def test_what_other_pages_name_for_a_role_is_named_there_too(page: str, role: str) -> None:
    named = names_in_tables(page)
    assert named
    assert named <= settings_of(role)


def test_every_setting_of_the_reference_reaches_a_role_or_is_of_the_container_or_the_command_line() -> None:
    container = {"CUTOVER_DATA", "CUTOVER_NATS_SERVER", "CUTOVER_DATABASE", "CUTOVER_HOST", "CUTOVER_PORT"}
    others = OF_EVERY_ROLE | container | {"CUTOVER_TOKEN"}
    assert names_in_tables("reference/settings.md") - others == set().union(*map(settings_of, ROLES))


def test_a_setting_that_compose_hands_on_empty_is_unset() -> None:
    empty = dict.fromkeys(set().union(*map(settings_of, ROLES)), "")
    assert from_environment(empty) == Settings()


@pytest.mark.parametrize("node", NODES)
def test_a_node_starts_from_the_shared_configuration_and_knows_the_others(node: str) -> None:
    words = shlex.split(SERVICES[node]["command"])
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options["--name"] == node
    assert options["--routes"].split(",") == [f"nats://{other}:6222" for other in NODES]
    assert options["-c"] == "/etc/nats/cluster.conf"
    assert "./deploy/nats:/etc/nats:ro" in SERVICES[node]["volumes"]
    assert f"{node}:{options['-sd']}" in SERVICES[node]["volumes"]


def test_accounts_and_passwords_are_the_same_set() -> None:
    accounts = set(re.findall(r"user: (\w+), password: \$(\w+)", USERS))
    assert accounts == {(name, f"CUTOVER_NATS_PASSWORD_{name.upper()}") for name in ACCOUNTS}
    assert all(set(SERVICES[node]["environment"]) == PASSWORDS for node in NODES)


def test_the_passwords_script_makes_all_of_them_anew_each_time() -> None:
    runs = [
        subprocess.run(["sh", str(ROOT / "deploy/passwords")], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    first, second = (dict(line.split("=") for line in text.splitlines()) for text in runs)
    assert set(first) == PASSWORDS
    assert len(set(first.values()) | set(second.values())) == 2 * len(PASSWORDS)
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in first.values())


def test_the_image_copies_files_that_exist_and_that_docker_is_shown() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if re.match(r"COPY (?!--from)", line) for word in line.split()[1:-1]]
    shown = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert set(copied) == shown


def test_the_image_does_not_run_as_root() -> None:
    last_stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[-1]
    assert "\nUSER cutover\n" in last_stage
