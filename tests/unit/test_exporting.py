"""Exports of the trail: streamed, bounded in memory, and recognisable when they break off."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from projections.audit import AuditRow
from services.database import connect
from services.log.protocol import Entry
from services.projector.folding import Folding, machine
from services.projector.tables import begin_generation, drop_all_but_live, generation, live_position, prepare, swap
from services.views import exporting
from services.views.exporting import begun, exported
from services.views.trail import Filters, Page
from services.views.views import Views
from tests.histories import records

COUNT = 3000


def folded(engine: Engine, number: int, count: int = COUNT) -> None:
    """The first records of the same histories, in this generation."""
    entries = [Entry(n, one.rollout, one.data) for n, one in enumerate(records(count, 20), 1)]
    with engine.begin() as connection:
        position = live_position(connection)
        assert position is not None
        folding = Folding(generation(number), machine())
        before = position._replace(generation=number, live=position.generation == number, seq=0, hash="")
        folding.write(connection, folding.take(connection, before, entries))


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('export') / 'cutover.db'}")
    folded(engine, prepare(engine).generation)
    yield Views(engine)
    engine.dispose()


@pytest.mark.parametrize("form", ["csv", "jsonl", "cloudevents"])
async def test_the_first_bytes_come_before_the_last_line_is_read(
    views: Views, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 100)
    pages: list[int] = []
    ask = views.trail

    def counted(*given: Any, **named: Any) -> Page:
        pages.append(len(pages))
        return ask(*given, **named)

    monkeypatch.setattr(views, "trail", counted)
    sizes: list[int] = []
    async for piece in exported(views, begun(views, Filters(), None, 0, False), form):
        assert len(pages) <= len(sizes) + 2 or form == "cloudevents"
        if not sizes:
            assert len(pages) <= 1
        sizes.append(len(piece))
    assert len(pages) > COUNT / 100
    assert max(sizes) < sum(sizes) / 10


@pytest.mark.parametrize("form", ["csv", "jsonl", "cloudevents"])
async def test_memory_holds_a_page_and_not_the_trail(views: Views, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 100)

    async def sent(limit: int) -> tuple[int, int]:
        tracemalloc.start()
        size = 0
        async for piece in exported(views, begun(views, Filters(), None, limit, False), form):
            size += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, peak

    await sent(200)  # what is made once
    small, little = await sent(200)
    large, more = await sent(0)
    assert large > 10 * small
    assert more < 2 * little + 500_000


async def test_an_export_that_breaks_off_has_no_end(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 100)
    ask, pages = views.trail, iter(range(5))

    def until_it_is_gone(*given: object, **named: object) -> object:
        if next(pages, None) is None:
            raise LookupError("the database is gone")
        return ask(*given, **named)  # type: ignore[arg-type]

    for form in ("csv", "jsonl", "cloudevents"):
        pages = iter(range(5))
        with monkeypatch.context() as broken:
            broken.setattr(views, "trail", until_it_is_gone)
            found = b""
            pieces = exported(views, begun(views, Filters(), None, 0, False), form)
            with suppress(LookupError):
                async for piece in pieces:
                    found += piece
        assert len(found) > 10_000
        assert not whole(form, found)
        assert whole(form, b"".join([p async for p in exported(views, begun(views, Filters(), None, 0, False), form)]))


def whole(form: str, data: bytes) -> bool:
    """Whether a file says of itself that it is all there."""
    if form == "csv":
        return list(csv.reader(io.StringIO(data.decode(), newline="")))[-1][0] == "end"
    if form == "jsonl":
        return "end" in json.loads(data.splitlines()[-1])
    try:
        return isinstance(json.loads(data), list)
    except json.JSONDecodeError:
        return False


async def test_an_export_ends_where_it_began_and_goes_on_over_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE", 50)
    engine = connect(f"sqlite:///{tmp_path / 'cutover.db'}")
    folded(engine, prepare(engine).generation, 300)
    views = Views(engine)
    at_first: list[AuditRow] = views.trail(Filters(), limit=10**6).lines
    pieces, found = exported(views, begun(views, Filters(), None, 0, False), "jsonl"), b""
    found += await anext(pieces)
    new = begin_generation(engine)
    folded(engine, new.generation, 400)  # the log has grown, and the tables are made anew
    assert swap(engine, new.generation)
    drop_all_but_live(engine)
    async for piece in pieces:
        found += piece
    *lines, end = [json.loads(line) for line in found.splitlines()]
    assert [(line["revision"], line["n"]) for line in lines] == [(row.revision, row.n) for row in at_first]
    assert end == {"end": {"lines": len(at_first), "revision": 300, "attempt": 0}}
    engine.dispose()
