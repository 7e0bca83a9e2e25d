"""A server that answers as GitHub's and Slack's APIs do, on a port of its own, and misbehaves when told to.

One rule: what it holds is what it was sent over HTTP; a test says beforehand how the next requests go wrong.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

TOKEN = "secret-token"


class Mishap(NamedTuple):
    """How one request goes wrong. `done`: it took effect all the same (the answer is lost, or wrong)."""

    status: int = 0  # 0: no answer at all, the connection is dropped
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""  # in Latin-1
    done: bool = False
    hangs: float = 0.0  # seconds before anything is answered
    drips: float = 0.0  # seconds between one byte of the body and the next


class Receivers:
    """Repository va/team and a Slack workspace. `issues` and `posts` are what arrived; `mishaps` come first."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.posts: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.mishaps: dict[str, list[Mishap]] = {"GET issues": [], "POST issues": [], "POST slack": []}
        self.slack_error = ""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """The settings with which a service tells this server."""
        return {
            "CUTOVER_GITHUB_URL": self.url,
            "CUTOVER_GITHUB_REPOSITORY": "va/team",
            "CUTOVER_GITHUB_TOKEN": TOKEN,
            "CUTOVER_SLACK_URL": f"{self.url}/api",
            "CUTOVER_SLACK_TOKEN": TOKEN,
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self, method: str, path: str, query: dict[str, str], token: str, content: Any) -> tuple[int, Any]:
        """A request that is not disturbed."""
        if token != f"Bearer {TOKEN}" and "hook" not in path:
            return (401, {"message": "Bad credentials"}) if "issues" in path else (200, _slack("invalid_auth"))
        if path in ("/repos/va/team/issues", "/repositories/7/issues"):
            return self._list(query) if method == "GET" else self._open(content)
        if path in ("/api/chat.postMessage", "/hook/T1/B1/secret"):
            return self._post(content)
        return 404, {"message": "Not Found"}

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        since = query.get("since", "")
        found = [issue for issue in reversed(self.issues) if issue["updated_at"] >= since]
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        return 200, found[(page - 1) * size : page * size]

    def _open(self, content: Any) -> tuple[int, Any]:
        with self._lock:
            number = len(self.issues) + 1
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            link = f"https://github.com/va/team/issues/{number}"
            self.issues.append({**content, "number": number, "html_url": link, "created_at": now, "updated_at": now})
            return 201, self.issues[-1]

    def _post(self, content: Any) -> tuple[int, Any]:
        if self.slack_error:
            return 200, _slack(self.slack_error)
        with self._lock:
            self.posts.append(content)
        return 200, {"ok": True, "channel": "C024BE91L", "ts": f"{time.time():.6f}"}

    def mishap(self, method: str, path: str) -> Mishap | None:
        kind = f"{method} {'issues' if path.endswith('/issues') else 'slack'}"
        with self._lock:
            self.asked.append(kind)
            self.paths.append(path)
            self.times.append(time.monotonic())
            waiting = self.mishaps.get(kind)
            return waiting.pop(0) if waiting else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receivers = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Tests print enough."""

            def do_GET(self) -> None:
                self._respond(None)

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                self._respond(json.loads(self.rfile.read(length)))

            def _respond(self, content: Any) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                asking = (self.command, parts.path, query, self.headers.get("authorization", ""), content)
                mishap = receivers.mishap(self.command, parts.path)
                if mishap is None:
                    status, data = receivers.answer(*asking)
                    self._send(status, {}, json.dumps(data).encode())
                    return
                if mishap.done:
                    receivers.answer(*asking)
                time.sleep(mishap.hangs)
                if mishap.status:
                    self._send(
                        mishap.status,
                        dict(mishap.headers),
                        mishap.body.encode("latin-1"),
                        mishap.drips,
                    )
                else:
                    self.close_connection = True

            def _send(self, status: int, headers: dict[str, str], data: bytes, drips: float = 0.0) -> None:
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                with suppress(ConnectionError):  # whoever asked may have hung up
                    for part in [data[n : n + 1] for n in range(len(data))] if drips else [data]:
                        self.wfile.write(part)
                        time.sleep(drips)

        return Handler


def _slack(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


@contextmanager
def receiving() -> Iterator[Receivers]:
    """A server for one test."""
    receivers = Receivers()
    try:
        yield receivers
    finally:
        receivers.close()
