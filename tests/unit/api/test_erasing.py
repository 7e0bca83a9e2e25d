"""Erasing a tester: the windows first, then the key; all or nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from events.codec import decode
from events.facts import Actor, Noted
from events.plan.reading import read_plan
from services.engine.messages import Accepted, Refusal, Request
from services.people import testers as people
from services.people.testers import CannotErase, Erased
from services.rollout import commands as c
from services.views.views import Views
from tests.unit.api.desk import Desk

VETERAN = "veteran-0042@example.org"
FAY = Actor("fay", "facilitator")
MANAGER = Actor("morgan", "release_manager")


async def do(desk: Desk, rollout: str, command: c.Command, by: Actor = MANAGER) -> None:
    reply = await desk.ask(Request(rollout, f"{rollout}-{len(desk.asked)}", by, command))
    assert isinstance(reply, Accepted), reply


async def begun(desk: Desk, rollout: str, tester: str = VETERAN, actor: str = "account") -> None:
    """A rollout with a planned session of the tester."""
    plan = {
        "title": "A release",
        "toggles": {f"{rollout}_toggle": ""},
        "actor": actor,
        "go_no_go": {"decided_by": ["Owner"]},
        "deploy": {"services": ["web"]},
        "testing": {"workflows": ["View it"]},
    }
    await do(desk, rollout, c.Adopt(plan=read_plan(plan, default_id=rollout)))
    at = (desk.flags.now + timedelta(hours=1)).isoformat()
    await do(desk, rollout, c.ScheduleSession("s1", tester, at=at))


@pytest.fixture
def testers(desk: Desk) -> people.Testers:
    return people.Testers(desk.log, desk.ask, Views(desk.database), desk.vault)


async def test_their_sessions_of_every_rollout_end_first(desk: Desk, testers: people.Testers) -> None:
    await begun(desk, "one")
    await begun(desk, "two")
    reference = desk.vault.known(VETERAN)
    assert await testers.erase(VETERAN, FAY) == Erased(True, ("one/s1", "two/s1"))
    assert desk.vault.known(VETERAN) == ""
    assert not desk.vault.holds(reference)
    for snapshot in desk.flags.all().values():
        assert (snapshot.windows, snapshot.testers) == ((), {})
    assert await testers.erase(VETERAN, FAY) == Erased(known=False)


async def test_each_rollout_says_why_the_texts_cannot_be_read(desk: Desk, testers: people.Testers) -> None:
    await begun(desk, "one")
    await begun(desk, "two")
    reference = desk.vault.known(VETERAN)
    await testers.erase(VETERAN, FAY)
    for rollout in ("one", "two"):
        last = decode((await desk.log.read(rollout))[-1].data)
        assert last.facts == (
            Noted(f"Tester {reference} was erased: what was said in their sessions cannot be read any more"),
        )
        assert last.who == FAY


async def test_who_is_known_by_an_address_in_two_spellings_is_erased_under_both(
    desk: Desk, testers: people.Testers
) -> None:
    await begun(desk, "one", "Jane@va.gov", "account")
    await begun(desk, "two", "Jane@va.gov", "email")
    references = {desk.vault.known("Jane@va.gov"), desk.vault.known("jane@va.gov")}
    assert len(references - {""}) == 2
    desk.refusal = Refusal("unavailable", ("the log cannot be reached",))
    with pytest.raises(CannotErase):
        await testers.erase("Jane@va.gov", FAY)
    assert all(desk.vault.holds(reference) for reference in references)
    desk.refusal = None
    assert await testers.erase("Jane@va.gov", FAY) == Erased(True, ("one/s1", "two/s1"))
    assert not any(desk.vault.holds(reference) for reference in references)
    for rollout in ("one", "two"):
        (fact,) = decode((await desk.log.read(rollout))[-1].data).facts
        assert isinstance(fact, Noted)
    assert await testers.erase("Jane@va.gov", FAY) == Erased(known=False)


async def test_nothing_is_erased_while_a_window_cannot_be_closed(desk: Desk, testers: people.Testers) -> None:
    await begun(desk, "one")
    desk.refusal = Refusal("unavailable", ("the log cannot be reached",))
    with pytest.raises(CannotErase, match="session 's1' of 'one' cannot be ended: the log cannot be reached") as caught:
        await testers.erase(VETERAN, FAY)
    assert caught.value.code == "unavailable"
    assert VETERAN not in str(caught.value.reasons)
    assert desk.vault.known(VETERAN) != ""
    desk.refusal = None
    assert (await testers.erase(VETERAN, FAY)).known


async def test_whom_the_vault_does_not_know_is_not_made_known(desk: Desk, testers: people.Testers) -> None:
    assert await testers.erase("nobody-at-all", FAY) == Erased(known=False)
    assert desk.vault.known("nobody-at-all") == ""


async def test_the_flags_are_written_anew_once_the_key_is_gone(desk: Desk) -> None:
    await begun(desk, "one")
    known: list[str] = []

    async def refresh() -> None:
        known.append(desk.vault.known(VETERAN))

    await people.Testers(desk.log, desk.ask, Views(desk.database), desk.vault, refresh).erase(VETERAN, FAY)
    assert known == [""]
