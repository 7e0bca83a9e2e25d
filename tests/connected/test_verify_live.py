"""`cutover verify` and `cutover export` on logs, checkpoints and tables that somebody has been at."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from nats.js.api import DiscardPolicy
from sqlalchemy import Engine, text

from events.codec import digest
from services.database import connect
from services.log.streams import create_streams
from services.nats.connection import Connection
from services.notary import keys
from services.notary.checkpoint import Handover, read_checkpoint
from services.notary.cutover_verify import Finding, Result, read_key, scan, verify
from services.notary.export import export
from services.notary.kept import Folder
from services.notary.live import verify_live
from services.notary.rotation import CannotRotate, rotate
from services.projector.tables import prepare
from tests.connected.test_notary import Desk, desk, remade

pytestmark = pytest.mark.connected
__all__ = ["desk"]  # the fixture


async def looked_at(desk: Desk, database: Engine | None = None, elsewhere: Sequence[str] = ()) -> Result:
    database = database or connect(f"sqlite:///{desk.data / 'empty.db'}")
    work = verify_live(desk.log, desk.kept, desk.data, database, lambda *_: None, elsewhere=elsewhere, patience=0.5)
    try:
        return await work
    finally:
        database.dispose()


def found(result: Result) -> list[tuple[str, int, int]]:
    return [finding[:3] for finding in result.findings]


async def signed_up_to(desk: Desk, size: int) -> None:
    await desk.append(size - len(desk.stored))
    async with desk.notary():
        await desk.signed(size)


async def test_a_database_without_tables_has_nothing_to_say(desk: Desk) -> None:
    await signed_up_to(desk, 5)
    assert (await looked_at(desk)).findings == []


async def test_records_that_the_notary_has_not_come_to_are_not_called_signed(desk: Desk) -> None:
    await signed_up_to(desk, 5)
    await desk.append(40)
    result = await looked_at(desk)
    assert (found(result), result.size) == ([("unsigned", 6, 45)], 5)


async def test_records_that_are_signed_a_moment_later_are_waited_for(desk: Desk) -> None:
    await signed_up_to(desk, 5)
    async with desk.notary():
        await desk.append(20)
        result = await looked_at(desk)
    assert (result.findings, result.size) == ([], result.records)
    assert result.records >= 25


async def test_tables_that_know_more_than_the_log_are_heard(desk: Desk, nats_client: Connection) -> None:
    js = nats_client.jetstream()
    await signed_up_to(desk, 5)
    old = Folder(desk.data).latest()
    assert old is not None
    await signed_up_to(desk, 20)
    database = connect(f"sqlite:///{desk.data / 'cutover.db'}")
    prepare(database)
    with database.begin() as connection:
        connection.execute(text("UPDATE generations SET seq = 20, hash = :hash"), {"hash": digest(desk.stored[-1][1])})
    await js.delete_stream("CHECKPOINTS")
    await remade(desk, js, desk.stored[:5])
    await js.publish("rollouts.checkpoints", old.encode())
    Folder(desk.data).keep(old)
    assert ("cut", 6, 20) in found(await looked_at(desk, database))


async def test_checkpoints_that_were_removed_from_the_front_are_missed(desk: Desk, nats_client: Connection) -> None:
    js = nats_client.jetstream()
    for size in (5, 10, 15):
        await signed_up_to(desk, size)
    assert found(await looked_at(desk)) == []
    config = (await js.stream_info("CHECKPOINTS")).config
    config.max_msgs, config.discard = 1, DiscardPolicy.OLD
    await js.update_stream(config)
    [finding] = (await looked_at(desk)).findings
    assert finding.kind == "checkpoint"
    assert "those before it were removed" in finding.words


async def exported(desk: Desk) -> list[Finding]:
    file = b"".join([piece async for piece in export(desk.log, desk.kept, patience=0.5)])
    return verify([scan(file)], [read_key(str(keys.signer(desk.data).verifier))]).findings


async def test_a_message_that_is_no_checkpoint_is_exported_and_named(desk: Desk, nats_client: Connection) -> None:
    await signed_up_to(desk, 5)
    await nats_client.jetstream().publish("rollouts.checkpoints", b"garbage")
    for findings in (await exported(desk), (await looked_at(desk)).findings):
        assert [finding.kind for finding in findings] == ["checkpoint"]


async def test_a_record_on_a_subject_that_needs_escapes_does_not_make_the_log_unverifiable(
    desk: Desk, nats_client: Connection
) -> None:
    await desk.append(3)
    await nats_client.jetstream().publish('rollouts.log.a"b', b"{}")
    desk.stored.append(('a"b', b"{}"))
    await signed_up_to(desk, 6)
    for findings in (await exported(desk), (await looked_at(desk)).findings):
        assert [finding[:3] for finding in findings] == [("chain", 4, 4)]


async def test_a_new_key_vouches_for_no_log_that_contradicts_the_checkpoint_in_the_file(
    desk: Desk, nats_client: Connection
) -> None:
    js = nats_client.jetstream()
    await signed_up_to(desk, 20)
    await js.delete_stream("CHECKPOINTS")
    await remade(desk, js, [*desk.stored[1:], desk.stored[0]])
    await create_streams(js)
    before = keys.signer(desk.data)
    with pytest.raises(CannotRotate, match=r"is of 20 records, and the last one of the stream CHECKPOINTS of 0"):
        await rotate(desk.kept, desk.data)
    assert keys.signer(desk.data) == before
    latest = Folder(desk.data).latest()
    assert latest is not None
    assert read_checkpoint(latest)[0].size == 20


async def test_a_handover_is_taken_up_only_if_it_goes_on_from_the_file(desk: Desk) -> None:
    """Cut off after the stream had it; meanwhile the file is of more records."""
    await signed_up_to(desk, 5)
    later = Folder(desk.data).latest()
    assert later is not None
    old, new = keys.signer(desk.data), keys.next_signer(desk.data)
    handover = read_checkpoint(later)[0]._replace(size=3, root=desk.root(3))
    last = await desk.kept.last()
    assert last is not None
    note = handover._replace(handover=Handover(old.verifier, new.verifier)).signed([old, new])
    await desk.kept.append(note, after=last.sequence)
    async with desk.notary() as notary:
        assert "fewer records than the checkpoint in the file" in await desk.refusal(notary)
    assert Folder(desk.data).latest() == later
    assert keys.signer(desk.data) == old
