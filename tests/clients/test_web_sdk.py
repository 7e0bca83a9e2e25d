"""The OpenFeature web SDK on a page in Chromium, from another origin: polling, and told by server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser

from services.nats.embedded import running_url
from tests.browser import browser, page
from tests.clients.published import WebSdk, needs_node, site
from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = [needs_node, pytest.mark.connected, pytest.mark.browser]

POLL = 300  # milliseconds
HAS = "([keys, value]) => keys.every(key => cutover.details(key).value === value)"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@contextmanager
def web_sdk(chromium: Browser) -> Iterator[WebSdk]:
    """A page with the SDK; whatever the browser complained about (CORS!) fails the test."""
    with site() as address, page(chromium, address) as (found, _heard):
        errors: list[str] = []
        found.on("pageerror", lambda error: errors.append(str(error)))
        yield WebSdk(found)
        assert not errors


@contextmanager
def an_api_of_its_own(service: ServiceProcess) -> Iterator[ServiceProcess]:
    """A second process that answers HTTP, and outlives the service."""
    url = running_url(service.data)
    assert url is not None
    api = ServiceProcess(service.data, environ={"CUTOVER_NATS": url}, run=("run", "api"))
    api.start()
    try:
        yield api
    finally:
        api.close()


def test_a_polling_page_of_a_tester_sees_the_window_open_and_close_without_a_record(
    own_service: ServiceProcess, chromium: Browser
) -> None:
    """Nobody is there who could write one: all but the process that answers is killed before the window opens."""
    release = Release(own_service, small_plan("window", ("window_one", "window_two")))
    release.start_testing()
    token, keys = own_service.token("vets-website", "reader"), ["window_one", "window_two"]
    with an_api_of_its_own(own_service) as api, web_sdk(chromium) as vera, web_sdk(chromium) as somebody:
        for sdk, user in ((vera, "vera"), (somebody, "somebody else")):
            assert sdk.start(api.url, token, user, pollInterval=POLL, changeDetection="polling") == ""
            assert sdk.values(*keys) == dict.fromkeys(keys, False)
        soon = datetime.now(UTC) + timedelta(seconds=4)
        release.do("schedule_session", session="s1", tester="vera", at=soon.isoformat(), length="2 seconds")
        written = f'"r{release.revision}-'
        vera.wait("start => cutover.requests.at(-1).etag.startsWith(start)", written)
        own_service.kill()
        vera.wait(HAS, [keys, True])
        vera.wait(HAS, [keys, False])
        assert vera.details("window_one")["flagMetadata"]["staleSince"]
        assert somebody.values(*keys) == dict.fromkeys(keys, False)
        seen = [answer["etag"] for answer in vera.requests if answer["etag"].startswith(written)]
        assert {answer["etag"] for answer in vera.requests[-3:]} <= set(seen)  # to the end of the same revision
        assert len(set(seen)) >= 2, "the same revision, and another answer"
        assert {answer["status"] for answer in vera.requests} == {200, 304}


def test_a_page_is_told_of_the_cutover_and_of_the_rollback_and_reads_the_whole_group(
    running_service: ServiceProcess, chromium: Browser
) -> None:
    release = Release(running_service, small_plan("told", ("told_one", "told_two"), testing={"waived": "a test"}))
    release.ready_to_cut_over()
    token, keys = running_service.token("vets-website", "reader"), ["told_one", "told_two"]
    with web_sdk(chromium) as sdk:
        assert sdk.start(f"{running_service.url}/", token, "") == ""  # without a targeting key; a base URL with a slash
        assert sdk.values(*keys) == dict.fromkeys(keys, False)
        release.do("cut_over")
        sdk.wait(HAS, [keys, True])
        release.do("roll_back")
        sdk.wait(HAS, [keys, False])
        assert sdk.events.count("PROVIDER_CONFIGURATION_CHANGED") >= 2
        assert sdk.details("nothing")["errorCode"] == "FLAG_NOT_FOUND"


def test_a_page_with_a_wrong_token_is_told_so(running_service: ServiceProcess, chromium: Browser) -> None:
    Release(running_service, small_plan("stranger", ("stranger_one",)))
    with web_sdk(chromium) as sdk:
        assert "ProviderFatalError" in sdk.start(running_service.url, "cut_nobody", "vera")  # it does not try again
        assert sdk.details("stranger_one")["value"] is False


def test_a_page_goes_on_with_what_was_known_while_nats_is_away(own_service: ServiceProcess, chromium: Browser) -> None:
    """An API process that outlives everything else answers with the last known state, and says that it is stale."""
    release = Release(own_service, small_plan("away", ("away_one", "away_two"), testing={"waived": "a test"}))
    release.ready_to_cut_over()
    release.do("cut_over")
    keys = ["away_one", "away_two"]
    with an_api_of_its_own(own_service) as api, web_sdk(chromium) as sdk:
        options = {"pollInterval": POLL, "changeDetection": "polling"}
        assert sdk.start(api.url, own_service.token("vets-website", "reader"), "vera", **options) == ""
        own_service.kill()
        sdk.wait("() => cutover.details('away_one').reason === 'STALE'")
        assert sdk.values(*keys) == dict.fromkeys(keys, True)
        assert sdk.details("away_two")["flagMetadata"]["staleSince"]
