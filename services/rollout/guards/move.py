"""Move: the machine's model. Its methods are the guards that the table of phases names.

One rule: a guard never stops at the first reason; it collects all of them, and the table's last condition looks.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.rollout import steps
from services.rollout.guards.blocker import Asking, Blocker
from services.rollout.guards.closing import closing
from services.rollout.guards.entering import entering, gaps, halted, prerequisites_missing, unattested
from services.rollout.guards.leaving import leaving, unmet_criteria


class Move(Asking):
    """One move being tried."""

    __slots__ = ()

    def nothing_missing(self) -> bool:
        """The last condition of every row of the table."""
        return not self.missing

    def _collect(self, found: Iterable[Blocker]) -> bool:
        self.missing.extend(found)
        return True

    def enter(self) -> bool:
        """The one guard of promotions: leaving the step we are in, and entering the next."""
        self._collect(halted(self.rollout))
        if self.step == steps.current_step(self.rollout):  # going up within a stage's range
            self._collect(unmet_criteria(self, self.step, over=None))
        else:
            self._collect(leaving(self))
        return self._collect(entering(self))

    def still_to_come(self) -> tuple[Blocker, ...]:
        """What entering the step will need, for a move that is asked for too early; nothing once it is behind."""
        order, here = steps.steps(self.rollout.plan), steps.current_step(self.rollout)
        ahead = self.rollout.phase == "planned" or (here in order and self.step in order[order.index(here) + 1 :])
        return tuple(entering(self)) if ahead else ()

    def ready_for_deploy(self) -> bool:
        """What the plan must say before its code counts as deployed."""
        self._collect(gaps(self.rollout, self.step))
        return self._collect(unattested(self.rollout, steps.checklist(self.rollout.plan, self.step)))

    def everything_answered(self) -> bool:
        """What must be known before a rollout is closed."""
        return self._collect(closing(self))

    def testing_is_planned(self) -> bool:
        """start_testing needs a plan that tests."""
        why = self.rollout.plan.testing.waived
        if why:
            self.missing.append(Blocker(f"the plan waives testing ({why}): cut over instead", "phase"))
        return True

    def testing_is_waived(self) -> bool:
        """Cutting over right after the watch needs a plan that waives testing."""
        if not self.rollout.plan.testing.waived:
            self.missing.append(Blocker("the plan asks for testing first: start testing", "phase"))
        return True

    def prerequisites_hold(self) -> bool:
        """While anybody may have the group on: new windows open again, and automatic stages go on."""
        return self._collect(prerequisites_missing(self.rollout) if self.rollout.exposed else ())

    def reason_given(self) -> bool:
        """Some moves need nothing but a reason."""
        if not self.reason.strip():
            self.missing.append(Blocker("a reason is needed: say why", "reason"))
        return True
