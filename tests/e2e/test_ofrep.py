"""A running service read by OpenFeature's own Python provider, by a polling client and by listening ones.

Two API processes answer: what one has told, the other never contradicts.
"""

from __future__ import annotations

import json
import resource
import socket
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from tests.e2e.release import Release, small_plan
from tests.service_process import ServiceProcess

pytestmark = pytest.mark.connected

FLAGS = "/ofrep/v1/evaluate/flags"
TESTER = EvaluationContext("vera")


def provider_of(service: ServiceProcess, token: str) -> OFREPProvider:
    """The published provider, as an application makes it; the base URL ends in a slash, as many do."""
    return OFREPProvider(f"{service.url}/", headers_factory=lambda: {"Authorization": f"Bearer {token}"})


def reader_token(service: ServiceProcess, name: str) -> str:
    answer = service.client().post("/v1/tokens", json={"name": name, "role": "reader", "titles": []})
    token: str = answer.raise_for_status().json()["token"]
    return token


class Poller:
    """A web page that polls: it keeps its flags and their ETag."""

    def __init__(self, client: httpx.Client, user: str) -> None:
        self._client = client
        self._context = {"context": {"targetingKey": user}}
        self._etag = ""
        self.revision = 0
        self.flags: dict[str, Any] = {}
        self.stream = ""

    def poll(self, **params: str) -> dict[str, bool]:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        answer = self._client.post(FLAGS, json=self._context, headers=headers, params=params)
        assert answer.status_code in (200, 304), answer.text
        if answer.status_code == 200:
            self._etag, found = answer.headers["etag"], answer.json()
            assert found["metadata"]["revision"] >= self.revision
            self.revision = found["metadata"]["revision"]
            self.flags = {flag["key"]: flag["value"] for flag in found["flags"] if "small" in flag["key"]}
            self.stream = found["eventStreams"][0]["endpoint"]["requestUri"]
        return self.flags


def test_the_python_provider_reads_the_group_through_a_release(running_service: ServiceProcess) -> None:
    release = Release(running_service, small_plan())
    api.set_provider(provider_of(running_service, reader_token(running_service, "vets-api")), domain="cutover")
    client = api.get_client("cutover")
    page = Poller(running_service.client(), "vera")
    off, on = {"small_one": False, "small_two": False}, {"small_one": True, "small_two": True}
    found = client.get_boolean_details("small_one", True)
    assert (found.value, found.reason, found.variant) == (False, Reason.DISABLED, "off")
    release.start_testing()
    assert page.poll(at_least=str(release.revision)) == off

    soon = datetime.now(UTC) + timedelta(seconds=2)
    release.do("schedule_session", session="s1", tester="vera", at=soon.isoformat(), length="2 seconds")
    for values in (on, off):
        running_service.wait_until(lambda values=values: page.poll() == values, 20)  # type: ignore[misc]
        details = [client.get_boolean_details(key, False, TESTER) for key in values]
        assert {each.flag_key: each.value for each in details} == values
        assert {each.reason for each in details} == {Reason.TARGETING_MATCH}
        assert not client.get_boolean_value("small_one", False, EvaluationContext("somebody else"))

    unknown = client.get_boolean_details("nothing", True, TESTER)
    assert (unknown.value, unknown.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
    wrong = client.get_boolean_details("small_one", True, EvaluationContext("vera", {"cutoverPin": "x"}))
    assert (wrong.value, wrong.error_code) == (True, ErrorCode.PARSE_ERROR)
    pin = details[0].flag_metadata["pin"]
    pinned = client.get_boolean_details("small_two", True, EvaluationContext("vera", {"cutoverPin": pin}))
    assert (pinned.value, pinned.flag_metadata["pin"]) == (False, pin)
    api.set_provider(provider_of(running_service, "cut_nobody"), domain="cutover")
    assert client.get_boolean_details("small_one", False).error_code == ErrorCode.GENERAL


def test_listeners_of_two_processes_are_told_and_read_the_cutover_from_either(
    running_service: ServiceProcess, second_api: ServiceProcess
) -> None:
    """The ticket of one process opens the other's stream; the event of one is waited for by the other."""
    release = Release(running_service, small_plan("pair", ("small_a", "small_b"), testing={"waived": "no need"}))
    release.ready_to_cut_over()
    processes = (running_service, second_api)
    pages = [Poller(service.client(running_service.admin_token), "anybody") for service in processes]
    for page in pages:
        assert page.poll(at_least=str(release.revision))["small_a"] is False
    events = [Listener(processes[n], pages[1 - n].stream) for n in range(2)]
    for listener in events:
        listener.next()  # the first is sent to whoever comes
    release.do("cut_over")
    for n, listener in enumerate(events):
        event = listener.next()
        found = pages[1 - n].poll(flagConfigEtag=event["etag"], flagConfigLastModified=str(event["lastModified"]))
        assert (found["small_a"], found["small_b"]) == (True, True)
        assert pages[1 - n].revision >= release.revision
        listener.close()


class Listener:
    """An EventSource in a thread of its own."""

    def __init__(self, service: ServiceProcess, url: str) -> None:
        self._client = httpx.Client(base_url=service.url, timeout=20)
        self._stream = self._client.stream("GET", url)
        answer = self._stream.__enter__()
        assert answer.status_code == 200, answer.read()
        self._lines = answer.iter_lines()

    def next(self) -> dict[str, Any]:
        """The data of the next event."""
        for line in self._lines:
            if line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._stream.__exit__(None, None, None)
        self._client.close()


def test_a_service_that_stops_ends_its_streams_and_has_told_nobody_their_tickets(second_api: ServiceProcess) -> None:
    page = Poller(second_api.client(), "anybody")
    page.poll()
    listener = Listener(second_api, page.stream)
    listener.next()
    ended = threading.Event()

    def until_the_end() -> None:
        with pytest.raises(AssertionError, match="has ended"):
            listener.next()
        ended.set()

    watching = threading.Thread(target=until_the_end)
    watching.start()
    second_api.stop()
    assert ended.wait(20)
    watching.join()
    listener.close()
    assert page.stream.split("ticket=")[1] not in second_api.output()


def test_however_many_listen_there_is_room_for_commands(tmp_path: Path) -> None:
    """The service takes the descriptors that it may have, and gives half of them to streams."""
    files = resource.RLIMIT_NOFILE
    soft, hard = resource.getrlimit(files)
    service = ServiceProcess(tmp_path / "data")
    with ExitStack() as stack:
        stack.callback(service.close)
        stack.callback(resource.setrlimit, files, (soft, hard))
        resource.setrlimit(files, (256, hard))
        service.start()
        assert resource.prlimit(service.pid, files) == (hard, hard)
        resource.prlimit(service.pid, files, (200, hard))
        page = Poller(service.client(), "vera")
        page.poll()
        answers = [_opened(stack, service, page.stream) for _ in range(101)]
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 100 + [b"HTTP/1.1 429"]
        Release(service, small_plan())


def _opened(stack: ExitStack, service: ServiceProcess, url: str) -> bytes:
    listening = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 5))
    listening.sendall(f"GET {url} HTTP/1.1\r\nHost: cutover.test\r\n\r\n".encode())
    return listening.recv(1000)
