"""AsyncAPI's own parser finds nothing wrong with the document of the NATS side."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.clients.published import HERE, MODULES, needs_node

pytestmark = needs_node

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "asyncapi.json"


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(MODULES / ".bin" / "node"), str(HERE / "asyncapi.mjs"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_document_is_valid() -> None:
    done = checked(DOCUMENT)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_parser_would_say_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "asyncapi.json"
    broken.write_text(DOCUMENT.read_text().replace('"#/components/messages/log"', '"#/components/messages/nothing"'))
    done = checked(broken)
    assert done.returncode == 1
    assert "messages" in done.stdout
