"""Who acts in the demo. Whoever asks for a move is never one of those who decide about it.

One rule: everybody has their own token, and may do only what their role and titles allow.
"""

from __future__ import annotations

from msgspec import Struct

from events.facts import Role


class Person(Struct, frozen=True):
    """Somebody (or something) with a token: how they are called, and as what they act."""

    name: str
    role: Role
    part: str
    titles: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name.capitalize() if self.name.isalpha() else self.name}, {self.part}"


MORGAN = Person("morgan", "release_manager", "release manager")
PAT = Person("pat", "approver", "VAOS Product Owner", ("VAOS Product Owner",))
SAM = Person("sam", "approver", "for the Business Stakeholders", ("Business Stakeholders",))
KIM = Person("kim", "monitor", "front end engineer, watching the dashboards")
TONI = Person("toni", "facilitator", "leads the test sessions")
PIPELINE = Person("build-pipeline", "ci", "the CI system")
CAST = (MORGAN, PAT, SAM, KIM, TONI, PIPELINE)
VETS_API = Person("vets-api", "reader", "the service of the live demo")
