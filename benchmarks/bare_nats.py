"""nats-py alone, on the server that Cutover uses: the ceiling of what a log on JetStream can do from Python.

One rule: the same stream settings, the same payload and the same acknowledgement as the log's own appends.
"""

from __future__ import annotations

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StorageType, StoreCompression, StreamConfig

from benchmarks.measure import Load, Row, bulk

STREAM = "BENCH"
SUBJECT = "bench."


async def publishing(client: Client, payload: bytes) -> dict[str, Load]:
    """Acknowledged publishes over 64 subjects, one at a time and 64 in flight."""
    js = client.jetstream()
    await js.add_stream(
        StreamConfig(
            name=STREAM,
            subjects=[SUBJECT + "*"],
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            compression=StoreCompression.S2,
        )
    )

    async def publish(number: int) -> object:
        return await js.publish(f"{SUBJECT}{number % 64}", payload)

    return {"nats-py publish, 1 at a time": Load(publish), "nats-py publish, 64 in flight": Load(publish, 64)}


async def measure_read(client: Client, stream: str, records: int) -> list[Row]:
    """Messages a second out of `stream`, which holds `records`, undecoded: by `fetch` and by a callback."""
    js = client.jetstream()

    async def fetch() -> int:
        consumer = await js.pull_subscribe("", stream=stream, config=ConsumerConfig(ack_policy=AckPolicy.NONE))
        read = 0
        while read < records:
            messages = await consumer.fetch(500)
            read += len(messages)
        await consumer.unsubscribe()
        return read

    async def by_callback() -> int:
        done = asyncio.Event()
        read = 0

        async def take(_message: Any) -> None:
            nonlocal read
            read += 1
            if read == records:
                done.set()

        consumer = await js.subscribe("", stream=stream, ordered_consumer=True, cb=take)
        await asyncio.wait_for(done.wait(), 60)
        await consumer.unsubscribe()
        return read

    return [
        Row("nats-py fetch", await bulk(fetch, rounds=1, warm_up=False)),
        Row("nats-py ordered consumer with a callback", await bulk(by_callback)),
    ]
