"""The engine on a real log: accepted once, answered for ever, refused on the latest state, stopped when it must."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from nats.js import JetStreamContext

from events.codec import decode, decode_attempt
from events.facts import Actor, Evidence, Role
from events.plan.reading import read_plan
from services.engine.conversation import _answer
from services.engine.engine import Engine
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.log.nats import JetStreamLog
from services.nats.connection import Connection
from services.rollout import commands as c
from services.rollout.measured import Measured
from services.rollout.state import Rollout
from services.rollout.steps import current_step

pytestmark = pytest.mark.connected

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MANAGER = Actor("mo", "release_manager")
OTHER = Actor("max", "release_manager")
PLAN = read_plan({"title": "A release", "toggles": {"one": "", "two": ""}}, default_id="release")


def engine(log: JetStreamLog) -> Engine:
    return Engine(log, lambda: NOW)


async def say(of: Engine, command_id: str, command: c.Command, by: Actor = MANAGER, rollout: str = "release") -> Reply:
    return await of.ask(Request(rollout, command_id, by, command))


async def accepted(of: Engine, command_id: str, command: c.Command, rollout: str = "release") -> Accepted:
    reply = await say(of, command_id, command, rollout=rollout)
    assert isinstance(reply, Accepted), reply
    return reply


async def test_a_repeated_command_gets_its_first_answer_from_any_engine(jetstream_log: JetStreamLog) -> None:
    first = engine(jetstream_log)
    await accepted(first, "a1", c.Adopt(PLAN))
    answer = await accepted(first, "n1", c.AddNote("once"))
    await accepted(first, "n2", c.AddNote("and another"))
    for again in (first, engine(jetstream_log)):
        assert msgspec.json.encode(await say(again, "n1", c.AddNote("once"))) == msgspec.json.encode(answer)
    assert await jetstream_log.head() == 3


async def test_a_command_id_is_not_used_twice_for_different_things(jetstream_log: JetStreamLog) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    await accepted(one, "n1", c.AddNote("once"))
    for reply in (await say(one, "n1", c.AddNote("twice")), await say(one, "n1", c.AddNote("once"), by=OTHER)):
        assert isinstance(reply, Refusal)
        assert reply.code == "command-id-reused"
        assert "'n1' was used at revision 2" in reply.reasons[0]
    assert await jetstream_log.head() == 2


async def test_an_engine_that_is_behind_does_not_refuse_on_what_was_so(jetstream_log: JetStreamLog) -> None:
    ahead, behind = engine(jetstream_log), engine(jetstream_log)
    await accepted(ahead, "a1", c.Adopt(PLAN))
    await accepted(behind, "n1", c.AddNote("now both know it"))
    await accepted(ahead, "d1", c.ReportDeploy("api", "1"))
    await accepted(behind, "h1", c.Halt(reason="halting needs an active phase, which this engine has not seen"))
    already = await accepted(ahead, "h2", c.Halt(reason="it is halted already"))
    assert already.already
    assert already.facts == ()


async def test_two_engines_deciding_at_once_lose_nothing(jetstream_log: JetStreamLog) -> None:
    engines = [engine(jetstream_log) for _ in range(3)]
    await accepted(engines[0], "a1", c.Adopt(PLAN))
    replies = await asyncio.gather(*(accepted(engines[n % 3], f"n{n}", c.AddNote(str(n))) for n in range(60)))
    assert sorted(reply.revision for reply in replies) == list(range(2, 62))


async def test_a_refusal_is_kept_beside_the_log_and_not_remembered(jetstream_log: JetStreamLog) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    reply = await say(one, "g1", c.GoLive())
    assert isinstance(reply, Refusal)
    assert reply.phase == "planned"
    assert await jetstream_log.head() == 1
    kept = [decode_attempt(entry.data) for entry in await jetstream_log.attempts(0)]
    assert [(k.command, k.command_id, k.reasons) for k in kept] == [("go_live", "g1", reply.reasons)]
    await accepted(one, "g1", c.AddNote("the id of a refused command may be used again"))


async def test_a_dry_run_writes_nothing_and_says_what_would_happen(jetstream_log: JetStreamLog) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    would = await accepted(one, "d1", c.ReportDeploy("api", "1", dry_run=True))
    assert would.dry_run
    assert would.effects == ("the rollout goes from planned to code_deploy",)
    refused = await say(one, "d2", c.CutOver(dry_run=True))
    assert isinstance(refused, Refusal)
    assert await jetstream_log.head() == 1
    assert await jetstream_log.attempts(0) == []
    assert not (await accepted(one, "d1", c.ReportDeploy("api", "1"))).dry_run


@pytest.mark.parametrize("own", ["clock:open:s1", "herald:1:slack", "monitor:stage-1:4", "ci:deploy:0a"])
async def test_only_a_part_of_the_service_uses_its_ids(jetstream_log: JetStreamLog, own: str) -> None:
    reply = await say(engine(jetstream_log), own, c.AddNote("mine"))
    assert isinstance(reply, Refusal)
    assert reply.code == "invalid"


async def test_monitor_and_ci_use_their_own_ids_and_any_other(jetstream_log: JetStreamLog) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    for by, name in ((Actor("m", "monitor"), "monitor:1"), (Actor("ci", "ci"), "ci:1"), (Actor("ci", "ci"), "mine")):
        assert isinstance(await say(one, name, c.AddNote("x"), by=by), Accepted)


@pytest.mark.parametrize("by", [MANAGER, Actor("pipeline", "ci"), Actor("mo\0", "release_manager")])
async def test_who_can_say_it_again_is_refused_what_no_table_can_keep(jetstream_log: JetStreamLog, by: Actor) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    text = "" if "\0" in by.subject else "v\0x"
    reply = await say(one, "d1", c.ReportDeploy("api", text), by=by)
    assert isinstance(reply, Refusal)
    assert (reply.code, await jetstream_log.head()) == ("invalid", 1)
    assert reply.reasons == ("a text holds the character U+0000, which not every database can keep",)
    escaped = await say(one, "d1", c.ReportDeploy("api", r"v\u0000x"), by=Actor("pipeline", "ci"))
    assert isinstance(escaped, Accepted)


@pytest.mark.parametrize("role", ["monitor", "clock", "herald"])
async def test_what_must_be_recorded_is_kept_without_what_no_table_can_keep(
    jetstream_log: JetStreamLog, role: Role
) -> None:
    commands: dict[str, tuple[str, c.Command]] = {
        "monitor": ("h1", c.Halt(reason='pod="a\0b" fails')),
        "clock": ("clock:r1", c.Remind("a\0b", "a\0b")),
        "herald": ("herald:d1", c.RecordDelivery("release/2/0", "slack", "not sent", why="a\0b")),
    }
    one, by, (command_id, command) = engine(jetstream_log), Actor(role, role), commands[role]
    await accepted(one, "a1", c.Adopt(PLAN))
    await accepted(one, "d1", c.ReportDeploy("api", "1"))
    answers = [await say(of, command_id, command, by=by) for of in (one, one, engine(jetstream_log))]
    assert isinstance(answers[0], Accepted), answers[0]
    assert answers[1:] == [answers[0]] * 2
    assert await jetstream_log.head() == 3
    stored = (await jetstream_log.read("release"))[-1].data.decode()
    assert "a\ufffdb" in stored
    assert r"\u0000" not in stored


async def test_what_was_measured_refuses_no_promotion_for_what_no_table_can_keep(jetstream_log: JetStreamLog) -> None:
    async def measure(state: Rollout, command: c.Command, now: datetime) -> Measured:
        return Measured(current_step(state), state.step_ordinal, (), (Evidence("query", "up", 'pod="a\0b"'),))

    hours = iter(range(0, 1000, 25))
    one = Engine(jetstream_log, lambda: NOW + timedelta(hours=next(hours)), measure=measure)
    await accepted(one, "a1", c.Adopt(PLAN))
    await accepted(one, "d1", c.ReportDeploy("api", "1"))
    await accepted(one, "s1", c.StartTesting())
    assert [e.text for e in decode((await jetstream_log.read("release"))[-1].data).evidence] == ['pod="a\ufffdb"']


@pytest.mark.parametrize("rollout", ["", "UPPER", "a.b", "a b", "*", ">", "x" * 64, "a-plan\n"])
async def test_what_is_no_rollouts_id_reaches_no_subject(jetstream_log: JetStreamLog, rollout: str) -> None:
    reply = await say(engine(jetstream_log), "n1", c.AddNote("x"), rollout=rollout)
    assert isinstance(reply, Refusal)
    assert reply.code == "unknown-rollout"


@pytest.mark.parametrize("command_id", ["", "two words", "n1\n", "x" * 201, "n\u00e9"])
async def test_what_is_no_command_id_is_refused(jetstream_log: JetStreamLog, command_id: str) -> None:
    reply = await say(engine(jetstream_log), command_id, c.AddNote("x"))
    assert isinstance(reply, Refusal)
    assert reply.code == "invalid"


async def test_going_up_within_a_stage_knows_that_the_release_before_it_is_live(jetstream_log: JetStreamLog) -> None:
    small = {
        "toggles": {"first": ""},
        "go_no_go": {"decided_by": ["Product Owner"], "before": ["go live"]},
        "deploy": {"services": ["api"], "watch": [{"until": "1 second"}]},
        "testing": {"waived": "a small change"},
    }
    times = iter(NOW + timedelta(minutes=n) for n in range(100))
    one = Engine(jetstream_log, lambda: next(times))
    owner, first = Actor("olga", "approver", ("Product Owner",)), read_plan({"title": "First", **small})
    deeds: list[tuple[Actor, c.Command]] = [
        (MANAGER, c.Adopt(first)),
        (MANAGER, c.ReportDeploy("api", "1")),
        (MANAGER, c.CutOver()),
        (owner, c.Decide("go", step="go_live")),
        (MANAGER, c.GoLive()),
    ]
    for n, (by, command) in enumerate(deeds):
        assert isinstance(await say(one, f"f{n}", command, by=by, rollout="first"), Accepted)
    second = {**small, "toggles": {"second": ""}, "after": ["first"], "rollout": {"stages": ["5% to 25%", "everyone"]}}
    await accepted(one, "s1", c.Adopt(read_plan({"title": "Second", **second})), rollout="second")
    await accepted(one, "s2", c.ReportDeploy("api", "1"), rollout="second")
    await accepted(one, "s3", c.CutOver(), rollout="second")
    await accepted(one, "s4", c.Advance(to="10%"), rollout="second")


async def test_a_changed_stream_stops_everything_but_halt_and_roll_back(
    jetstream_log: JetStreamLog, nats_client: Connection
) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    await accepted(one, "d1", c.ReportDeploy("api", "1"))
    await one.check()
    assert one.problems == ()

    js: JetStreamContext = nats_client.jetstream()
    config = (await js.stream_info("ROLLOUTS")).config
    config.max_msgs = 1_000_000
    await js.update_stream(config)
    await one.check()

    reply = await say(one, "n1", c.AddNote("no"))
    assert isinstance(reply, Refusal)
    assert reply.code == "stopped"
    assert "max_msgs" in reply.reasons[0]
    await accepted(one, "h1", c.Halt(reason="to be safe"))
    await accepted(one, "r1", c.RollBack())


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"rollout": "a\xff"}', b'{"rollout": ' + b"[" * 5_000])
async def test_bytes_that_are_no_request_are_answered(jetstream_log: JetStreamLog, body: bytes) -> None:
    reply = await _answer(engine(jetstream_log).ask, body)
    assert isinstance(reply, Refusal)
    assert reply.code == "invalid"


async def test_a_broken_chain_stops_its_rollout_only(jetstream_log: JetStreamLog) -> None:
    one = engine(jetstream_log)
    await accepted(one, "a1", c.Adopt(PLAN))
    other = read_plan({"title": "Another", "toggles": {"three": ""}}, default_id="another")
    await accepted(one, "a2", c.Adopt(other), rollout="another")
    entry = (await jetstream_log.read("release"))[-1]
    forged = msgspec.structs.replace(decode(entry.data), ordinal=2, previous="0" * 64, command_id="x")
    await jetstream_log.append("release", msgspec.json.encode(forged), expected=1, command_id="x")

    late = engine(jetstream_log)
    reply = await say(late, "r1", c.RollBack())
    assert isinstance(reply, Refusal)
    assert reply.code == "stopped"
    assert "revision 3 of rollout 'release' breaks its chain" in reply.reasons[0]
    await accepted(late, "n1", c.AddNote("the other goes on"), rollout="another")
