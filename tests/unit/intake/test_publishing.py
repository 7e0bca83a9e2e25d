"""What a CI publishes: one id a telling, and an answer to this telling."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from services.client import Client
from services.intake.publishing import NoVerdict, deployed, missed, verdict

NOW = datetime(2022, 7, 29, 12, tzinfo=UTC)
EVENT = {"source": "/ci", "id": "1"}


def id_of(run: str, version: str = "v1") -> str:
    return str(deployed("api", "production", version, NOW, run=run)["id"])


def test_one_run_tells_one_deploy_once_and_without_a_run_each_telling_counts() -> None:
    assert id_of("run-1") == id_of("run-1")
    assert len({id_of("run-1"), id_of("run-2"), id_of("run-1", "v2")}) == 3
    assert id_of("") != id_of("")
    assert deployed("api", "production", "v1", NOW, id_="mine")["id"] == "mine"


class Answers:
    """A client to which the service says one after the other, the last one again and again."""

    def __init__(self, *said: dict[str, Any] | None) -> None:
        self.said = list(said)

    def outcome(self, source: str, id: str) -> dict[str, Any] | None:
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


def answer(*said: dict[str, Any] | None, number: int = 2, patience: float = 10.0) -> dict[str, Any]:
    client = cast("Client", Answers(*said))
    return verdict(client, EVENT, number, patience, sleep=lambda _seconds: None)


def test_what_came_of_an_earlier_telling_is_no_answer_where_that_was_nothing() -> None:
    nothing, done = {"number": 1, "result": "kept"}, {"number": 2, "result": "done"}
    assert answer(None, nothing, nothing, done) == done
    assert answer(nothing, {**nothing, "number": 2})["number"] == 2
    with pytest.raises(NoVerdict):
        answer(nothing, patience=0.01)


@pytest.mark.parametrize("result", ["done", "already", "refused"])
def test_what_came_of_an_earlier_telling_is_the_answer(result: str) -> None:
    assert answer({"number": 1, "result": result})["number"] == 1


@pytest.mark.parametrize(
    ("result", "why", "is_missed"),
    [
        ("kept", "matches no rollout: no plan deploys api in prod", True),
        ("kept", "not understood: the version is too long", True),
        ("kept", "rollout small is closed: its deploys are over", False),
        ("kept", "rollout small: told late, v2 was deployed after it", False),
        ("done", "report_deploy on small: revision 2", False),
    ],
)
def test_a_deploy_that_reaches_no_rollout_is_missed(result: str, why: str, is_missed: bool) -> None:
    assert missed({"result": result, "why": why}) == is_missed
