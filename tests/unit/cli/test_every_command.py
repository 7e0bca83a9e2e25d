"""Every command of the command line: it has help, an example that works, and its place in the reference."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest
import typer

from services.cli.app import app
from services.cli.reference import FOLDER, files, leaves
from services.cli.verbs import COMMANDS, _message, own_fields
from services.cli.wording import FIELDS, VERBS
from services.rollout.commands import Command

ROOT = typer.main.get_command(app)
ALL = dict(leaves(ROOT))
NAMES = [" ".join(path) for path in ALL]


def parsed(words: list[str]) -> Any:
    """The context of a command line that is understood; nothing is carried out."""
    command: Any = ROOT
    context = None
    while hasattr(command, "commands"):
        context = command.make_context(words[0] if context else "cutover", [], parent=context, resilient_parsing=True)
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_an_example_that_is_understood(name: str) -> None:
    command = ALL[tuple(name.split())]
    assert command.help
    assert command.epilog.startswith(f"Example: cutover {name}"), f"{name} has no example"
    words = shlex.split(command.epilog.removeprefix("Example: cutover ").split(" > ")[0])
    assert parsed(words).command is command


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_and_option_says_what_it_is(name: str) -> None:
    for param in ALL[tuple(name.split())].params:
        assert param.help or param.name == "help", f"{name}: {param.name} has no help"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_json(name: str) -> None:
    assert "--json" in {option for param in ALL[tuple(name.split())].params for option in param.opts}


def test_every_command_but_the_clocks_has_a_verb() -> None:
    assert set(VERBS) == set(COMMANDS)
    assert {tag.replace("_", "-") for tag in COMMANDS} <= set(NAMES)
    assert "remind" not in NAMES


def test_every_field_has_its_words() -> None:
    known = {field.name for command in COMMANDS.values() for field in own_fields(command)}
    assert known == set(FIELDS)


@pytest.mark.parametrize("tag", [tag for tag in VERBS if tag not in ("adopt", "revise_plan")])
def test_what_a_verb_sends_is_the_command_it_is_named_for(tag: str) -> None:
    given = parsed([tag.replace("_", "-"), *shlex.split(VERBS[tag][1])]).params
    rollout = given.pop("rollout")
    sent = _message(tag, {k: v for k, v in given.items() if k not in ("command_id", "as_json")})
    command = msgspec.convert(sent, Command)
    assert rollout == "vaos-service-integration"
    assert type(command) is COMMANDS[tag]


def test_required_fields_are_arguments_in_order_and_the_others_options() -> None:
    params = {param.name: param.param_type_name for param in ALL["record-result",].params}
    assert list(params)[:3] == ["rollout", "item", "value"]
    assert [params[name] for name in ("rollout", "item", "value", "step")] == ["argument"] * 3 + ["option"]


@pytest.mark.parametrize("name", files())
def test_the_committed_reference_is_current(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == files()[name], "run: python -m services.cli.reference"


def test_the_reference_names_every_command() -> None:
    text = files()["cli.md"]
    assert [name for name in NAMES if f"## cutover {name}\n" not in text] == []
