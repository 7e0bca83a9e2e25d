"""The published JavaScript clients: the server SDK as a process of Node, the web SDK on a page of its own origin.

One rule: the clients are the packages of package-lock.json, unchanged; what is ours only asks them and tells.
"""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
BUNDLE = MODULES / ".bundle" / "web.js"
INSTALLED = BUNDLE.exists()
MISSING = "NO JAVASCRIPT CLIENTS HERE, they are not tested in this run: make test-clients installs them by npm"
needs_node = pytest.mark.node  # skipped by tests/conftest.py where they are missing

PAGE = b'<!doctype html><html lang="en"><title>An application</title><script src="/web.js"></script></html>'


class ServerSdk:
    """`@openfeature/server-sdk` with `@openfeature/ofrep-provider`, in a process of Node."""

    def __init__(self, url: str, token: str) -> None:
        command = [str(MODULES / ".bin" / "node"), str(HERE / "server.mjs"), url, token]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def details(self, key: str, default: bool | str = False, **context: str) -> dict[str, Any]:
        """The SDK's evaluation details."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps({"key": key, "default": default, "context": context}) + "\n")
        self._node.stdin.flush()
        found: dict[str, Any] = json.loads(self._node.stdout.readline())
        return found

    def close(self) -> None:
        self._node.communicate(timeout=10)


@contextmanager
def server_sdk(url: str, token: str) -> Iterator[ServerSdk]:
    """One process, for as long as it is asked."""
    sdk = ServerSdk(url, token)
    try:
        yield sdk
    finally:
        sdk.close()


class _Site(http.server.BaseHTTPRequestHandler):
    """Two files: the page, and the bundle with the web SDK in it."""

    def do_GET(self) -> None:
        kind, body = ("text/javascript", BUNDLE.read_bytes()) if self.path == "/web.js" else ("text/html", PAGE)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not a word."""


@contextmanager
def site() -> Iterator[str]:
    """The address of an application's page: another origin than the service's, so that CORS holds."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.05))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class WebSdk:
    """`@openfeature/web-sdk` with `@openfeature/ofrep-web-provider`, on a page that is open."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def start(self, url: str, token: str, user: str, **options: Any) -> str:
        """Begin; "" or the error."""
        asked = {"baseUrl": url, "headers": [["Authorization", f"Bearer {token}"]], "cacheMode": "disabled", **options}
        context = {"targetingKey": user} if user else {}
        said: str = self._page.evaluate("([o, c]) => cutover.start(o, c)", [asked, context])
        return said

    def details(self, key: str) -> dict[str, Any]:
        """What the page knows of a toggle; it asks nobody."""
        found: dict[str, Any] = self._page.evaluate("key => cutover.details(key)", key)
        return found

    def values(self, *keys: str) -> dict[str, bool]:
        """What the page knows of the group, at one time."""
        script = "keys => Object.fromEntries(keys.map(key => [key, cutover.details(key).value]))"
        found: dict[str, bool] = self._page.evaluate(script, list(keys))
        return found

    @property
    def events(self) -> list[str]:
        """Everything that the SDK has told its application."""
        found: list[str] = self._page.evaluate("cutover.events")
        return found

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Status and ETag of every answer that the provider was given."""
        found: list[dict[str, Any]] = self._page.evaluate("cutover.requests")
        return found

    def wait(self, condition: str, argument: Any = None) -> None:
        """Until a JavaScript condition holds, ten seconds at most."""
        self._page.wait_for_function(condition, arg=argument, timeout=20_000, polling=20)
