"""The database's own tables, made by whoever comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sqlalchemy import inspect

from services.database import connect, kept
from services.people import tokens, vault

AT_ONCE = 8


def test_roles_that_start_together_on_a_new_folder_all_get_the_tables(tmp_path: Path) -> None:
    assert {tokens.tokens, vault.vault} <= set(kept.sorted_tables)
    for n in range(3):
        url, start = f"sqlite:///{tmp_path / str(n) / 'cutover.db'}", threading.Barrier(AT_ONCE)

        def open_it(url: str = url, start: threading.Barrier = start) -> set[str]:
            start.wait()
            engine = connect(url)
            try:
                return set(inspect(engine).get_table_names())
            finally:
                engine.dispose()

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [future.result() for future in [pool.submit(open_it) for _ in range(AT_ONCE)]]
        assert all(tables >= set(kept.tables) for tables in found)
