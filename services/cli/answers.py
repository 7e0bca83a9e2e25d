"""What a command's answer looks like: done, already so, or what would happen.

One rule: the first line says which of these it is, and at which revision; below it is only what was not typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import typer

from events.facts import Fact
from projections.sentences import sentence
from services.cli.asking import caller
from services.cli.screen import bullets, out, print_json, say
from services.client import Json

ECHOES = ("attested", "attestation_withdrawn", "phase_entered", "result_recorded", "question_answered", "noted")
"""Facts that only repeat what was asked, or what the first line says."""


def show(ctx: typer.Context, rollout: str, answer: Json, *, as_json: bool) -> None:
    """An accepted command's answer."""
    caller(ctx).seen[rollout] = answer["revision"]
    if as_json:
        print_json(answer)
        return
    say(first_line(rollout, answer), "bold")
    lines = answer.get("effects") or list(_news(answer))
    if lines:
        out().print(bullets(lines))


def first_line(rollout: str, answer: Json) -> str:
    """ "Done. vaos-service-integration, revision 12: code deploy."."""
    at = f"revision {answer['revision']}"
    if answer.get("dry_run"):
        return f"Nothing written. At {at} this would happen:"
    so = f"{rollout}, {at}: {phase_words(answer.get('phase'))}."
    return f"Already so, nothing written. {so}" if answer.get("already") else f"Done. {so}"


def _news(answer: Json) -> Iterator[str]:
    for fact in answer.get("facts", ()):
        if fact["fact"] not in ECHOES:
            yield sentence(msgspec.convert(fact, Fact), {})


def phase_words(phase: Any) -> str:
    """A phase without its underscores."""
    return str(phase or "?").replace("_", " ")
