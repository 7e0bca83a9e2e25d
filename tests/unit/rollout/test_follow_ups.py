"""A question that hangs on the answer before it: "If yes, what" needs no answer after a no."""

from __future__ import annotations

import pytest

from services.rollout import commands as c
from services.rollout.blockers import blockers
from tests.unit.rollout.scenario import Story, deployed, plan_of

RESULTS = ["Any UX changes necessary? yes/no", "If yes, what"]
PLAN = plan_of(deploy={"services": ["api"], "watch": [{"until": "1 hour", "results": RESULTS}]})


def missing(story: Story) -> list[str]:
    return [b.text for b in blockers(story.state, story.now) if b.kind == "result"]


@pytest.mark.parametrize(("answer", "asked"), [("no", 0), ("No, none", 0), ("yes", 1), ("yes, two", 1)])
def test_if_yes_what_is_asked_only_after_a_yes(answer: str, asked: int) -> None:
    story = deployed(PLAN)
    first, _ = (question.id for watch in PLAN.deploy.watch for question in watch.results)
    story = story.then(c.RecordResult(first, answer))
    assert len([text for text in missing(story) if text.startswith("'If yes")]) == asked
