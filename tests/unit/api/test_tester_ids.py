"""Whose id is kept so that a reader can be told it: only who must be, and under the id that applications ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from events.facts import Actor
from events.plan.reading import read_plan
from services.engine.messages import Accepted, Refusal, Reply, Request
from services.people import testers as people
from services.people.testers import Erased
from services.rollout import commands as c
from services.views.views import Views
from tests.unit.api.desk import Desk

VETERAN = "5f0c1a2e-veteran"
MANAGER = Actor("morgan", "release_manager")
FAY = Actor("fay", "facilitator")


async def adopted(desk: Desk, rollout: str, **parts: Any) -> None:
    plan = {"title": "A release", "toggles": {f"{rollout}_toggle": ""}, "deploy": {"services": ["web"]}, **parts}
    assert isinstance(await say(desk, rollout, c.Adopt(plan=read_plan(plan, default_id=rollout))), Accepted)


async def say(desk: Desk, rollout: str, command: c.Command) -> Reply:
    return await desk.ask(Request(rollout, f"{rollout}-{len(desk.asked)}", MANAGER, command))


def session(desk: Desk, tester: str, name: str = "s1", *, dry_run: bool = False) -> c.ScheduleSession:
    at = (desk.flags.now + timedelta(hours=1)).isoformat()
    return c.ScheduleSession(name, tester, at=at, dry_run=dry_run)


def kept(desk: Desk, user: str = VETERAN) -> dict[str, str]:
    return desk.vault.ids([desk.vault.known(user)])


async def test_an_id_is_kept_only_where_flipper_reads(desk: Desk) -> None:
    await adopted(desk, "without")
    await adopted(desk, "with", readers=["flipper"])
    assert isinstance(await say(desk, "without", session(desk, VETERAN)), Accepted)
    assert kept(desk) == {}
    assert isinstance(await say(desk, "with", session(desk, VETERAN)), Accepted)
    assert kept(desk) == {desk.vault.known(VETERAN): VETERAN}


async def test_a_dry_run_keeps_no_id(desk: Desk) -> None:
    await adopted(desk, "with", readers=["flipper"])
    assert isinstance(await say(desk, "with", session(desk, VETERAN, dry_run=True)), Accepted)
    assert desk.vault.known(VETERAN) == ""


async def test_where_flipper_reads_a_bare_reference_is_refused_until_the_id_is_kept(desk: Desk) -> None:
    await adopted(desk, "without")
    await adopted(desk, "with", readers=["flipper"])
    await say(desk, "without", session(desk, VETERAN))
    reference = desk.vault.known(VETERAN)
    for dry_run in (True, False):
        refused = await say(desk, "with", session(desk, reference, dry_run=dry_run))
        assert isinstance(refused, Refusal)
        assert "schedule the session by the id of the user" in refused.reasons[0]
    assert isinstance(await say(desk, "with", session(desk, VETERAN)), Accepted)
    assert isinstance(await say(desk, "with", session(desk, reference, "s2")), Accepted)


async def test_repeating_a_command_after_the_tester_was_erased_keeps_nothing(desk: Desk) -> None:
    await adopted(desk, "with", readers=["flipper"])
    request = Request("with", "once", MANAGER, session(desk, VETERAN))
    first = await desk.ask(request)
    testers = people.Testers(desk.log, desk.ask, Views(desk.database), desk.vault)
    assert await testers.erase(VETERAN, FAY) == Erased(True, ("with/s1",))
    assert await desk.ask(request) == first
    assert desk.vault.known(VETERAN) == ""
    assert isinstance(first, Accepted)
    assert desk.vault.ids(window.tester for window in desk.flags.known["with"].windows) == {}


async def test_an_email_address_is_kept_and_recognized_in_lower_case_where_it_is_the_actor(desk: Desk) -> None:
    await adopted(desk, "mail", readers=["flipper"], actor="email")
    request = Request("mail", "once", MANAGER, session(desk, "Wendy.Veteran@Example.org"))
    first = await desk.ask(request)
    assert isinstance(first, Accepted), first
    assert await desk.ask(request) == first
    assert list(kept(desk, "wendy.veteran@example.org").values()) == ["wendy.veteran@example.org"]
    testers = people.Testers(desk.log, desk.ask, Views(desk.database), desk.vault)
    assert await testers.erase("Wendy.Veteran@Example.org", FAY) == Erased(True, ("mail/s1",))


async def test_a_dry_run_says_whom_flipper_would_not_know_once_it_reads(desk: Desk) -> None:
    await adopted(desk, "later")
    await say(desk, "later", session(desk, VETERAN, "veteran-1"))
    plan = {"title": "A release", "toggles": {"later_toggle": ""}, "deploy": {"services": ["web"]}}
    revised = read_plan({**plan, "readers": ["flipper"]}, default_id="later")
    answer = await say(desk, "later", c.RevisePlan(plan=revised, dry_run=True))
    assert isinstance(answer, Accepted), answer
    assert any("flipper does not know the testers of veteran-1" in effect for effect in answer.effects)
