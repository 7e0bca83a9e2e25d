"""By which id a plan knows a user.

One rule: whoever compares ids of users compares these: those who schedule testers, write groups and ask for toggles
agree, whatever protocol they come by.
"""

from __future__ import annotations

from events.plan.schema import ActorKind


def known_as(user: str, actor: ActorKind) -> str:
    """An email address in lower case (Unicode's, as VA.gov's `flipper_id` is); every other id as it is."""
    return user.lower() if actor == "email" else user
