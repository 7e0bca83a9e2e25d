"""`make bench-verify`: how fast an export of a million records is verified, and how fast the tree over it grows.

One rule: the file is made once, from generated histories; what is measured is `cutover-verify` as an auditor runs it,
reading the file included. `--save` keeps the table in docs/reference/benchmarks-verify.md.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.measure import Row, table
from benchmarks.page import made_by, say, tell
from services.log.protocol import Entry
from services.notary import cutover_verify
from services.notary.checkpoint import Checkpoint
from services.notary.export import record_line
from services.notary.note import Signer, new_signer
from services.notary.tree import Tree, leaf
from tests.histories import records

COUNT, ROLLOUTS, EVERY = 1_000_000, 500, 1_000
ROUNDS = 3
PAGE = "benchmarks-verify.md"
BARE, ONE, ALL = "sha256sum of the file", "verified by one process", "verified by a process a core"


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        path = Path(folder) / "log.jsonl"
        say(f"writing an export of {COUNT:,} records ...")
        signer = new_signer("bench")
        grown = write(path, signer)
        say("verifying it ...")
        rows = measured(path, str(signer.verifier), grown)
        tell(page(rows, path.stat().st_size), PAGE)


def write(path: Path, signer: Signer) -> float:
    """An export with a checkpoint after every thousand records; leaves a second that the tree alone took."""
    tree, spent, notes = Tree(), 0.0, 0
    with path.open("wb") as file:
        file.write(line({"cutover-export": 1, "origin": signer.name}))
        for revision, stored in enumerate(records(COUNT, ROLLOUTS), 1):
            file.write(record_line(Entry(revision, stored.rollout, stored.data)))
            start = time.perf_counter()
            tree.add(leaf(stored.rollout, stored.data))
            spent += time.perf_counter() - start
            if revision % EVERY == 0:
                notes += 1
                note = Checkpoint(signer.name, revision, tree.root()).signed([signer])
                file.write(line({"checkpoint": note}))
        file.write(line({"end": True, "records": COUNT, "checkpoints": notes}))
    return COUNT / spent


def line(value: object) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def measured(path: Path, key: str, grown: float) -> list[Row]:
    """The median of some rounds of each, in turns."""
    took: dict[str, list[float]] = {BARE: [], ONE: [], ALL: []}
    for _ in range(ROUNDS):
        for name, jobs in ((BARE, 0), (ONE, 1), (ALL, os.cpu_count() or 1)):
            start = time.perf_counter()
            hashed(path) if not jobs else verified(path, key, jobs)
            took[name].append(time.perf_counter() - start)
    rate = {name: COUNT / sorted(times)[len(times) // 2] for name, times in took.items()}
    return [
        Row(BARE, rate[BARE], "records/s"),
        Row(ONE, rate[ONE], "records/s", BARE),
        Row(ALL, rate[ALL], "records/s", BARE, "100,000 records/s"),
        Row("leaves into the notary's tree", grown, "records/s"),
    ]


def hashed(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def verified(path: Path, key: str, jobs: int) -> None:
    """As the console script does it, in a process of its own."""
    command = [sys.executable, cutover_verify.__file__, str(path), "--key", key, "--jobs", str(jobs)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.startswith(f"OK: {COUNT:,} records"), said


def page(rows: list[Row], size: int) -> str:
    """The table, and under what conditions it was made."""
    return f"""# Benchmarks of the verifier

{made_by("make bench-verify", "cryptography")}.
The median of {ROUNDS} rounds in turns; the file is read from memory. The digits are of one noisy machine.

{table(rows)}

- The export: {COUNT:,} records of {ROLLOUTS} rollouts in {size / 1e6:,.0f} MB, a checkpoint after every {EVERY:,}.
- *Verified* is `cutover-verify` from start to end: each record's bytes hashed, its place in its rollout's chain, the
  tree held against every checkpoint, every signature. *sha256sum* only reads and hashes the file.
- *Leaves* is what a record costs the notary.
"""


if __name__ == "__main__":
    main()
