"""A tiny server that answers as a Prometheus should not: it hangs, talks HTML, refuses, warns.

One rule: it speaks real HTTP on a real port; what it says is set per path of the base URL.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SAMPLE = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}}


class BadServer:
    """`url("hang")` is the address of a Prometheus that hangs; see `Answers` for the others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        self.release = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{kind}"

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.asked.append(self.path)
                outer.authorizations.append(self.headers.get("authorization", ""))
                kind = self.path.split("/")[1]
                if kind == "hang":
                    outer.release.wait(60)
                    return
                status, content_type, body = outer.answer(kind)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        return Answers

    def answer(self, kind: str) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        match kind:
            case "html":
                return 200, "text/html; charset=utf-8", b"<html><body>Please log in</body></html>"
            case "latin-1":
                return 200, "application/json", b'{"status": "succ\xe9s"}'
            case "refuses":
                said = {"status": "error", "errorType": "bad_data", "error": "1:5: parse error: unexpected end"}
                return 400, "application/json", json.dumps(said).encode()
            case "warns":
                return 200, "application/json", json.dumps(SAMPLE | {"warnings": ["a remote read failed"]}).encode()
            case "down":
                return 503, "text/plain", b"no healthy upstream"
            case _:
                return 200, "application/json", json.dumps(SAMPLE).encode()
