"""After a gap in the log the tables stand still and readers are stale, but a rollback still switches the group off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.database import connect
from services.flags.bucket import FlagBucket
from services.log.memory import MemoryLog
from services.log.protocol import Entry
from services.log.streams import create_streams
from services.nats.connection import Connection
from services.projector.projector import Projector
from services.views.views import Views
from tests.connected.test_projector import Appender, now, running, until, written
from tests.histories import History

pytestmark = pytest.mark.connected


class Holed(MemoryLog):
    """A log that loses one revision."""

    lost = 0

    async def follow(self, after: int, *, until: int | None = None) -> AsyncIterator[Sequence[Entry]]:
        async for batch in super().follow(after, until=until):
            if left := [entry for entry in batch if entry.revision != self.lost]:
                yield left

    async def read(self, rollout: str, after: int = 0) -> list[Entry]:
        return [entry for entry in await super().read(rollout, after) if entry.revision != self.lost]


async def test_a_rollback_still_reaches_the_readers_and_a_broken_chain_does_not(
    nats_client: Connection, tmp_path: Path
) -> None:
    await create_streams(nats_client.jetstream())
    log, engine, bucket = Holed(), connect(f"sqlite:///{tmp_path / 'cutover.db'}"), FlagBucket(nats_client.jetstream())
    append, views, good, torn = Appender(log), Views(engine), History("good"), History("torn")
    projector = Projector(log, engine, bucket, now, on_commit=views.notify)
    async with running(projector):
        exposed = await append(good.adopted(), good.cut_over(), torn.adopted(), torn.cut_over())
        assert await views.wait_for(exposed, 10)
        await written(bucket, "torn", exposed)
        log.lost = 5
        await append(torn.noted("this one is lost"))
        rollback = await append(good.noted("this one is there"), good.rolled_back())
        await append(torn.rolled_back())
        off = await written(bucket, "good", rollback)
        assert off.exposure.to == "nobody"
        await until(lambda: bool(projector.problems()))
        assert projector.problems() == ("the projector has stopped: revision 5 expected, found 6",)
        assert views.position() == exposed
        assert (await written(bucket, "torn", 0)).exposure.to == "everyone"
