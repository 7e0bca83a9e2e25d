"""`--workflow NAME=done,1.2s,0.9s`: one workflow of a session, as it is typed.

One rule: what is not understood is named, with the part it was found in; nothing is guessed. Which workflow a
shortened name means is the service's to say, for the plan is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from services.client import CannotAsk, Json

SHAPE = re.compile(r"(?P<name>.+?)=(?P<how>done|failed)(?:,(?P<rest>.+))?", re.DOTALL)
SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s)\s*")
REMARK = re.compile(r"\s*(waived|comments|errors)\s*:\s*(.*)", re.DOTALL)
EXPECTED = '"NAME=done", "NAME=done,1.2s,0.9s", "NAME=failed" or "NAME=failed,waived: reason"'


def parse_workflows(texts: Iterable[str]) -> list[Json]:
    """The workflows as `record_session` takes them. Load times in seconds; remarks: waived, comments, errors."""
    return [_workflow(text) for text in texts]


def _workflow(text: str) -> Json:
    match = SHAPE.fullmatch(text.strip())
    if match is None:
        raise CannotAsk(f"--workflow: expected {EXPECTED}; found {text!r}")
    name = match["name"].strip().removesuffix("...")
    found: Json = {"workflow": name, "done": match["how"] == "done"}
    remark = ""
    for part in match["rest"].split(",") if match["rest"] else ():
        if time := SECONDS.fullmatch(part):
            found.setdefault("load_times", []).append(float(time[1]) / (1000 if time[2] == "ms" else 1))
        elif note := REMARK.fullmatch(part):
            remark, found[note[1]] = note[1], note[2].strip()
        elif remark:  # a comma inside the remark
            found[remark] += "," + part
        else:
            raise CannotAsk(
                f"--workflow {name!r}: {part.strip()!r} is neither a load time like 1.2s nor a remark",
                "Remarks are waived: ..., comments: ..., errors: ...",
            )
    return found
