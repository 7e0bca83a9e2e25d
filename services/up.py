"""The service put together: every role in one process, or one role in a process of its own.

One rule: this is the only place that knows all roles. It hands each one what it needs, starts them in order and
stops them in the opposite one; whatever a role needs it takes as an argument.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Literal

import httpx
import uvicorn
from faststream.nats import NatsBroker
from sqlalchemy import Engine as Database

from services import descriptors
from services.analysis.house import Measuring
from services.analysis.monitor import Monitor
from services.api.app import make_app, server
from services.api.service import Notarized, Service
from services.clock import Clock
from services.database import connect
from services.engine.conversation import RemoteEngine
from services.engine.conversation import serve as serve_commands
from services.engine.engine import Engine
from services.engine.messages import Ask
from services.flags.bucket import FlagBucket
from services.flags.reader import FlagReader
from services.herald.beginning import first_start
from services.herald.herald import Herald
from services.herald.receivers import receivers
from services.intake.store import SignalStore
from services.intake.worker import Intake
from services.log.nats import JetStreamLog
from services.log.streams import create_streams, wait_for_streams
from services.loop import settle
from services.nats.connection import Connection, connect_in_time, connect_nats
from services.nats.embedded import EmbeddedServer, running_url
from services.nats.skew import skew_problem
from services.notary.checkpoint import Checkpoint
from services.notary.cutover_verify import Result
from services.notary.kept import CheckpointStream
from services.notary.live import verify_live
from services.notary.notary import Notary
from services.notary.rotation import rotate
from services.people.testers import Refresh, Testers, nothing_to_refresh
from services.people.tokens import Tokens
from services.people.vault import Vault, vault_key
from services.projector import rebuild as rebuilding
from services.projector.projector import Projector
from services.projector.same_log import disagreement
from services.record_feed import RecordFeed
from services.settings import Settings
from services.views.views import Views

logger = logging.getLogger("cutover")

Role = Literal["engine", "projector", "api", "clock", "herald", "intake", "monitor", "notary"]
ROLES: tuple[Role, ...] = ("engine", "projector", "api", "clock", "herald", "intake", "monitor", "notary")
Now = Callable[[], datetime]
LOOK = 0.05  # seconds between looks at whether everything is ready


def utc_now() -> datetime:
    """The wall clock: the one place that reads it."""
    return datetime.now(UTC)


class House:
    """What the roles of one process stand on."""

    def __init__(self, settings: Settings, connection: Connection, database: Database, now: Now) -> None:
        self.settings = settings
        self.connection = connection
        self.database = database
        self.now = now
        self.log = JetStreamLog(connection)
        self.bucket = FlagBucket(connection.jetstream())
        self.measuring = Measuring(settings, connection.jetstream())
        self.vault = Vault(database, vault_key(settings.data / "vault.key"))
        self.checks: list[Callable[[], Iterable[str]]] = [self._connected]
        self.apart: list[Callable[[], Iterable[str]]] = []
        self.work: list[Awaitable[None]] = []

    def _connected(self) -> Iterable[str]:
        return () if self.connection.is_connected else ("NATS cannot be reached",)

    def problems(self) -> tuple[str, ...]:
        """Why this process is not ready, in words; none: it is."""
        return tuple(dict.fromkeys(problem for check in self.checks for problem in check()))

    def troubles(self) -> tuple[str, ...]:
        """What goes wrong with single rollouts, in words: no reason for the others to wait."""
        return tuple(trouble for look in self.apart for trouble in look())


async def serve(
    settings: Settings,
    *,
    now: Now = utc_now,
    on_ready: Callable[[], None] | None = None,
    roles: tuple[Role, ...] = ROLES,
) -> None:
    """Run these roles until cancelled or told to stop by SIGINT or SIGTERM. `on_ready` is called once, when ready."""
    async with AsyncExitStack() as stack:
        url = settings.nats_url or await _embedded(settings, stack)
        connection = await _connection(settings, url, roles)
        stack.push_async_callback(connection.close)
        database = await asyncio.to_thread(connect, settings.database)
        stack.callback(database.dispose)
        house = await asyncio.to_thread(House, settings, connection, database, now)
        stack.push_async_callback(house.measuring.close)
        ask = await _engine(house, url, stack) if "engine" in roles else RemoteEngine(connection).ask
        await _others(house, roles, ask, stack)
        await _until_stopped(house, on_ready)


async def _connection(settings: Settings, url: str, roles: tuple[Role, ...]) -> Connection:
    """To a NATS with streams; HTTP alone begins without, and answers flag reads from what it last knew."""
    name = f"cutover {' '.join(roles)}"
    if roles == ("api",):
        return await connect_in_time(url, name=name, limit=2.0)
    connection = await connect_nats(url, name=name)
    try:
        if roles == ROLES:
            await create_streams(connection.jetstream(), settings.replicas)
        else:
            await wait_for_streams(connection.jetstream())
    except BaseException:
        await connection.close()
        raise
    return connection


async def run_role(role: Role, settings: Settings) -> None:
    """One role in a process of its own, against the NATS of the settings."""
    await serve(settings, roles=(role,))


async def init(settings: Settings) -> None:
    """Make the streams and the flag bucket where they are missing."""
    async with _connected(settings) as connection:
        await create_streams(connection.jetstream(), settings.replicas)


async def rebuild(settings: Settings, progress: Callable[[int, int], None] = rebuilding.silent) -> int:
    """Rebuild tables and flags from the log, beside a running service or without one; the number of records."""
    async with _connected(settings) as connection:
        database = await asyncio.to_thread(connect, settings.database)
        try:
            house = await asyncio.to_thread(House, settings, connection, database, utc_now)
            done = await rebuilding.rebuild(house.log, database, house.bucket, progress, hmacs=house.vault.hmacs)
            return done.revision
        finally:
            database.dispose()


async def verify(
    settings: Settings, progress: Callable[[int, int], None], key: str, at_least: int, elsewhere: list[str]
) -> Result:
    """Check the log as it stands against what was signed, beside a running service or without one."""
    async with _connected(settings) as connection:
        database = await asyncio.to_thread(connect, settings.database)
        try:
            log, kept = JetStreamLog(connection), CheckpointStream(connection)
            return await verify_live(
                log, kept, settings.data, database, progress, key=key, at_least=at_least, elsewhere=elsewhere
            )
        finally:
            database.dispose()


async def rotate_key(settings: Settings) -> Checkpoint:
    """Hand the notary's work over to a new key."""
    async with _connected(settings) as connection:
        return await rotate(CheckpointStream(connection), settings.data)


# -- the roles


async def _engine(house: House, url: str, stack: AsyncExitStack) -> Ask:
    engine = Engine(
        house.log,
        house.now,
        sealer=house.vault,
        default_approvers=house.settings.default_approvers,
        measure=house.measuring.afresh,
        also=partial(disagreement, house.log, house.database),
    )
    await engine.check()
    house.checks.append(lambda: engine.problems)
    house.work.append(engine.watch())
    broker = NatsBroker(
        url.split(","), name="cutover commands", max_reconnect_attempts=-1, reconnect_time_wait=1, logger=None
    )
    serve_commands(broker, engine.ask)
    await broker.start()
    stack.push_async_callback(broker.stop)
    return engine.ask


async def _others(house: House, roles: tuple[Role, ...], ask: Ask, stack: AsyncExitStack) -> None:
    views = Views(house.database)
    refresh: Refresh = nothing_to_refresh
    if "projector" in roles:
        projector = Projector(
            house.log, house.database, house.bucket, house.now, house.vault.hmacs, on_commit=views.notify
        )
        house.checks.append(projector.problems)
        house.work.append(projector.run())
        refresh = projector.refresh
    if "clock" in roles:
        clock = Clock(house.log, ask, house.now)
        house.apart.append(clock.troubles)
        house.work.append(clock.run())
    if "intake" in roles:
        connection, readings = house.connection, house.measuring.readings
        intake = Intake(connection, SignalStore(connection), house.log, ask, readings)
        house.checks.append(intake.problems)
        house.work.append(intake.run())
    if "monitor" in roles:
        measuring = house.measuring
        monitor = Monitor(house.log, ask, measuring.measurer, measuring.readings, house.now)
        house.apart.append(monitor.troubles)
        house.work.append(monitor.run())
    if "herald" in roles:
        client = await stack.enter_async_context(httpx.AsyncClient())
        told, since = receivers(house.settings, client), partial(first_start, house.database)
        herald = Herald(house.log, ask, house.now, told, since, link=house.settings.link)
        house.apart.append(herald.troubles)
        house.work.append(herald.run())
    if "notary" in roles:
        notary = Notary(house.log, CheckpointStream(house.connection), house.settings.data)
        house.checks.append(notary.problems)
        house.work.append(notary.run())
    if house.now is utc_now:
        house.work.append(_watch_time(house))
    if "api" in roles:
        await _api(house, views, ask, refresh, stack)


async def _api(house: House, views: Views, ask: Ask, refresh: Refresh, stack: AsyncExitStack) -> None:
    flags = FlagReader(house.connection, house.settings.data / "flags", house.now)
    house.checks.append(flags.problems)
    await flags.start(limit=0.0)
    stack.push_async_callback(flags.stop)
    tokens = Tokens(house.database, house.now)
    await asyncio.to_thread(tokens.ensure_admin, house.settings.data / "admin.token")
    store, secret = SignalStore(house.connection), house.settings.github_secret
    readings = house.measuring.readings
    testers = Testers(house.log, ask, views, house.vault, refresh)
    feed = RecordFeed(house.log, base=house.settings.public_url)
    house.work.append(feed.run())
    service = Service(
        ask,
        views,
        flags,
        tokens,
        house.vault,
        house.now,
        house.problems,
        store,
        secret,
        readings,
        testers,
        feed,
        house.log,
        house.settings.link,
        Notarized(house.log, CheckpointStream(house.connection), house.settings.data),
        house.settings.public_url,
        house.troubles,
    )
    descriptors.take_all()
    app = make_app(service)
    http = _Http(server(app, house.settings.host, house.settings.port).config, app.close)
    house.checks.append(lambda: () if http.started else ("HTTP is not listening yet",))
    house.work.append(http.serve_until_cancelled())


class CannotListen(OSError):
    """HTTP's address and port are not to be had."""


class _Http(uvicorn.Server):
    """uvicorn that leaves the signals to us: the roles stop in order. `ending` is called before it stops."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve_until_cancelled(self) -> None:
        """Requests under way are finished, for two seconds at most."""
        self.config.timeout_graceful_shutdown = 2
        try:
            await self.serve()
        except SystemExit:  # uvicorn's way of saying that it could not listen
            raise CannotListen(f"cannot listen on {self.config.host} port {self.config.port}: is it in use?") from None
        except asyncio.CancelledError:
            self._ending()
            await self.shutdown()
            raise


async def _watch_time(house: House) -> None:
    """Not ready while this machine's clock is far from the NATS server's."""
    found: list[str] = []
    house.checks.append(lambda: found)
    while True:
        with contextlib.suppress(Exception):  # whether NATS can be reached is another check's matter
            found[:] = await skew_problem(house.connection, house.now)
        await asyncio.sleep(10)


# -- starting and stopping


async def _embedded(settings: Settings, stack: AsyncExitStack) -> str:
    embedded = EmbeddedServer(settings.data, binary=settings.nats_server)
    await embedded.start()
    stack.push_async_callback(embedded.stop)
    keeping = asyncio.create_task(embedded.run())
    stack.callback(keeping.cancel)
    return embedded.url


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Connection]:
    """A connection to the NATS of the settings: named, or running on the data folder, or started for this."""
    async with AsyncExitStack() as stack:
        url = settings.nats_url or running_url(settings.data) or await _embedded(settings, stack)
        connection = await connect_nats(url, name="cutover")
        stack.push_async_callback(connection.close)
        yield connection


async def _until_stopped(house: House, on_ready: Callable[[], None] | None) -> None:
    """Run everything; the first failure ends all, and so does a signal."""
    stopped = asyncio.Event()
    _on_signals(stopped.set)
    settle()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_forever(work)) for work in house.work]
            tasks.append(group.create_task(_tell(house, on_ready)))
            await stopped.wait()
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def _forever(work: Awaitable[None]) -> None:
    await work
    raise RuntimeError("a part of the service ended by itself")


async def _tell(house: House, on_ready: Callable[[], None] | None) -> None:
    while house.problems():  # noqa: ASYNC110 (they change in many places, some of them in other processes)
        await asyncio.sleep(LOOK)
    logger.info("ready")
    if on_ready is not None:
        on_ready()


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(RuntimeError, ValueError, NotImplementedError):  # not the main thread: nobody signals
            loop.add_signal_handler(number, stop)
