"""`make bench-in-process`: evaluations a second in the application's own process, beside two libraries that do so too.

One rule: rounds take turns, and a ratio is the median of the ratios within a round, so that a neighbour on the machine
hits both sides. A user is new to every evaluation, unless a row says otherwise. `--save` keeps the table in
docs/reference/benchmarks-in-process.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from operator import truediv
from pathlib import Path

import mmh3
from cutover_openfeature import CutoverProvider
from growthbook import GrowthBook
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from benchmarks.page import made_by, tell
from events.facts import EVERYONE, TESTERS, Audience, Exposure
from projections.flags import FlagSnapshot, Window
from services.flags.bucket import FlagBucket
from services.flags.marks import Mark
from services.log.streams import create_streams
from services.nats.connection import connect_nats
from services.nats.embedded import EmbeddedServer

ROUNDS = 25
BATCH = 4_000  # evaluations a round
SHARE = 25.0
LIST = tuple(f"listed-{number}" for number in range(100))
KEY = bytes(32)
PAGE = "benchmarks-in-process.md"
LIBRARIES = ("openfeature-sdk", "growthbook", "mmh3", "nats-py", "msgspec")

Users = Sequence[str]
Load = Callable[[Users], None]
"""Evaluates as often as there are users."""
Rates = dict[str, list[float]]
"""Of each load, evaluations a second round by round."""


def main() -> None:
    """Measure, print, and keep the page if asked to."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cutover-bench-") as folder:
        found = asyncio.run(measure(Path(folder)))
    tell(page(found, time.monotonic() - start), PAGE)


async def measure(folder: Path) -> Rates:
    """With a real server behind the provider, whose watch goes on meanwhile."""
    async with bucket(folder) as url:
        provider = CutoverProvider(url, tester_key=KEY)
        await asyncio.to_thread(api.set_provider_and_wait, provider, "ours")
        api.set_provider_and_wait(in_memory(), "in memory")
        try:
            return await asyncio.to_thread(rates, loads(provider))
        finally:
            await asyncio.to_thread(api.shutdown)


# -- what is measured


def loads(provider: CutoverProvider) -> dict[str, Load]:
    """Each thing that is asked, in the order of the table."""
    ours, memory = api.get_client("ours"), api.get_client("in memory")
    return {
        "MurmurHash3 of the id alone": murmur3,
        "SHA-256 of the id alone": sha256,
        "direct, boolean": partial(direct, provider, "boolean"),
        "direct, percentage": partial(direct, provider, "percentage"),
        "direct, percentage, four toggles a user": partial(direct_four, provider, "percentage"),
        "direct, percentage, bucketing of version 1": partial(direct, provider, "first"),
        "direct, list of 100": partial(direct, provider, "list"),
        "direct, list of 100, of whom all are in it": listed(partial(direct, provider, "list")),
        "direct, while a tester's window holds": partial(direct, provider, "testing"),
        "direct, while a tester's window holds, four toggles a user": partial(direct_four, provider, "testing"),
        "pinned view, boolean": partial(pinned, provider, "boolean"),
        "pinned view, percentage": partial(pinned, provider, "percentage"),
        "growthbook, boolean": partial(growthbook, peer(), "boolean"),
        "growthbook, percentage": partial(growthbook, peer(), "percentage"),
        "growthbook, percentage, four toggles a user": partial(growthbook_four, peer(), "percentage"),
        "growthbook, list of 100": partial(growthbook, peer(), "list"),
        "growthbook, boolean, attributes set once": partial(growthbook_again, peer(), "boolean"),
        "growthbook, percentage, attributes set once": partial(growthbook_again, peer(), "percentage"),
        "growthbook, list of 100, attributes set once": partial(growthbook_again, peer(), "list"),
        "OpenFeature SDK, its in-memory provider": partial(through_the_sdk, memory, "boolean"),
        "OpenFeature SDK, ours, boolean": partial(through_the_sdk, ours, "boolean"),
        "OpenFeature SDK, ours, percentage": partial(through_the_sdk, ours, "percentage"),
        "OpenFeature SDK, ours, list of 100": partial(through_the_sdk, ours, "list"),
    }


AGAINST = {
    "direct, boolean": "growthbook, boolean, attributes set once",
    "direct, percentage": "growthbook, percentage, attributes set once",
    "direct, percentage, four toggles a user": "growthbook, percentage, four toggles a user",
    "direct, list of 100": "growthbook, list of 100, attributes set once",
    "OpenFeature SDK, ours, boolean": "OpenFeature SDK, its in-memory provider",
    "OpenFeature SDK, ours, percentage": "OpenFeature SDK, its in-memory provider",
    "OpenFeature SDK, ours, list of 100": "OpenFeature SDK, its in-memory provider",
}
AIMS = {name: ">= 1,000,000 /s" if name.startswith("direct") else ">= 0.9 x" for name in AGAINST}


def direct(provider: CutoverProvider, key: str, users: Users) -> None:
    is_on = provider.is_on
    for user in users:
        is_on(key, user)


def direct_four(provider: CutoverProvider, key: str, users: Users) -> None:
    is_on = provider.is_on
    keys = [f"{key}-{number}" for number in range(4)]
    for user in users[: len(users) // 4]:
        for each in keys:
            is_on(each, user)


def pinned(provider: CutoverProvider, key: str, users: Users) -> None:
    with provider.pinned() as view:
        for user in users:
            view.is_on(key, user)


def through_the_sdk(client: OpenFeatureClient, key: str, users: Users) -> None:
    for user in users:
        client.get_boolean_value(key, False, EvaluationContext(user))


def growthbook(peer: GrowthBook, key: str, users: Users) -> None:
    for user in users:
        peer.set_attributes({"id": user})
        peer.is_on(key)


def growthbook_four(peer: GrowthBook, key: str, users: Users) -> None:
    for user in users[: len(users) // 4]:
        peer.set_attributes({"id": user})
        for _ in range(4):
            peer.is_on(key)


def growthbook_again(peer: GrowthBook, key: str, users: Users) -> None:
    peer.set_attributes({"id": users[0]})
    for _ in users:
        peer.is_on(key)


def murmur3(users: Users) -> None:
    for user in users:
        mmh3.mmh3_32_uintdigest(user.encode())


def sha256(users: Users) -> None:
    for user in users:
        hashlib.sha256(user.encode()).digest()


def listed(load: Load) -> Load:
    return lambda users: load((LIST * (len(users) // len(LIST) + 1))[: len(users)])


def rates(each: Mapping[str, Load]) -> Rates:
    """Evaluations a second of CPU, in each of the rounds after the first."""
    fresh = new_users()
    found: Rates = {name: [] for name in each}
    for number in range(ROUNDS + 1):
        for name, load in each.items():
            users = [next(fresh) for _ in range(BATCH)]
            start = time.thread_time()
            load(users)
            rate = BATCH / (time.thread_time() - start)
            if number:
                found[name].append(rate)
    return found


def new_users() -> Iterator[str]:
    """Ids of the length of an account's uuid, none twice."""
    return (f"{number:08x}-2f61-4c4a-9d5c-0242ac120002" for number in count())


# -- what is asked


@asynccontextmanager
async def bucket(folder: Path) -> AsyncIterator[str]:
    """The address of a server with the four groups, and the mark every second."""
    embedded = EmbeddedServer(folder / "data")
    await embedded.start()
    connection = await connect_nats(embedded.url, name="bench")
    await create_streams(connection.jetstream())
    store = FlagBucket(connection.jetstream())
    await store.write(groups(datetime.now(UTC)))

    async def alive() -> None:
        while True:
            await store.mark(Mark(4, datetime.now(UTC), ""))
            await asyncio.sleep(1)

    marking = asyncio.create_task(alive())
    try:
        yield embedded.url
    finally:
        marking.cancel()
        with suppress(asyncio.CancelledError):
            await marking
        await connection.close()
        await embedded.stop()


def groups(now: datetime) -> list[FlagSnapshot]:
    """On for everyone, for a share, for a list of ids, and for a tester whose window holds; each a rollout."""

    def of(name: str) -> tuple[str, ...]:
        return (name, *(f"{name}-{number}" for number in range(4)))

    window = Window("s", "t-1", now - timedelta(hours=1), now + timedelta(hours=9))
    exposures = {
        "boolean": EVERYONE,
        "percentage": Exposure("percentage", (Audience(SHARE),)),
        "first": Exposure("percentage", (Audience(SHARE),)),
        "list": Exposure("cohort", (Audience(group="pilot", users=LIST),)),
        "testing": TESTERS,
    }
    return [
        FlagSnapshot(
            2, name, revision, now, "cutover", of(name), exposure, windows=(window,), testers={"t-1": "0" * 64}
        )
        if name == "testing"
        else FlagSnapshot(1 if name == "first" else 2, name, revision, now, "cutover", of(name), exposure)
        for revision, (name, exposure) in enumerate(exposures.items(), 1)
    ]


def in_memory() -> InMemoryProvider:
    """What the SDK brings: a boolean flag with a fixed answer."""
    return InMemoryProvider({"boolean": InMemoryFlag("on", {"on": True, "off": False})})


def peer() -> GrowthBook:
    """The same three flags in GrowthBook's terms."""
    share = {"force": True, "coverage": SHARE / 100, "hashAttribute": "id"}
    listed = {"force": True, "condition": {"id": {"$in": list(LIST)}}}
    return GrowthBook(
        features={
            "boolean": {"defaultValue": True},
            "percentage": {"defaultValue": False, "rules": [share]},
            "list": {"defaultValue": False, "rules": [listed]},
        }
    )


def page(found: Rates, seconds: float) -> str:
    """The table, and under what conditions it was made."""
    return f"""# Benchmarks of evaluating in process

{made_by("make bench-in-process", *LIBRARIES)}.
Evaluations a second of one core: {ROUNDS} rounds of {BATCH:,} each after a warm-up, by the thread's CPU time; all rows
take turns, and a ratio is the median of the ratios within a round. The best round is what the core does while nobody
else uses it. The whole run took {seconds:.0f} s. The digits are of one noisy machine: take the ratios, and run it on
yours.

{table(found)}

- *Direct* is `provider.is_on(key, user)`; its provider watches a real server meanwhile. *Percentage* is {SHARE:g}%.
- Every user is new to every evaluation, so each is hashed, by MurmurHash3 or, in rollouts whose bucketing is of
  version 1, by SHA-256: *of the id alone* is what `mmh3` and `hashlib` take for that here. *Four toggles a user*: a
  page asks the four toggles of one group for each new user, who is hashed once.
- *While a tester's window holds* every user's HMAC is computed, which is the price of an id that is not in the log.
- *growthbook*: the three flags as its features, `is_on` after `set_attributes` for each user; *attributes set once*:
  `is_on` alone, for one user over and over, which is the ratio's base.
- *Through the SDK* both providers get a new EvaluationContext for each user; almost all of the time is the SDK's.
"""


def table(found: Rates) -> str:
    """Each row beside what it is compared with."""
    lines = ["| what | median | best | ratio | aim |", "|---|--:|--:|--:|---|"]
    for name, rounds in found.items():
        against = AGAINST.get(name)
        ratio = f"{statistics.median(map(truediv, rounds, found[against])):.2f} x {against}" if against else ""
        median, best = statistics.median(rounds), max(rounds)
        lines.append(f"| {name} | {median:,.0f} /s | {best:,.0f} /s | {ratio} | {AIMS.get(name, '')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
