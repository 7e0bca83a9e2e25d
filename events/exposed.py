"""Who has the group on, in words.

One rule: these words are the same wherever an exposure is told: status, list, trail, report, messages.
"""

from __future__ import annotations

from events.facts import Audience, Exposure


def exposure_words(exposure: Exposure) -> str:
    """Who has the group on, in as few words as it can be said: "everyone", "25% of users", "cohort staff"."""
    if exposure.to not in ("cohort", "percentage"):
        return exposure.to
    who = " and ".join(map(_audience, exposure.audiences))
    return f"cohort {who}".rstrip() if exposure.to == "cohort" else who


def _audience(audience: Audience) -> str:
    group = audience.group or audience.attribute or ("users by id" if audience.users else "")
    if audience.percentage >= 100:
        return group or "everyone"
    return f"{audience.percentage:g}% of {group or 'users'}"
