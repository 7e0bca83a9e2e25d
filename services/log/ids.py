"""A rollout's id, as the last token of its subject.

One rule: a wildcard or a dot in it would reach into other rollouts, so nothing else becomes a subject.
"""

from __future__ import annotations

import re

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_id(rollout: str) -> bool:
    """Whether this is a rollout's id."""
    return _ID.fullmatch(rollout) is not None


def check_id(rollout: str) -> None:
    """ValueError unless this is a rollout's id."""
    if not is_id(rollout):
        raise ValueError(f"{rollout!r} is not a rollout's id: a-z, 0-9 and -, 1 to 63 characters")
