"""Three real nodes from deploy/nats/*.conf, as compose.yaml starts them: who may do what there, and what survives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import nats
import pytest
from cutover_openfeature import CutoverProvider
from msgspec.structs import replace
from nats.js import JetStreamContext

from events.codec import log_subject
from events.facts import EVERYONE
from events.readings import Reading
from projections.flags import FlagSnapshot
from services.analysis.readings import JetStreamReadings
from services.flags.bucket import FlagBucket
from services.flags.marks import Mark
from services.log.nats import JetStreamLog
from services.log.streams import problems, wait_for_streams, wanted
from services.nats.connection import CannotConnect, connect_nats
from tests.histories import START
from tests.nats_cluster import APPLICATION, ROLES, Cluster, start_cluster, streams_on_three_nodes

pytestmark = [pytest.mark.connected, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Shared by this module's tests; the last one kills a node."""
    started = start_cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield started
    finally:
        started.kill_all()


async def refusals(cluster: Cluster, user: str, subjects: list[str]) -> list[str]:
    """What the server says when `user` publishes to each of the subjects: one refusal each, if it refuses them all."""
    said: list[str] = []
    all_said = asyncio.Event()

    async def keep(error: Exception) -> None:
        said.append(str(error).lower())
        if len(said) == len(subjects):
            all_said.set()

    connection = await nats.connect(cluster.url(user).split(","), error_cb=keep)
    for subject in subjects:
        await connection.publish(subject, b"{}", reply=connection.new_inbox())
    with suppress(TimeoutError):
        await asyncio.wait_for(all_said.wait(), 5)
    await connection.close()
    return said


async def test_init_makes_every_stream_with_three_replicas(cluster: Cluster) -> None:
    await streams_on_three_nodes(cluster)
    async with cluster.connected("engine") as connection:
        js = connection.jetstream()
        await wait_for_streams(js)
        assert await problems(js, replicas=3) == []


@pytest.mark.parametrize("user", [*ROLES, APPLICATION])
async def test_no_account_can_delete_purge_or_change_a_stream(cluster: Cluster, user: str) -> None:
    await streams_on_three_nodes(cluster)
    actions = ("DELETE", "PURGE", "UPDATE", "MSG.DELETE", "RESTORE", "SNAPSHOT", "LEADER.STEPDOWN")
    subjects = [f"$JS.API.STREAM.{action}.{config.name}" for config in wanted(3) for action in actions]
    said = await refusals(cluster, user, subjects)
    assert [subject for subject in subjects if not any(f'"{subject.lower()}"' in text for text in said)] == []
    async with cluster.connected("engine") as connection:
        assert await problems(connection.jetstream(), replicas=3) == []


@pytest.mark.parametrize(
    "user", ["engine", "clock", "herald", "intake", "monitor", "notary", "projector", "api", APPLICATION]
)
async def test_only_init_makes_streams(cluster: Cluster, user: str) -> None:
    [said] = await refusals(cluster, user, ["$JS.API.STREAM.CREATE.ROLLOUTS"])
    assert "permissions violation for publish" in said


@pytest.mark.parametrize(
    "user", ["clock", "herald", "intake", "monitor", "notary", "projector", "api", "init", APPLICATION]
)
async def test_only_the_engine_writes_to_the_log(cluster: Cluster, user: str) -> None:
    await streams_on_three_nodes(cluster)
    [said] = await refusals(cluster, user, [log_subject("forged")])
    assert "permissions violation for publish" in said
    async with cluster.connected("engine") as connection:
        assert await JetStreamLog(connection).last_revision("forged") == 0


@pytest.mark.parametrize("user", ["clock", "herald", "intake", "monitor", "notary", "projector", "api"])
async def test_the_other_roles_read_what_the_engine_wrote(cluster: Cluster, user: str) -> None:
    await streams_on_three_nodes(cluster)
    async with cluster.connected("engine") as writer, cluster.connected(user) as reader:
        log = JetStreamLog(writer)
        expected = await log.last_revision(f"read-by-{user}")
        revision = await log.append(f"read-by-{user}", b"{}", expected=expected, command_id="c-1")
        seen = [entry async for batch in JetStreamLog(reader).follow(0, until=revision) for entry in batch]
    assert seen[-1].revision == revision
    assert seen[-1].rollout == f"read-by-{user}"


async def test_an_application_may_read_the_flag_bucket_and_nothing_else(cluster: Cluster) -> None:
    await streams_on_three_nodes(cluster)
    snapshot = FlagSnapshot(2, "vaos", 10, START, "cutover", ("a", "b"), EVERYONE)
    async with cluster.connected("projector") as connection:
        bucket = FlagBucket(connection.jetstream())
        await bucket.write([snapshot])
        await bucket.mark(Mark(10, START, ""))
    provider = CutoverProvider(cluster.url(APPLICATION))
    try:
        await asyncio.to_thread(provider.initialize)
        assert provider.is_on("a")
    finally:
        await asyncio.to_thread(provider.shutdown)
    forbidden = [
        "$KV.flags.vaos",
        "rollouts.command.vaos",
        "rollouts.signals.ci.x",
        "$JS.API.STREAM.MSG.GET.ROLLOUTS",
        "$JS.API.CONSUMER.CREATE.ROLLOUTS",
        "$JS.API.CONSUMER.CREATE.ATTEMPTS.x.>",
    ]
    assert len(await refusals(cluster, APPLICATION, forbidden)) == len(forbidden)


async def test_an_application_hears_nobody_elses_answers(cluster: Cluster) -> None:
    said: list[str] = []
    heard = asyncio.Event()

    async def keep(error: Exception) -> None:
        said.append(str(error).lower())
        heard.set()

    connection = await nats.connect(cluster.url(APPLICATION).split(","), error_cb=keep)
    await connection.subscribe("_INBOX.>")
    await asyncio.wait_for(heard.wait(), 5)
    await connection.close()
    assert "permissions violation for subscription" in said[0]


async def test_readings_are_published_by_who_may_and_read_by_who_judges(cluster: Cluster) -> None:
    await streams_on_three_nodes(cluster)
    now = datetime.now(UTC)
    reading = Reading("read", "load", now, 1.0, source="ci", id="1")
    async with cluster.connected("api") as api, cluster.connected("monitor") as monitor:
        await JetStreamReadings(api.jetstream()).keep(reading)
        kept = JetStreamReadings(monitor.jetstream())
        await kept.keep(replace(reading, verdict="pass", source="monitor"))
        assert await kept.of("read", "load", now - timedelta(minutes=1)) == [reading]
        await kept.keep(replace(reading, verdict="fail", source="monitor", id="2", at=now + timedelta(seconds=30)))
        seen = JetStreamReadings(api.jetstream())
        later = now + timedelta(minutes=1)
        both = await seen.measured("read", "load", now - timedelta(minutes=1), later, 10)
        assert [one.verdict for one in both] == ["pass", "fail"]
        assert await seen.measured("read", "load", now - timedelta(minutes=1), later, 1) == both[:1]
        assert await seen.measured("read", "load", now, later, 10) == both[1:]
        assert await seen.measured("read", "load", now - timedelta(minutes=1), now, 10) == both[:1]
        assert await seen.measured("read", "nothing", now - timedelta(minutes=1), later, 10) == []
    async with cluster.connected("engine") as engine:
        assert await JetStreamReadings(engine.jetstream()).of("read", "load", now - timedelta(minutes=1)) == [reading]


async def test_the_account_of_the_api_reads_a_rollouts_records_for_its_report(cluster: Cluster) -> None:
    await streams_on_three_nodes(cluster)
    async with cluster.connected("engine") as engine, cluster.connected("api") as api:
        stored = await JetStreamLog(engine).append("told", b"a record", expected=0, command_id="told-1")
        assert [entry.revision for entry in await JetStreamLog(api).read("told")] == [stored]


async def test_a_wrong_password_is_refused(cluster: Cluster) -> None:
    url = f"nats://engine:guessed@127.0.0.1:{cluster.nodes[0].port}"
    with pytest.raises(CannotConnect):
        await connect_nats(url, name="intruder", limit=1.0)


async def test_an_acknowledged_record_survives_the_loss_of_the_node_that_leads(cluster: Cluster) -> None:
    await streams_on_three_nodes(cluster)
    async with cluster.connected("engine") as connection:
        log = JetStreamLog(connection, limit=40.0)
        first = await log.append("survivor", b'{"n":1}', expected=0, command_id="c-1")
        leader = await leader_of_the_log(connection.jetstream())
        cluster.kill(leader)
        second = await log.append("survivor", b'{"n":2}', expected=first, command_id="c-2")
        entries = await log.read("survivor")
    assert [(entry.revision, entry.data) for entry in entries] == [(first, b'{"n":1}'), (second, b'{"n":2}')]


async def leader_of_the_log(js: JetStreamContext) -> str:
    info = await js.stream_info("ROLLOUTS")
    assert info.cluster is not None
    assert info.cluster.leader
    return info.cluster.leader
