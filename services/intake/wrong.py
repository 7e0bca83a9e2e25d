"""Why something that was sent cannot be taken.

One rule: a sender is told what was expected and what was found; HTTP status codes are chosen in `api/`.
"""

from __future__ import annotations


class NotUnderstood(ValueError):
    """What came is not what its kind must look like; the text names the part, what was expected and what was found."""


LONGEST_NAME = 300


def short(text: str, what: str) -> str:
    """A name that goes into the log as it is: not longer than a name may be. Raises NotUnderstood."""
    if len(text) > LONGEST_NAME:
        raise NotUnderstood(f"{what}: expected at most {LONGEST_NAME} characters, found {len(text)}")
    return text


class UnknownFormat(NotUnderstood):
    """A format that is not spoken here at all (another event format, another character set)."""
