"""Records on the screen as they come: what is said while the service is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from typer.testing import CliRunner

from services.cli import events
from services.cli.app import app
from services.client import CannotAsk, Client, Heard


class Away:
    """A service that goes away once, and ends what it was asked when it is back."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []

    def events(self, _rollout: str, *, after: int | None, follow: bool) -> Iterator[Heard]:
        assert follow
        self.asked.append(after)
        if len(self.asked) == 1:
            yield Heard(7, {"n": 7})
            raise CannotAsk("No Cutover service answers: Connection refused")
        if len(self.asked) == 4:
            raise CannotAsk("Not let in", problem={"status": 401})
        yield Heard(7 + len(self.asked), {"n": 7 + len(self.asked)})


def test_a_service_that_goes_away_is_waited_for_and_that_is_said_in_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(events, "PAUSE", 0)
    service = Away()
    with pytest.raises(CannotAsk, match="Not let in"):
        list(events._followed(cast(Client, service), "", 5))
    assert service.asked == [5, 7, 9, 10]
    said = " ".join(capsys.readouterr().err.split())
    assert said == "No Cutover service answers: Connection refused. Waiting for it, at revision 7."


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "Nothing has happened yet.\n"),
        (("--after", "7"), "Nothing has happened since revision 7.\n"),
        (("--json",), ""),
    ],
)
def test_an_empty_log_says_so(words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "events", lambda *_asked, **_more: iter(()))
    assert CliRunner().invoke(app, ["events", *words]).output == says
