"""The least that a server can do on what Cutover runs on: `python -m benchmarks.reads.hello PORT`.

One rule: the same server and event loop as Cutover's, and an application that looks at nothing and says hello.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.api.app import server
from services.loop import run
from tests.postgres_process import free_port

BODY = b'{"hello":"world"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything alike."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


@contextmanager
def hello(folder: Path) -> Iterator[tuple[int, int]]:
    """The bare server: its process id and port."""
    port = free_port()
    with (folder / "hello.log").open("wb") as output:
        command = [sys.executable, "-m", "benchmarks.reads.hello", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until = time.monotonic() + 30
        while not _answers(port):
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"the bare server did not start: {(folder / 'hello.log').read_text()}")
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    run(server(bare, "127.0.0.1", int(sys.argv[1])).serve())
