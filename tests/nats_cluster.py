"""Three nats-server processes from deploy/nats/*.conf, as compose.yaml starts them, on loopback.

One rule: the configuration is the shipped one; only ports, folders and passwords are ours.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
from msgspec import Struct
from nats.js.errors import ServiceUnavailableError

from services.log.streams import create_streams
from services.nats.connection import Connection, connect_nats
from services.nats.process import find_server

CONFIG = Path(__file__).resolve().parents[1] / "deploy" / "nats" / "cluster.conf"
ROLES = ("init", "engine", "clock", "herald", "intake", "monitor", "notary", "projector", "api")
APPLICATION = "application"  # no role of ours: whoever evaluates flags in process
PASSWORD = "for-this-test-only"


class Node(Struct):
    """One nats-server process and the port clients use."""

    name: str
    port: int
    process: subprocess.Popen[bytes]


class Cluster(Struct):
    """Three nodes that know each other."""

    nodes: tuple[Node, ...]

    def url(self, user: str) -> str:
        """Where this account connects: all three nodes."""
        return ",".join(f"nats://{user}:{PASSWORD}@127.0.0.1:{node.port}" for node in self.nodes)

    @asynccontextmanager
    async def connected(self, user: str) -> AsyncIterator[Connection]:
        """A connection of this account."""
        connection = await connect_nats(self.url(user), name=f"test-{user}")
        try:
            yield connection
        finally:
            await connection.close()

    def kill(self, name: str) -> None:
        """kill -9 of one node."""
        node = next(node for node in self.nodes if node.name == name)
        node.process.kill()
        node.process.wait()

    def kill_all(self) -> None:
        """The end of a test."""
        for node in self.nodes:
            self.kill(node.name)


def start_cluster(folder: Path) -> Cluster:
    """Three nodes with their files in `folder`; the routes name all three, as in compose.yaml."""
    binary = find_server()
    ports = free_ports(6)
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports[3:])
    passwords = {f"CUTOVER_NATS_PASSWORD_{role.upper()}": PASSWORD for role in (*ROLES, APPLICATION)}
    nodes = []
    for number in range(3):
        name = f"nats-{number + 1}"
        command = [binary, "-c", str(CONFIG), "--name", name, "-a", "127.0.0.1", "-p", str(ports[number])]
        command += ["--cluster_listen", f"nats://127.0.0.1:{ports[number + 3]}", "--routes", routes]
        command += ["-sd", str(folder / name), "-l", str(folder / f"{name}.log")]
        nodes.append(Node(name, ports[number], subprocess.Popen(command, env=os.environ | passwords)))
    return Cluster(tuple(nodes))


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


async def streams_on_three_nodes(cluster: Cluster) -> None:
    """Made by `init` as soon as the cluster has a leader, which takes it a second or two."""
    async with cluster.connected("init") as connection:
        js = connection.jetstream()
        async with asyncio.timeout(30):
            while True:
                try:
                    await create_streams(js, replicas=3)
                    return
                except (ServiceUnavailableError, nats.errors.TimeoutError, nats.errors.NoRespondersError):
                    await asyncio.sleep(0.2)
