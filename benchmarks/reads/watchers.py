"""Clients that listen to OFREP's stream of changes and evaluate again when told, many of them in one process.

`python -m benchmarks.reads.watchers PORT TOKEN STREAM CLIENTS TOGGLE..` says `ready`, then a line of JSON each time all
clients have another value of the toggles: when each had it (seconds, monotonic), the CPU seconds of this process so
far, and how many answers had only some of the toggles on.

One rule: as cheap as it can be, bare sockets and epoll, because the server is on the same machine. As the web SDK does,
each client has a connection for the stream and one for reads, and sends its ETag and what the event has told it.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from benchmarks.plain_http import length_of, request

FLAGS = "/ofrep/v1/evaluate/flags"


class Watcher:
    """One client. `on` is how many of the toggles it has on, None before its first answer."""

    def __init__(self, number: int, port: int, token: str, stream: str, wanted: list[bytes]) -> None:
        self.on: int | None = None
        self.at = 0.0
        self.stream, self.reads = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
        self._wanted = wanted
        self._body = json.dumps({"context": {"targetingKey": f"watcher-{number}"}})
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._received = b""
        self.stream.sendall(request("GET", stream, {"Accept": "text/event-stream"}))

    def told(self) -> None:
        """An event, or a sign of life."""
        data = self.stream.recv(1 << 16)
        if not data:
            raise ConnectionError("the stream has ended")
        pin = data.rpartition(b"\nid: ")[2].partition(b"\n")[0]
        if b"@" in pin:
            path = f"{FLAGS}?flagConfigEtag=%22{pin.decode()}%22&flagConfigLastModified={int(time.time())}"
            self.reads.sendall(request("POST", path, self._headers, self._body))

    def answered(self) -> int | None:
        """How many of the toggles are on by the newest whole answer; None: it is not whole, or nothing has changed."""
        self._received += self.reads.recv(1 << 16)
        found = None
        while len(self._received) >= (length := length_of(self._received)):
            answer, self._received = self._received[:length], self._received[length:]
            if answer.startswith(b"HTTP/1.1 200"):
                self._headers["If-None-Match"] = answer.partition(b"\r\netag: ")[2].partition(b"\r\n")[0].decode()
                found = sum(wanted in answer for wanted in self._wanted)
        return found


def main(port: int, token: str, stream: str, clients: int, toggles: list[str]) -> None:
    """Until the other side of stdout is gone."""
    wanted = [f'"key":"{toggle}","value":true'.encode() for toggle in toggles]
    poll = select.epoll()
    whose: dict[int, tuple[Watcher, bool]] = {}
    watchers = [Watcher(number, port, token, stream, wanted) for number in range(clients)]
    for watcher in watchers:
        for connection, is_stream in ((watcher.stream, True), (watcher.reads, False)):
            whose[connection.fileno()] = watcher, is_stream
            poll.register(connection, select.EPOLLIN)
    first, changed, mixed = clients, 0, 0
    while True:
        for number, _event in poll.poll():
            watcher, is_stream = whose[number]
            if is_stream:
                watcher.told()
                continue
            on = watcher.answered()
            if on is None or on == watcher.on:
                continue
            mixed += 0 < on < len(toggles)
            first, changed = (first - 1, 0) if watcher.on is None else (first, changed + 1)
            watcher.on, watcher.at = on, time.monotonic()
            if first == 0:
                first = -1
                _say("ready")
            if changed == clients:
                changed = 0
                _say(json.dumps({"at": [w.at for w in watchers], "cpu": time.process_time(), "mixed": mixed}))


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
