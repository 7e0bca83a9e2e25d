"""Why something that was sent cannot be taken.

One rule: a sender is told what was expected and what was found; HTTP status codes are chosen in `api/`.
"""

from __future__ import annotations


class NotUnderstood(ValueError):
    """What came is not what its kind must look like; the text names the part, what was expected and what was found."""


class UnknownFormat(NotUnderstood):
    """A format that is not spoken here at all (another event format, another character set)."""
