"""What the documents show is what happens: their marked console blocks are run as they stand.

One rule: a block after `<!-- run -->` is run, command by command, in one shell a document, beside a service of its own.
What is shown must be what is printed; `...` stands for anything in a line, and on a line of its own for any lines. A
command ends well unless its comment says `# exit code N`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"<!-- run -->\n( *)```console\n(.*?)\n\1```", re.DOTALL)
DEMO = re.compile(r"<!-- demo -->\n```text\n(.*?)\n```\n<!-- /demo -->", re.DOTALL)
PATHS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
DOCUMENTS = [path for path in PATHS if BLOCK.search(path.read_text(encoding="utf-8"))]
MARK = "== exit code"


class Step(Struct, frozen=True):
    """One command of a document, and the lines that it says are printed."""

    command: str
    shown: tuple[str, ...]

    @property
    def code(self) -> int:
        said = re.search(r"# exit code (\d+)", self.command)
        return int(said[1]) if said else 0


def steps(text: str) -> list[Step]:
    """The commands of all marked blocks, in order."""
    found: list[Step] = []
    for indent, block in BLOCK.findall(text):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        for part in "\n".join(lines).removeprefix("$ ").split("\n$ "):
            command, *shown = part.splitlines()
            found.append(Step(command, tuple(shown)))
    return found


def shows(shown: tuple[str, ...], printed: str) -> bool:
    """Whether that is what was printed, "..." standing for anything. Spaces at the end of a line do not count."""
    pattern = "".join("(?:.*\n)*?" if line.strip() == "..." else f"{_line(line)}[ ]*\n" for line in shown)
    return re.fullmatch(pattern, printed + "\n" * (not printed.endswith("\n") and printed != "")) is not None


def _line(shown: str) -> str:
    return ".*".join(re.escape(part) for part in shown.rstrip().split("..."))


def run(commands: list[Step], folder: Path, environ: dict[str, str]) -> list[tuple[int, str]]:
    """Exit code and output of each, in one shell."""
    script = "".join(f"{step.command}\ncode=$?; echo; echo '{MARK}' $code\n" for step in commands)
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    outputs = re.split(rf"\n{MARK} (\d+)\n", done.stdout)
    return [(int(code), text) for text, code in zip(outputs[::2], outputs[1::2], strict=False)]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `cutover` and `cutover-verify` are this checkout's and nothing is set for it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("cutover", "services.cli"), ("cutover-verify", "services.notary.cutover_verify")):
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUTOVER_")}
    return {**kept, "PATH": f"{programs}:{kept['PATH']}", "COLUMNS": "110", "NO_COLOR": "1"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_documents_commands_print_what_it_shows(document: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    commands = steps(document.read_text(encoding="utf-8"))
    shutil.copytree(ROOT / "plans", tmp_path / "plans")
    service = ServiceProcess(tmp_path / "cutover-data")
    service.start()
    try:
        here = [Step(s.command.replace("http://127.0.0.1:8080", service.url), s.shown) for s in commands]
        results = run(here, tmp_path, shell | {"CUTOVER_URL": service.url})
    finally:
        service.stop()
    assert len(results) == len(commands)
    for step, (code, printed) in zip(commands, results, strict=True):
        assert code == step.code, f"$ {step.command}\n{printed}"
        assert shows(step.shown, printed), f"$ {step.command}\n{printed}"


def test_the_demo_prints_what_the_readme_shows(shell: dict[str, str], tmp_path: Path) -> None:
    shown = DEMO.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown, "README.md shows no demo"
    shell |= {"COLUMNS": "80", "TMPDIR": str(tmp_path)}
    [(code, printed)] = run([Step("cutover demo --pace 0", ())], tmp_path, shell)
    assert code == 0, printed[-2000:]
    assert shows(("...", *shown[1].splitlines(), "..."), printed)


def test_a_line_that_is_not_printed_is_noticed() -> None:
    printed = "one\ntwo 2\nthree  \n"
    assert shows(("one", "two ...", "three"), printed)
    assert shows(("...", "three"), printed)
    assert not shows(("one", "three"), printed)
    assert not shows(("one", "...", "four"), printed)
    assert not shows((), printed)
    assert shows((), "")
