"""A projector in a process of its own that stops itself (SIGSTOP) between the commit of a revision and the bucket.

python -m tests.faults.projector_process NATS_URL DATABASE_URL REVISION
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from services.database import connect
from services.flags.bucket import FlagBucket
from services.log.nats import JetStreamLog
from services.nats.connection import connect_nats
from services.projector.projector import Projector
from tests.histories import START


async def main(nats: str, database: str, freeze_at: int) -> None:
    connection = await connect_nats(nats, name="frozen")

    def committed(revision: int) -> None:
        if revision == freeze_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    bucket = FlagBucket(connection.jetstream())
    await Projector(JetStreamLog(connection), connect(database), bucket, lambda: START, on_commit=committed).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
