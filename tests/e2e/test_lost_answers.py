"""A command whose answer was lost on the way: the command line asks again, and nothing happens twice."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import httpx
import pytest

from services.client import CannotAsk, Client
from tests.service_process import ROOT, ServiceProcess

pytestmark = pytest.mark.connected

ID = "vaos-service-integration"
PLAN = (ROOT / "plans" / "vaos-service-integration.yaml").read_text()


class Wire:
    """A TCP connection to the service that passes requests on and loses the first `losing` answers."""

    def __init__(self, port: int, losing: int) -> None:
        self._port = port
        self._losing = losing
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections = 0
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            caller, _ = self._listening.accept()
            with caller, socket.create_connection(("127.0.0.1", self._port)) as service:
                if self._over:
                    return
                self.connections += 1
                there = threading.Thread(target=pump, args=(caller, service), daemon=True)
                there.start()
                if self.connections > self._losing:
                    pump(service, caller)
                else:
                    service.recv(1)  # it has been answered
                    caller.shutdown(socket.SHUT_RDWR)
                there.join(10)

    def close(self) -> None:
        self._over = True
        socket.create_connection(self._listening.getsockname()).close()  # the one it still waits for
        self._thread.join(10)
        self._listening.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, to the end; then the other side sees the end too."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def service(running_service: ServiceProcess) -> ServiceProcess:
    with Client(running_service.url, running_service.admin_token) as client:
        client.command(ID, {"type": "adopt", "plan": PLAN}, "adopt")
    return running_service


def notes(service: ServiceProcess, text: str) -> int:
    """How often the note stands in the log."""
    with Client(service.url, service.admin_token) as client:
        revision = client.command(ID, {"type": "note", "text": "and now?"})["revision"]
        return sum(line["says"] == f"Note: {text}" for line in client.trail(ID, at_least=revision))


def test_after_lost_answers_the_command_is_asked_again_and_stands_in_the_log_once(service: ServiceProcess) -> None:
    wire = Wire(service.port, losing=2)
    with Client(wire.url, service.admin_token) as client:
        answer = client.command(ID, {"type": "note", "text": "once"})
    wire.close()
    assert wire.connections == 3
    assert answer["facts"] == [{"fact": "noted", "text": "once"}]
    assert notes(service, "once") == 1


def test_when_every_answer_is_lost_it_says_that_the_outcome_is_unknown_and_how_to_ask_again(
    service: ServiceProcess,
) -> None:
    wire = Wire(service.port, losing=99)
    with Client(wire.url, service.admin_token) as client, pytest.raises(CannotAsk, match="No answer") as lost:
        client.command(ID, {"type": "note", "text": "unheard"}, "my-id")
    wire.close()
    assert lost.value.hints == ("The outcome is unknown. Ask again with --command-id my-id",)
    assert notes(service, "unheard") == 1


def test_without_a_service_there_is_one_try_and_no_waiting() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(CannotAsk) as refused:
        client.rollouts()
    assert isinstance(refused.value.__cause__, httpx.ConnectError)
