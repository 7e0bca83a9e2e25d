"""The steps of a plan, and what the plan says about each: criteria, checklists, results, lengths, gaps.

One rule: everything here reads the plan (and where the rollout stands in it); nothing decides.
Steps are named "code_deploy", "veteran_testing", "stage-1" .. "stage-N", "go_live"; sets of results by their text.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from events.plan.ids import SWITCHED
from events.plan.schema import Criterion, Gap, Item, Length, Plan, Question, Stage
from services.rollout.state import Result, Rollout

FIRST_STAGE = "stage-1"


def stage_step(number: int) -> str:
    """The step of a stage, counted from 1."""
    return f"stage-{number}"


def stage_number(step: str) -> int:
    """The stage a step is, counted from 1; 0 if it is none."""
    return int(step[6:]) if step.startswith("stage-") and step[6:].isdigit() else 0


def steps(plan: Plan) -> tuple[str, ...]:
    """All steps of the plan, in order."""
    testing = () if plan.testing.waived else ("veteran_testing",)
    stages = tuple(stage_step(n) for n in range(1, len(plan.rollout.stages) + 1))
    return ("code_deploy", *testing, *stages, "go_live")


def current_step(rollout: Rollout) -> str:
    """The step the rollout is in; "" in phases that are no step."""
    if rollout.phase == "cutover":
        return stage_step(rollout.stage)
    return rollout.phase if rollout.phase in ("code_deploy", "veteran_testing", "go_live") else ""


def next_step(rollout: Rollout) -> str:
    """The step that would be entered next; "" after the last."""
    if rollout.phase == "planned":
        return "code_deploy"
    if rollout.phase == "rolled_back":
        return FIRST_STAGE if rollout.failed_in_stage else "code_deploy"
    order, here = steps(rollout.plan), current_step(rollout)
    if here == "":
        return ""
    if here not in order:  # testing was waived after it had begun
        return FIRST_STAGE
    following = order[order.index(here) + 1 :]
    return following[0] if following else ""


def passed_over(rollout: Rollout, step: str) -> tuple[str, ...]:
    """The stages between the current one and `step`: who enters a later stage exposes their audiences too."""
    if rollout.phase != "cutover":
        return ()
    return tuple(stage_step(n) for n in range(rollout.stage + 1, stage_number(step)))


def exposes_testers(plan: Plan) -> bool:
    """Whether testing switches the group on for anybody in the plan's environment."""
    where = plan.testing.environment
    return not plan.testing.waived and where in ("", plan.environment)


def first_exposure(plan: Plan) -> str:
    """The step in which anybody can have the group on for the first time."""
    return "veteran_testing" if exposes_testers(plan) else FIRST_STAGE


def stage_of(plan: Plan, step: str) -> Stage | None:
    """The plan's stage behind a step, None for other steps."""
    number = stage_number(step)
    return plan.rollout.stages[number - 1] if 0 < number <= len(plan.rollout.stages) else None


def title_of(plan: Plan, step: str) -> str:
    """What people call a step."""
    stage = stage_of(plan, step)
    if stage is not None:
        return f"stage {stage_number(step)} ({stage.title or stage.to or 'everyone'})"
    return {"code_deploy": "code deployment", "veteran_testing": "testing", "go_live": "go-live"}.get(step, step)


def find_step(plan: Plan, words: str) -> str:
    """The step that `words` name: its name, a stage's title, audience or number; "" if none does."""
    wanted = words.strip().lower()
    if not wanted:
        return ""
    if wanted.replace(" ", "_") in steps(plan):
        return wanted.replace(" ", "_")
    aliases = {"testing": "veteran_testing", "deploy": "code_deploy", "first stage": FIRST_STAGE, "go live": "go_live"}
    if aliases.get(wanted) in steps(plan):
        return aliases[wanted]
    for number, stage in enumerate(plan.rollout.stages, 1):
        if wanted in (str(number), f"stage {number}", f"stage-{number}", stage.title.lower(), stage.to.lower()):
            return stage_step(number)
    return ""


def checklist(plan: Plan, step: str) -> tuple[Item, ...]:
    """What must be attested to enter a step: its `before`, and the prerequisites for the first exposure."""
    stage = stage_of(plan, step)
    if step == "code_deploy":
        items = plan.deploy.before
    elif step == "veteran_testing":
        items = plan.testing.before
    elif step == "go_live":
        items = plan.go_live.before
    else:
        items = (*(plan.rollout.before if step == FIRST_STAGE else ()), *(stage.before if stage else ()))
    if plan.switch == "elsewhere" and stage is not None:
        items = (*items, Item(f"switched elsewhere to {stage.to or 'everyone'}", id=f"{SWITCHED}{step}"))
    return items


def all_items(plan: Plan) -> tuple[Item, ...]:
    """Every item of the plan that can be attested."""
    lists = [item for step in steps(plan) for item in checklist(plan, step)]
    return (*plan.prerequisites, *lists, *plan.before_release_again)


def find_item(plan: Plan, words: str) -> Item | None:
    """The item with this id or this text; None if there is none."""
    wanted = words.strip().casefold()
    items = all_items(plan)
    return next((i for i in items if wanted in (i.id.casefold(), i.text.strip().casefold())), None)


def criteria(plan: Plan, step: str) -> tuple[Criterion, ...]:
    """The criteria judged before a step is left, in the plan's order, each once."""
    names: tuple[str, ...] = ()
    if step == "code_deploy":
        names = (*plan.deploy.criteria, *(name for watch in plan.deploy.watch for name in watch.criteria))
    elif step == "veteran_testing":
        names = plan.testing.criteria
    elif step == "go_live":
        names = plan.go_live.criteria
    elif (stage := stage_of(plan, step)) is not None:
        names = (*plan.rollout.criteria, *stage.criteria)
    return tuple(plan.criteria.get(name) or Criterion(name=name, text=name) for name in dict.fromkeys(names))


def questions(plan: Plan, step: str) -> tuple[Question, ...]:
    """The results to record in a step (or, for a set of results, in it) besides criteria and KPIs."""
    if step == "code_deploy":
        return tuple(q for watch in plan.deploy.watch for q in watch.results)
    if step == "veteran_testing":
        return plan.testing.results
    if step in result_sets(plan):
        return plan.go_live.results
    stage = stage_of(plan, step)
    return (*plan.rollout.results, *stage.results) if stage else ()


def result_sets(plan: Plan) -> dict[str, int]:
    """The sets of results after the first 100%: text -> seconds."""
    return {after.text: after.seconds for after in plan.go_live.results_after}


def answer(rollout: Rollout, question: Question) -> Result | None:
    """The answer to a go/no-go or post-launch question; one from before a rollback was about another release."""
    found = rollout.answers.get(question.id)
    return None if found is None or found.ordinal < rollout.rolled_back_ordinal else found


def attested(rollout: Rollout, item: Item) -> bool:
    """Whether an item is attested, and that still counts: some are said of one release and not of the next."""
    given = rollout.attested.get(item.id)
    anew = item in rollout.plan.before_release_again or item.id.startswith(SWITCHED)
    return given is not None and not (anew and given.ordinal < rollout.rolled_back_ordinal)


def began(rollout: Rollout, step: str) -> int:
    """The record since which a step's results count: its beginning, or the first 100% for sets of results."""
    if step in result_sets(rollout.plan):
        return rollout.released_ordinal
    return rollout.phase_ordinal if step == "veteran_testing" else rollout.step_ordinal


def length(plan: Plan, step: str) -> Length:
    """How long a step takes, not counting halted time."""
    if step == "code_deploy":
        return Length(at_least=max((watch.until for watch in plan.deploy.watch), default=0))
    if step == "veteran_testing":
        return plan.testing.length
    stage = stage_of(plan, step)
    if stage is not None:
        return stage.length if stage.length is not None else plan.rollout.length
    return Length()


def local(rollout: Rollout, at: datetime) -> str:
    """A time as people of the plan read it: 2022-07-30 09:30 EDT."""
    return f"{at.astimezone(ZoneInfo(rollout.plan.time_zone)):%Y-%m-%d %H:%M %Z}"


def length_over_at(rollout: Rollout) -> datetime | None:
    """When the current step's least length is over, if it is not halted meanwhile; None while it is not counting."""
    if rollout.step_since is None or not current_step(rollout):
        return None
    return _after(rollout, length(rollout.plan, current_step(rollout)).at_least)


def length_limit_at(rollout: Rollout) -> datetime | None:
    """When the current step has lasted the most the plan allows; None where it names no maximum."""
    most = length(rollout.plan, current_step(rollout)).at_most if current_step(rollout) else None
    return None if most is None or rollout.step_since is None else _after(rollout, most)


def _after(rollout: Rollout, seconds: float) -> datetime:
    assert rollout.step_since is not None
    return rollout.step_since + timedelta(seconds=seconds + rollout.halted_for)


def gaps_for(plan: Plan, step: str) -> Iterator[Gap]:
    """The blanks that must be filled before a step is entered. Toggles and prerequisites: before the first exposure."""
    for gap in plan.gaps:
        top = gap.path.split(".", 1)[0].split("[", 1)[0].split(" ", 1)[0].split("/", 1)[0]
        needed = first_exposure(plan) if top in ("toggles", "prerequisites") else gap.step
        if needed == step:
            yield gap


def approvers(rollout: Rollout) -> tuple[str, ...]:
    """The titles that decide go or no-go: the plan's, else the service's default."""
    return rollout.plan.go_no_go.decided_by or rollout.default_approvers


def needs_go(rollout: Rollout, step: str) -> bool:
    """Whether entering `step` needs a standing go: the plan says so, or something went wrong before."""
    number = stage_number(step)
    if rollout.went_back and (number or step == "go_live"):
        return True
    if number == 1 and rollout.rolled_back_ordinal:
        return True
    return asks_go(rollout.plan, step)


def asks_go(plan: Plan, step: str) -> bool:
    """Whether the plan itself asks for a go before `step`."""
    wanted, number = plan.go_no_go.before, stage_number(step)
    return (
        (number == 1 and ("first stage" in wanted or "every stage" in wanted))
        or (number > 1 and "every stage" in wanted)
        or (step == "veteran_testing" and "testing" in wanted)
        or (step == "go_live" and "go live" in wanted)
        or step in wanted
    )


def next_go_step(rollout: Rollout) -> str:
    """The next step ahead that asks for a go; the next step if none does; the last step when it is entered."""
    ahead = next_step(rollout) or current_step(rollout)
    order = steps(rollout.plan)
    if ahead not in order:
        return ahead
    coming = order[order.index(ahead) :]
    return next((step for step in coming if needs_go(rollout, step)), ahead)
