"""`make bench-reads`, and with Unleash in the same run `make bench-peers`.

One rule: one machine, one run, the loads in turns; ratios matter, digits do not. `--peers` takes Unleash in, `--save`
keeps the page in docs/reference/benchmarks-reads.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.page import say, tell
from benchmarks.peers.unleash import FRONTEND, NotInstalled, Unleash, unleash
from benchmarks.plain_http import Line, request
from benchmarks.reads import changes, fan_out, loads
from benchmarks.reads.cutover import FLAGS, SHARE, SHARED, SWITCHED, Cutover, Switch, cutover
from benchmarks.reads.hello import hello
from benchmarks.reads.loads import Load
from benchmarks.reads.page import BULK, HELLO, NEW, PEER, SINGLE, SOON, TOGGLES, Change, Found, page
from tests.service_process import ServiceProcess

PAGE = "benchmarks-reads.md"
CLIENTS = 200
SWITCHES = 200  # that one who asks looks for
PEER_SWITCHES = 40
FLIPS = 50  # that all watching clients look for
JSON = {"Content-Type": "application/json"}
FRONTEND_PATH = "/api/frontend?userId="


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    loads.require_wrk()
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
            found = measure(Path(folder), with_peers="--peers" in sys.argv[1:])
    except NotInstalled as missing:
        raise SystemExit(str(missing)) from None
    tell(page(found, time.monotonic() - start), PAGE)


def measure(folder: Path, with_peers: bool) -> Found:
    """Everything is started first, so that all loads can take turns."""
    with ExitStack() as stack:
        say("starting Cutover ..." if not with_peers else "starting Cutover and Unleash ...")
        peer = stack.enter_context(unleash(folder)) if with_peers else None
        if peer:
            peer.make(SWITCHED)
            peer.make(SHARED, SHARE)
            for toggle in SHARED:
                peer.switch(toggle, True)
        service = stack.enter_context(cutover(folder))
        every = {HELLO: Load(*stack.enter_context(hello(folder)), "GET", "/"), **reads(service)}
        if peer:
            every[PEER] = Load(peer.pid, peer.port, "GET", FRONTEND_PATH + "USER", "", {"Authorization": FRONTEND})
        say(f"{len(every)} loads at 1 and {loads.CONNECTIONS[-1]} connections ...")
        costs = loads.measure(every)
        say("changes, seen by one who asks ...")
        found = [*seen_by_asking(service), *(seen_at_peer(peer) if peer else ())]
        say(f"changes, seen by {CLIENTS} clients ...")
        return Found(costs, [*found, *seen_by_many(service)])


def reads(service: Cutover) -> dict[str, Load]:
    """What is asked of the API worker."""
    pid, port, headers = service.worker.pid, service.worker.port, service.bearer | JSON
    context = '{{"context":{{"targetingKey":"{}"}}}}'.format
    one, toggles = f"{FLAGS}/{SHARED[0]}", "/v0/feature_toggles?cookie_id="
    return {
        SINGLE: Load(pid, port, "POST", one, context("USER"), headers),
        SINGLE + NEW: Load(pid, port, "POST", one, context("NEW"), headers),
        BULK: Load(pid, port, "POST", FLAGS, context("USER"), headers),
        BULK + NEW: Load(pid, port, "POST", FLAGS, context("NEW"), headers),
        TOGGLES: Load(pid, port, "GET", toggles + "USER"),
        TOGGLES + NEW: Load(pid, port, "GET", toggles + "NEW"),
    }


# -- changes


def seen_by_asking(service: Cutover) -> list[Change]:
    """Two processes are asked: the one that took the command, and the API worker beside it."""
    switch = Switch(service)
    asked = {"the API worker": service.worker, "the process that took the command": service.up}
    found = []
    for name, process in asked.items():
        ask = bulk_of(service, process)
        seen = changes.switched(SWITCHES, len(SWITCHED), ask, switch, switch.prepare)
        found += Change.of_one(f"OFREP bulk at {name}", seen, SOON)
    return found


def bulk_of(service: Cutover, process: ServiceProcess) -> partial[int]:
    sent = request("POST", FLAGS, service.bearer | JSON, '{"context":{"targetingKey":"user-1"}}')
    return partial(count, Line(process.port), sent, [f'"key":"{key}","value":true'.encode() for key in SWITCHED])


def seen_at_peer(peer: Unleash) -> list[Change]:
    """Four calls, one after the other; the time runs from the last one's answer."""
    sent = request("GET", FRONTEND_PATH + "user-1", {"Authorization": FRONTEND})
    ask = partial(count, Line(peer.port), sent, [f'"name":"{key}","enabled":true'.encode() for key in SWITCHED])

    def switch(on: bool) -> None:
        for toggle in SWITCHED:
            peer.switch(toggle, on)

    found = changes.switched(PEER_SWITCHES, len(SWITCHED), ask, switch, pause=1.0)
    return Change.of_one("Unleash frontend API", found)


def count(line: Line, sent: bytes, wanted: list[bytes]) -> int:
    """How many of the toggles are on."""
    answer = line.ask(sent)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode(errors="replace"))
    return sum(each in answer for each in wanted)


def seen_by_many(service: Cutover) -> list[Change]:
    """Clients of the stream of changes that evaluate again when told, then applications that evaluate in process."""
    switch = Switch(service)
    stream = service.bulk(service.worker)["eventStreams"][0]["endpoint"]["requestUri"]
    told = ("benchmarks.reads.watchers", str(service.worker.port), service.reader, stream, str(CLIENTS), *SWITCHED)
    watch = ("benchmarks.reads.providers", service.nats, str(CLIENTS), *SWITCHED)
    found = []
    for name, command in ((f"{CLIENTS} listeners", told), (f"{CLIENTS} in-process providers", watch)):
        with fan_out.watching(*command) as watchers:
            found += Change.of_many(name, fan_out.switched(FLIPS, watchers, switch, switch.prepare))
    return found


if __name__ == "__main__":
    main()
