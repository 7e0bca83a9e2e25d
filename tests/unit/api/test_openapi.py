"""The OpenAPI document: complete, valid, and with examples that are examples."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import httpx
import openapi_spec_validator
import pytest

from events.facts import Fact
from services.api import app as api
from services.api.openapi import OFFERED, routes_of
from services.api.problems import TITLES
from services.api.reads.described import OPERATIONS
from services.api.reads.front import PATHS
from services.api.service import Service
from tests.openapi_contract import CONTRACT

ROOT = Path(__file__).parents[3]
DOCUMENT = CONTRACT.document


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where an example stands, its schema, and itself."""
    for name, operation in operations():
        for param in operation["parameters"]:
            if "example" in param:
                yield f"{name} {param['name']}", param["schema"], param["example"]
        sent = operation.get("requestBody", {"content": {}})
        for said in (sent, *operation["responses"].values()):
            for kind, content in said.get("content", {}).items():
                where = f"{name} {kind} {said['description']}"
                if "example" in content:
                    yield where, content["schema"], content["example"]
                for word, example in content.get("examples", {}).items():
                    yield f"{where} {word}", content["schema"], example["value"]


def test_it_is_valid() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_it_has_every_route() -> None:
    routes = {(route.method, route.path) for route in routes_of(api.routes(cast(Service, object())))}
    assert routes == {tuple(name.split(" ")) for name, _ in operations()}
    assert set(OPERATIONS) == set(PATHS)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)
    assert [name for name, operation in operations() if len(operation["summary"]) < 10] == []


def schemas(part: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from schemas(each)


def test_client_generators_find_a_class_name_for_every_component() -> None:
    components = DOCUMENT["components"]["schemas"]
    assert [name for name in components if not name.isidentifier()] == []
    titles = [schema.get("title", name) for name, schema in components.items()]
    assert sorted({title for title in titles if titles.count(title) > 1}) == []


def test_nothing_stops_client_generators() -> None:
    """`items: false` and whole numbers as `const` are valid, and make some of them leave things out or give up."""
    found = list(schemas(DOCUMENT))
    assert [each for each in found if each.get("items") is False] == []
    assert [each for each in found if isinstance(each.get("const"), int)] == []


EXAMPLES = list(examples())


@pytest.mark.parametrize(("where", "schema", "example"), EXAMPLES, ids=[where for where, _, _ in EXAMPLES])
def test_every_example_is_one(where: str, schema: dict[str, Any], example: Any) -> None:
    CONTRACT.validator(where, schema).validate(example)


@pytest.mark.parametrize(("name", "union", "tag"), [("Fact", Fact, "fact"), ("Command", OFFERED, "type")])
def test_facts_and_commands_are_told_apart_by_their_tags(name: str, union: Any, tag: str) -> None:
    found = DOCUMENT["components"]["schemas"][name]
    assert found["discriminator"]["propertyName"] == tag
    assert set(found["discriminator"]["mapping"]) == {str(kind.__struct_config__.tag) for kind in get_args(union)}


def test_every_problem_has_a_place() -> None:
    named: set[str] = set()
    for _, operation in operations():
        for said in operation["responses"].values():
            schema = said.get("content", {}).get("application/problem+json", {}).get("schema", {})
            for part in schema.get("allOf", ()):
                named.update(
                    slug.removeprefix("/problems/")
                    for slug in part.get("properties", {}).get("type", {}).get("enum", ())
                )
    assert set(TITLES) - named == {"internal", "head-too-large", "gone"}  # of any operation; of any pin


async def test_it_is_served_to_anybody(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"] == DOCUMENT["paths"]


def test_its_version_is_that_of_the_service() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["info"]["version"] == project["version"]
