"""The streams' configuration: made once, never changed, and every difference named."""

from __future__ import annotations

import asyncio

import pytest
from nats.js import JetStreamContext, api

from services.log.nats import JetStreamLog
from services.log.protocol import Unavailable
from services.log.streams import create_streams, problems, wait_for_streams, wanted
from services.nats.connection import Connection

pytestmark = pytest.mark.connected


@pytest.fixture
async def js(nats_client: Connection) -> JetStreamContext:
    await create_streams(nats_client.jetstream())
    return nats_client.jetstream()


async def config_of(js: JetStreamContext, stream: str) -> api.StreamConfig:
    return (await js.stream_info(stream)).config


async def test_what_was_just_made_is_as_wanted(js: JetStreamContext) -> None:
    assert await problems(js) == []
    log = await config_of(js, "ROLLOUTS")
    assert log.deny_delete
    assert log.deny_purge
    assert (log.discard, log.storage, log.compression) == ("new", "file", "s2")
    assert log.allow_direct is False


async def test_making_the_streams_again_changes_nothing(js: JetStreamContext) -> None:
    await js.publish("rollouts.log.vaos", b"one")
    before = [await js.stream_info(str(config.name)) for config in wanted()]
    await create_streams(js)
    after = [await js.stream_info(str(config.name)) for config in wanted()]
    assert [(i.config, i.state.messages, i.created) for i in after] == [
        (i.config, i.state.messages, i.created) for i in before
    ]


async def test_many_may_make_the_streams_at_once(nats_client: Connection) -> None:
    js = nats_client.jetstream()
    await asyncio.gather(*(create_streams(js) for _ in range(8)))
    assert await problems(js) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_msgs": 1000}, "stream ROLLOUTS: max_msgs is 1000, expected none"),
        ({"max_bytes": 5_000_000}, "stream ROLLOUTS: max_bytes is 5000000, expected none"),
        ({"max_age": 3600.0}, "stream ROLLOUTS: max_age is 3600, expected none"),
        ({"discard": "old"}, "stream ROLLOUTS: discard is old, expected new"),
        ({"max_msg_size": 1000}, "stream ROLLOUTS: max_msg_size is 1000, expected 1048576"),
        ({"allow_direct": True}, "stream ROLLOUTS: allow_direct is True, expected none"),
        ({"subjects": ["rollouts.log.>", "x"]}, "stream ROLLOUTS: subjects is ['rollouts.log.>', 'x'], expected"),
        ({"sealed": True}, "stream ROLLOUTS: sealed is True, expected none"),
        ({"max_msgs_per_subject": 5}, "stream ROLLOUTS: max_msgs_per_subject is 5, expected none"),
    ],
)
async def test_a_changed_setting_is_named_with_what_was_expected(
    js: JetStreamContext, change: dict[str, object], said: str
) -> None:
    await js.update_stream(await config_of(js, "ROLLOUTS"), **change)
    assert [line for line in await problems(js) if line.startswith(said)]


async def test_starting_anew_does_not_put_a_changed_setting_back(js: JetStreamContext) -> None:
    await js.update_stream(await config_of(js, "ROLLOUTS"), max_msgs=1000)
    await create_streams(js)
    assert await problems(js) == ["stream ROLLOUTS: max_msgs is 1000, expected none"]


@pytest.mark.parametrize("stream", ["ROLLOUTS", "ATTEMPTS", "KV_flags"])
async def test_a_deleted_stream_is_named(js: JetStreamContext, stream: str) -> None:
    await js.delete_stream(stream)
    assert await problems(js) == [f"stream {stream} is missing"]


async def test_a_log_made_anew_behind_our_back_is_noticed(js: JetStreamContext, nats_client: Connection) -> None:
    log = JetStreamLog(nats_client)
    for number in range(3):
        await log.append("vaos", b"%d" % number, expected=number, command_id=str(number))
    await js.delete_stream("ROLLOUTS")
    await create_streams(js)
    assert await log.problems() == ["the log was read up to revision 3, but its last is 0: records are lost"]


async def test_a_stream_that_began_later_has_lost_its_history(js: JetStreamContext) -> None:
    config = await config_of(js, "ROLLOUTS")
    await js.delete_stream("ROLLOUTS")
    config.first_seq = 100
    await js.add_stream(config)
    await js.publish("rollouts.log.vaos", b"one")
    assert "stream ROLLOUTS: the first revision is 100, expected 1: history was cut off" in await problems(js)


async def test_other_roles_wait_for_the_streams_and_say_what_is_missing(nats_client: Connection) -> None:
    js = nats_client.jetstream()
    with pytest.raises(Unavailable, match=r"no stream ROLLOUTS.*cutover init"):
        await wait_for_streams(js, limit=0.2)
    waiting = asyncio.create_task(wait_for_streams(js))
    await create_streams(js)
    await asyncio.wait_for(waiting, 5)


async def test_the_bucket_is_one_that_nats_clients_open_as_usual(js: JetStreamContext) -> None:
    bucket = await js.key_value("flags")
    first = await bucket.put("vaos", b"one")
    assert await bucket.update("vaos", b"two", last=first) > first
    assert (await bucket.get("vaos")).value == b"two"
    assert (await bucket.status()).history == 1
