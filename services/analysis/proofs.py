"""Evidence: what was asked and what came, as it stands in a record.

One rule: the hash is of all that came, the raw text is its first 2 KiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from events.facts import Evidence
from events.plan.numbers import shown
from events.plan.schema import Criterion
from events.readings import Reading
from services.analysis.judging import Sample
from services.analysis.prometheus import RAW, Answer, NoAnswer
from services.rollout.criteria import Judged


def of_answer(
    what: str, query: str, answer: Answer | NoAnswer, why: str = "", value: str = "", verdict: Judged | None = None
) -> Evidence:
    body = answer.body
    said = shown(verdict.value) if verdict is not None and verdict.value is not None else value
    text = why or (str(answer) if isinstance(answer, NoAnswer) else "")
    return Evidence(
        "query",
        what,
        text,
        query,
        said,
        verdict.verdict if verdict is not None else None,
        hashlib.sha256(body).hexdigest(),
        body[:RAW].decode("utf-8", "replace"),
    )


def of_points(one: Criterion, query: str, samples: Sequence[Sample], found: Judged) -> Evidence:
    """The looks over the span as one text: when and what."""
    lines = [f"{s.at.timestamp():.0f} {s.judged.value.value if s.judged.value else s.judged.why}" for s in samples]
    body = "\n".join(lines).encode()
    text = f"{len(samples)} looks over the span: {found.why}"
    sha256 = hashlib.sha256(body).hexdigest()
    return Evidence("query", one.name, text, query, "", found.verdict, sha256, body[:RAW].decode("utf-8", "replace"))


def of_readings(what: str, name: str, found: Sequence[Reading], why: str) -> Evidence:
    body = msgspec.json.encode([(reading.at, reading.value, reading.source, reading.id) for reading in found])
    text = why or f"{len(found)} published readings {name!r}"
    return Evidence(
        "reading", what, text, sha256=hashlib.sha256(body).hexdigest(), raw=body[:RAW].decode("utf-8", "replace")
    )
