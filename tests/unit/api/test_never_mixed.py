"""One user, one group, one answer: over VA.gov's endpoint, Flipper's API, the gates that Flipper's clients evaluate by
themselves, OFREP, Cutover's own API, and in the application's process; however an email address is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from events.plan.actors import known_as
from projections.flags import FlagSnapshot, Window
from services.api.app import Service, make_app
from services.api.reads.gates import reads
from services.people.tokens import Tokens
from services.people.vault import hmac_key
from services.views.views import Views
from tests.unit.api.desk import NOON, Desk
from tests.unit.in_process.client import Fed

PEOPLE = ("ann", "bob", "cyd", "dee", "eve")
TESTER_KEY = hmac_key(bytes(32))  # of the desk's vault
TOGGLES = {"vaos": ("vaos_service_one", "vaos_service_two", "vaos_service_three"), "pay": ("pay_one", "pay_two")}

minutes = st.integers(0, 180).map(lambda n: NOON + timedelta(minutes=n))
spellings = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])
phases = st.sampled_from(["veteran_testing", "cutover", "cutover", "go_live", "rolled_back", "planned"])


def as_id(person: str, actor: str) -> str:
    return f"{person}@example.org" if actor == "email" else person


def audiences(actor: str) -> st.SearchStrategy[Audience]:
    users = st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True).map(lambda p: tuple(as_id(x, actor) for x in p))
    named = st.builds(lambda u: Audience(100, "Staff", users=u), users)
    share = st.builds(Audience, st.sampled_from([0, 5, 50]))
    return st.one_of(named, named, named, share, st.just(Audience(100, "Site", "facility", ("983",))))


def exposures(actor: str) -> st.SearchStrategy[Exposure]:
    groups = st.lists(audiences(actor), min_size=1, max_size=2).map(lambda a: Exposure("cohort", tuple(a)))
    return st.one_of(st.sampled_from([NOBODY, EVERYONE, TESTERS]), groups, groups)


@st.composite
def windows(draw: st.DrawFn, person: str) -> Window:
    opens = draw(minutes)
    closes = draw(st.one_of(st.none(), st.integers(1, 90).map(lambda n: opens + timedelta(minutes=n))))
    return Window(f"s-{person}", person, opens, closes, draw(st.booleans()))


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[dict[str, Any]], datetime, str, Callable[[str], str]]:
    """What each rollout is like, the time, who asks, and how they write an email address."""
    parts = []
    for rollout in TOGGLES:
        actor = draw(st.sampled_from(["account", "email", "cookie"]))
        testing = draw(st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True))
        part = {
            "rollout": rollout,
            "actor": actor,
            "phase": draw(phases),
            "exposure": draw(exposures(actor)),
            "halted": draw(st.booleans()),
            "windows": [draw(windows(person)) for person in testing],
        }
        parts.append(part)
    return parts, draw(minutes), draw(st.sampled_from((*PEOPLE, "somebody else"))), draw(spellings)


class World:
    """One service, whose bucket says what each example wants."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder)
        book = Tokens(self.desk.database, lambda: NOON)
        token = book.add("vets-api", "reader", ["sees testers"], by="root")
        self.headers = {"Authorization": f"Bearer {token}"}
        views = Views(self.desk.database)
        vault = self.desk.vault
        self.app = make_app(Service(self.desk.ask, views, self.desk.flags, book, vault, lambda: NOON, lambda: ()))
        self.references = {}
        for user in (as_id(person, actor) for person in PEOPLE for actor in ("account", "email")):
            self.references[user] = vault.reference(user)
            vault.keep_id(self.references[user], user)

    def hear(self, part: dict[str, Any]) -> FlagSnapshot:
        flags, actor = self.desk.flags, part["actor"]
        users = {window.tester: as_id(window.tester, actor) for window in part["windows"]}
        known = {self.references[user]: self.desk.vault.hmac(user) for user in users.values()}
        heard = FlagSnapshot(
            v=1,
            revision=flags.position + 1,
            when=NOON,
            toggles=TOGGLES[part["rollout"]],
            readers=("ofrep", "va.gov", "flipper"),
            testers=known,
            rollout=part["rollout"],
            actor=actor,
            phase=part["phase"],
            exposure=part["exposure"],
            halted=part["halted"],
            windows=tuple(
                Window(w.session, self.references[users[w.tester]], w.opens, w.closes, w.opened)
                for w in part["windows"]
            ),
        )
        flags.hear(heard, heard.revision)
        return heard

    async def ask(self, user: str, snapshot: FlagSnapshot) -> dict[str, dict[str, bool]]:
        """What every API says of this user, by API and toggle; of `snapshot` at least."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=self.headers) as client:
            name = "cookie_id" if snapshot.actor == "cookie" else "user"
            toggles = (await client.get("/v0/feature_toggles", params={name: user})).json()["data"]["features"]
            actors = (await client.get(f"/flipper/actors/{quote(user)}")).json()["features"]
            features = (await client.get("/flipper/features?exclude_gate_names=true")).json()["features"]
            context = {"context": {"targetingKey": user}}
            flags = (await client.post("/ofrep/v1/evaluate/flags", json=context)).json()["flags"]
            own = (await client.get(f"/v1/rollouts/{snapshot.rollout}/flags", params={"user": user})).json()["flags"]
        in_process = Fed(key=TESTER_KEY)
        in_process.clock.wall = self.desk.flags.now
        in_process.feed(snapshot)
        return {
            "va.gov": {each["name"]: each["value"] for each in toggles},
            "ofrep": {each["key"]: each["value"] for each in flags},
            "own": own,
            "in process": {key: in_process.provider.is_on(key, user) for key in snapshot.toggles},
            "actors": {key: found["enabled"] for key, found in actors.items()},
            "gates": {
                each["key"]: opened_by_the_gem(each["gates"], known_as(user, snapshot.actor)) for each in features
            },
        }


def opened_by_the_gem(gates: list[dict[str, Any]], flipper_id: str) -> bool:
    """As Flipper evaluates in the application: any gate that opens. None of those that hash a name is ever set.
    A `flipper_id` is an email address in lower case."""
    values = {gate["key"]: gate["value"] for gate in gates}
    assert (values["percentage_of_actors"], values["percentage_of_time"], values["groups"]) == (None, None, [])
    return values["boolean"] == "true" or flipper_id in values["actors"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@given(situations())
def test_every_api_gives_a_user_the_same_answer_for_all_toggles_of_a_group(
    world: World, situation: tuple[list[dict[str, Any]], datetime, str, Callable[[str], str]]
) -> None:
    parts, now, person, spelling = situation
    heard = [world.hear(part) for part in parts]
    world.desk.flags.now = now
    for snapshot in heard:
        user = as_id(person, snapshot.actor)
        told = asyncio.run(world.ask(spelling(user) if snapshot.actor == "email" else user, snapshot))
        found = {api: {values[key] for key in snapshot.toggles if key in values} for api, values in told.items()}
        assert found["va.gov"] == found["ofrep"] == found["own"] == found["in process"]
        assert len(found["va.gov"]) == 1
        expected = found["ofrep"] if reads(snapshot) else set()
        assert (found["actors"], found["gates"]) == (expected, expected)
