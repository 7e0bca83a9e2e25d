"""The terms that a line of the trail is found by: its words, and what its fields say.

One rule: a line and a question are cut into terms here and nowhere else, so every database finds the same lines.
A term of a field is `name=value`; one without `=` is a word. A line is found when it has all terms asked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

from events.facts import Attempt, Evidence, Record
from projections.sentences import SEALED

LONGEST = 64  # characters: words are told apart by so many
_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[a-z0-9._:-]{1,64}")


def words(text: str) -> tuple[str, ...]:
    """The words of a text, each once: runs of letters and digits, without regard to case (Unicode's case folding).

    What is about a tester is ciphertext and has none.
    """
    return tuple(said(text).split())


@lru_cache(maxsize=8192)
def said(text: str) -> str:
    """The words of a text, with spaces between them: as terms that a line is found by. Texts repeat in a log."""
    if text.startswith(SEALED):
        return ""
    folded = text.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFC", folded)
    return " ".join(dict.fromkeys(word[:LONGEST] for word in _WORD.findall(folded)))


def field(name: str, value: str) -> str:
    """The term of a field. What is long or has other characters than a key has goes by its SHA-256, so a term needs no
    quoting anywhere and two values never share one."""
    return f"{name}={value if _PLAIN.fullmatch(value) else '#' + sha256(value.encode()).hexdigest()[:32]}"


def of_record(record: Record, phases: tuple[str, ...], toggles: tuple[str, ...]) -> str:
    """What all lines of a record have in common. `phases`: before and after it; `toggles`: the rollout's, likewise."""
    who = record.who
    head = _head(record.rollout, who.subject, who.role, who.titles, record.command, phases, toggles)
    found = f"{head} {field('id', record.command_id)}"
    if record.reason or record.note or record.evidence:
        found += "".join(" " + said(text) for text in (record.reason, record.note, *_texts(record.evidence)))
    return found


def of_fact(tag: str, says: str) -> str:
    """What a line has of its own."""
    return f"fact={tag} {said(says)}"


def of_attempt(attempt: Attempt) -> str:
    """A refused attempt's terms."""
    who, phases = attempt.who, (attempt.phase,)
    head = _head(attempt.rollout, who.subject, who.role, who.titles, attempt.command, phases, attempt.toggles)
    texts = (attempt.command, *attempt.reasons, attempt.reason, "refused")
    return f"{head} {field('id', attempt.command_id)} fact=refused {' '.join(map(said, texts))}"


@lru_cache(maxsize=8192)
def _head(
    rollout: str,
    subject: str,
    role: str,
    titles: tuple[str, ...],
    command: str,
    phases: tuple[str, ...],
    toggles: tuple[str, ...],
) -> str:
    found = [field("rollout", rollout), field("subject", subject), field("role", role), field("command", command)]
    found += _fields("title", titles) + _fields("phase", phases) + _fields("toggle", toggles)
    return " ".join(found)


def _fields(name: str, values: Iterable[str]) -> list[str]:
    return [field(name, value) for value in dict.fromkeys(values) if value]


def _texts(evidence: Sequence[Evidence]) -> list[str]:
    """What evidence says in words; its raw result and its hash are not words."""
    return [text for each in evidence for text in (each.kind, each.source, each.text, each.query, each.value) if text]
