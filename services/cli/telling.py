"""What became of an issue that was just reported: its links, or the text to paste by hand.

One rule: it waits a moment and no longer; what takes its time is in the audit.
"""

from __future__ import annotations

import time
from itertools import groupby

import typer
from rich.text import Text

from services.cli.asking import client
from services.cli.screen import out, say
from services.client import Client, Json

PATIENCE = 5.0  # seconds
PAUSE = 0.1
WHERE = {"github": "GitHub", "slack": "Slack"}


def show_telling(ctx: typer.Context, rollout: str, revision: int) -> None:
    """Every channel's outcome, as it is known within the moment."""
    found = _settled(client(ctx, quiet=True), rollout, revision)
    for channel, same in groupby(sorted(found, key=lambda fact: str(fact["channel"])), key=lambda f: str(f["channel"])):
        for fact in same:
            _show(WHERE[channel], fact)
    if not found:
        say(f"Nobody was told yet. It is tried on; see: cutover audit {rollout}")


def _settled(service: Client, rollout: str, revision: int) -> list[Json]:
    """The outcomes; early when one has been there for a while and no other came."""
    until = time.monotonic() + PATIENCE
    found: list[Json] = []
    quiet_since = time.monotonic()
    while time.monotonic() < until and not (found and time.monotonic() - quiet_since > PATIENCE / 4):
        now = [item["data"] for item in service.announced(rollout, revision)]
        if len(now) > len(found):
            found, quiet_since = now, time.monotonic()
        time.sleep(PAUSE)
    return found


def _show(where: str, fact: Json) -> None:
    if fact["outcome"] == "sent":
        say(f"Told to {where}{': ' + fact['url'] if fact.get('url') else ''}.")
        return
    say(f"Not told to {where} ({fact.get('why', '')}). To paste there:")
    out().print(Text(fact.get("text", "")), soft_wrap=True)
