"""The documents agree with the code: generated parts are of today, tables are complete, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest

from docs.generate import pages
from projections.cloudevents import type_of, types
from services.api import app as api
from services.api.problems import TITLES
from services.api.reads.front import PATHS
from services.api.service import Service

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "clients/python/README.md"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", CLIENT, *(ROOT / "docs").rglob("*.md")])
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_document_is_of_today(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages()[path], "run `make docs`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    lost = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert lost == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path.suffix != ".md" or path in reached:
            continue
        reached.add(path)
        links = re.findall(r"\]\(([^)#\s]+\.md)", path.read_text(encoding="utf-8"))
        waiting += [(path.parent / link).resolve() for link in links if "://" not in link]
    assert [path for path in DOCUMENTS if path not in reached and path.name != "CHANGELOG.md"] == []


def test_the_settings_page_names_every_variable_and_no_other() -> None:
    read = set(re.findall(r'"(CUTOVER_\w+)"', (ROOT / "services/settings.py").read_text(encoding="utf-8")))
    named = re.findall(r"^\| `(CUTOVER_\w+)` \|", (REFERENCE / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) == read


def test_the_http_page_names_every_route_and_no_other() -> None:
    routes = set(PATHS) | {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in api.routes(cast(Service, object())).routes
        for method in route.methods
        if method not in ("OPTIONS", "HEAD")
    }
    page = (REFERENCE / "http.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([A-Z]+)` \| `([^`]+)` \|", page, re.MULTILINE)) == routes


def test_the_events_page_names_every_type_and_no_other() -> None:
    page = (REFERENCE / "events.md").read_text(encoding="utf-8").split("## The types")[1]
    named = [word for line in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for word in re.findall(r"`(\w+)`", line)]
    assert {type_of(name) for name in named} == set(types())


def test_the_http_page_names_every_problem_with_its_status() -> None:
    page = (REFERENCE / "http.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page, re.MULTILINE)
    assert {name: int(status) for name, status in named} == {name: status for name, (status, _) in TITLES.items()}
