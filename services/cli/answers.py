"""What a command's answer looks like: done, already so, or what would happen.

One rule: the first line says which of these it is, and at which revision.
"""

from __future__ import annotations

from typing import Any

import typer

from services.cli.asking import caller
from services.cli.screen import bullets, out, print_json, say
from services.client import Json


def show(ctx: typer.Context, rollout: str, answer: Json, *, as_json: bool) -> None:
    """An accepted command's answer."""
    caller(ctx).seen[rollout] = answer["revision"]
    if as_json:
        print_json(answer)
        return
    say(first_line(rollout, answer), "bold")
    lines = answer.get("effects") or ()
    if lines:
        out().print(bullets(lines))


def first_line(rollout: str, answer: Json) -> str:
    """ "Done: vaos-service-integration is at revision 12, in code_deploy."."""
    at = f"revision {answer['revision']}"
    if answer.get("dry_run"):
        effects = "this would happen:" if answer.get("effects") else "nothing would change for anybody."
        return f"Nothing written. At {at}, {effects}"
    if answer.get("already"):
        return f"Already so: {rollout} is in {phase_words(answer.get('phase'))}, {at}. Nothing written."
    return f"Done: {rollout} is in {phase_words(answer.get('phase'))}, {at}."


def phase_words(phase: Any) -> str:
    """A phase without its underscores."""
    return str(phase or "?").replace("_", " ")
