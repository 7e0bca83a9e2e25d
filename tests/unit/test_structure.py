"""The shape of the code, held by reading it: who imports whom, and what the pure parts may not touch.

One rule: this reads source, it imports nothing of ours. Imports inside functions and under TYPE_CHECKING count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("events", "projections", "services", "tests", "benchmarks", "docs")
OURS = ("events", "projections", "services", "tests", "benchmarks", "cutover_openfeature")
PURE = ("events", "projections", "services.rollout")
CLIENT = ROOT / "clients" / "python"
IMPURE = {"nats", "faststream", "asyncio", "time", "os", "random", "logging", "secrets", "socket", "subprocess"}

MODULES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py") if "node_modules" not in p.parts)


def name_of(path: Path) -> str:
    """`services/rollout/state.py` -> `services.rollout.state`; a package by its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that the file imports."""
    package = name_of(path).split(".")
    return imported(tree(path), package if path.name == "__init__.py" else package[:-1])


def imported(source: ast.Module, package: list[str]) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import, however deep; `from a import b` gives `a.b`."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def in_room(*rooms: str) -> list[Path]:
    return [path for path in MODULES if any(within(name_of(path), room) for room in rooms)]


def imported_from_us(room: str, allowed: tuple[str, ...]) -> list[str]:
    """Every import in `room` of a module of ours that is not in `allowed`, as `file:line imports name`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in in_room(room)
        for line, name in imports(path)
        if any(within(name, ours) for ours in OURS) and not any(within(name, room) for room in allowed)
    ]


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("events", ("events",)),
        ("projections", ("events", "projections")),
        ("services.rollout", ("events", "services.rollout")),
        ("services", ("events", "projections", "services")),
        ("services.flags", ("events", "projections", "services.flags", "services.log", "services.ending")),
        ("services.plan", ("events", "projections", "services.plan", "services.rollout")),
    ],
)
def test_imports_go_one_way(room: str, allowed: tuple[str, ...]) -> None:
    assert imported_from_us(room, allowed) == []


def test_the_edges_are_put_together_in_one_place_and_asking_cannot_decide() -> None:
    edges = ("services.api", "services.cli", "services.demo", "services.up")
    inside = [path for path in in_room("services") if not any(within(name_of(path), edge) for edge in edges)]
    found = [(path, name) for path in inside for _, name in imports(path) if any(within(name, edge) for edge in edges)]
    found += [(p, name) for p in in_room("services.views") for _, name in imports(p) if within(name, "services.engine")]
    assert found == []


def test_the_pure_parts_touch_no_clock_no_network_and_no_chance() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in in_room(*PURE)
        for line, name in imports(path)
        if name.split(".")[0] in IMPURE
    ]
    assert found == []


def test_the_pure_parts_never_ask_what_time_it_is() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls .{node.func.attr}()"
        for path in in_room(*PURE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today"}
    ]
    assert found == []


def test_events_need_msgspec_and_the_standard_library_alone() -> None:
    allowed = {"msgspec", "events", *sys.stdlib_module_names}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in in_room("events")
        for line, name in imports(path)
        if name.split(".")[0] not in allowed
    ]
    assert found == []


def test_the_client_shares_no_code_and_needs_four_libraries() -> None:
    """It is installed into applications: what it speaks is the published format."""
    allowed = {"cutover_openfeature", "openfeature", "nats", "msgspec", "mmh3", *sys.stdlib_module_names}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted(CLIENT.rglob("*.py"))
        for line, name in imported(tree(path), package=["cutover_openfeature"])
        if name.split(".")[0] not in allowed
    ]
    assert found == []


def test_the_client_is_small_enough_to_be_read_in_one_sitting() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in CLIENT.rglob("*.py")}
    assert lines
    assert {name: count for name, count in lines.items() if count > 200} == {}
    assert sum(lines.values()) <= 1_300


def test_the_environment_is_read_in_one_place() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} reads os.{node.attr}"
        for path in in_room("events", "projections", "services")
        if name_of(path) != "services.settings"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert found == []


def test_every_module_says_what_it_is_about() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(tree(path))
    ]
    assert silent == []


def test_no_module_is_named_for_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
    assert [str(path.relative_to(ROOT)) for path in MODULES if path.stem in vague or path.parent.name in vague] == []


def test_this_check_sees_imports_inside_functions_and_relative_ones() -> None:
    source = ast.parse("def f():\n    import services.engine.engine\n\ndef g():\n    from ..codec import decode\n")
    assert [name for _, name in imported(source, package=["events", "plan"])] == [
        "services.engine.engine",
        "events.codec.decode",
    ]
