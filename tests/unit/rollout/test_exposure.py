"""Who has the group on: the union of the stages so far, and when one exposure is more than another."""

from __future__ import annotations

from itertools import pairwise

import pytest

from events.exposed import exposure_words
from events.facts import EVERYONE, NOBODY, TESTERS, Audience, Exposure
from services.rollout import exposure

from .scenario import plan_of

PLAN = plan_of(
    groups={"Staff": {"users": ["u1"]}, "Site": {"attribute": "facility", "any_of": ["983"]}},
    rollout={"stages": ["Staff", "10% of Site", "Site", "25%", "25%", "50% to 75%", "everyone"]},
)
STAFF = Audience(group="Staff", users=("u1",))
SITE = Audience(group="Site", attribute="facility", any_of=("983",))
SITE_10 = Audience(10, "Site", "facility", ("983",))


@pytest.mark.parametrize(
    ("stage", "expected", "words"),
    [
        (0, NOBODY, "nobody"),
        (1, Exposure("cohort", (STAFF,)), "cohort Staff"),
        (2, Exposure("cohort", (STAFF, SITE_10)), "cohort Staff and 10% of Site"),
        (3, Exposure("cohort", (STAFF, SITE)), "cohort Staff and Site"),
        (4, Exposure("cohort", (STAFF, SITE, Audience(25))), "cohort Staff and Site and 25% of users"),
        (5, Exposure("cohort", (STAFF, SITE, Audience(25))), "cohort Staff and Site and 25% of users"),
        (6, Exposure("cohort", (STAFF, SITE, Audience(50))), "cohort Staff and Site and 50% of users"),
        (7, EVERYONE, "everyone"),
    ],
)
def test_a_stage_exposes_the_union_of_the_stages_so_far(stage: int, expected: Exposure, words: str) -> None:
    assert exposure.exposure_of(PLAN, stage) == expected
    assert exposure_words(expected) == words


def test_no_stage_takes_the_group_from_anybody() -> None:
    reached = [exposure.exposure_of(PLAN, n) for n in range(8)]
    assert not any(exposure.raises(wide, narrow) for narrow, wide in pairwise(reached))


FIVE, TEN = Exposure("percentage", (Audience(5),)), Exposure("percentage", (Audience(10),))


@pytest.mark.parametrize(
    ("old", "new", "raised"),
    [
        (NOBODY, TESTERS, True),
        (NOBODY, NOBODY, False),
        (TESTERS, FIVE, True),
        (FIVE, TEN, True),
        (TEN, FIVE, False),
        (FIVE, FIVE, False),
        (TEN, EVERYONE, True),
        (EVERYONE, TEN, False),
        (EVERYONE, NOBODY, False),
        (TEN, TESTERS, False),
        (Exposure("cohort", (STAFF,)), Exposure("cohort", (SITE,)), True),
        (Exposure("cohort", (STAFF, SITE)), Exposure("cohort", (SITE_10,)), False),
        (TEN, Exposure("cohort", (SITE_10,)), False),
        (TEN, Exposure("cohort", (SITE,)), True),
        (Exposure("cohort", (STAFF,)), Exposure("cohort", (Audience(group="Staff", users=("u1", "u2")),)), True),
    ],
)
def test_one_exposure_raises_another_when_anybody_new_may_get_the_group(
    old: Exposure, new: Exposure, raised: bool
) -> None:
    assert exposure.raises(old, new) is raised
