"""Applications that evaluate in process beside a running service: the same answers, from testing to rollback, over its
death."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cutover_openfeature import CutoverProvider
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import ProviderStatus
from typer.testing import CliRunner

from services.cli import app
from services.nats.embedded import running_url
from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = pytest.mark.connected

USERS = [f"user-{n}" for n in range(30)]


@pytest.fixture(scope="module")
def provider(running_service: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CutoverProvider]:
    """With the key that `cutover tester-key` prints."""
    printed = CliRunner().invoke(app, ["tester-key", "--data", str(running_service.data)])
    url = running_url(running_service.data)
    assert url
    made = CutoverProvider(url, tester_key=printed.stdout.strip(), keep_in=tmp_path_factory.mktemp("kept") / "flags")
    api.set_provider_and_wait(made)
    try:
        yield made
    finally:
        api.clear_providers()


def on_for(release: Release, provider: CutoverProvider) -> set[str]:
    """The users who have the group on: by the service, by the provider and through the SDK, which must all agree."""
    assert provider.wait_for(release.revision)
    client, found = api.get_client(), set()
    for user in USERS:
        expected, context = release.flags(user), EvaluationContext(user)
        assert {key: provider.is_on(key, user) for key in expected} == expected
        assert {key: client.get_boolean_value(key, not on, context) for key, on in expected.items()} == expected
        assert len(set(expected.values())) == 1
        found |= {user} if all(expected.values()) else set()
    return found


def test_a_testers_window_opens_and_closes_in_the_application(
    running_service: ServiceProcess, provider: CutoverProvider
) -> None:
    release = Release(running_service, small_plan())
    release.start_testing()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    release.do("schedule_session", session="s1", tester="vera", at=soon.isoformat(), length="2 seconds")
    assert provider.wait_for(release.revision)
    for on in (True, False):
        running_service.wait_until(lambda on=on: provider.is_on("small_one", "vera") == on, 20)  # type: ignore[misc]
        assert set(release.flags("vera").values()) == {on}
        assert not provider.is_on("small_one", "user-1")


def test_an_application_sees_what_the_service_answers_from_a_percentage_to_the_rollback(
    running_service: ServiceProcess, provider: CutoverProvider
) -> None:
    stages = [{"to": "50%", "length": "1 second"}, {"to": "100%"}]
    plan = small_plan("half", ("half_one", "half_two"), testing={"waived": "a small change"})
    release = Release(running_service, {**plan, "rollout": {"stages": stages}})
    release.ready_to_cut_over()
    assert on_for(release, provider) == set()
    release.do("cut_over")
    half = on_for(release, provider)
    assert set() < half < set(USERS)

    running_service.kill()
    client = api.get_client()
    running_service.wait_until(lambda: client.get_provider_status() == ProviderStatus.STALE, 20)
    assert {user for user in USERS if provider.is_on("half_one", user)} == half
    running_service.start()
    running_service.wait_until(lambda: client.get_provider_status() == ProviderStatus.READY, 20)
    assert on_for(release, provider) == half

    release.do("roll_back", reason="enough seen")
    assert on_for(release, provider) == set()
