"""Reading is strict, and says everything at once with names, the expected and the found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.plan import words
from events.plan.checks import check
from events.plan.reading import PlanError, read_plan
from events.plan.schema import Length, Plan, Quantity
from events.plan.walk import parts_of


def problems(data: object, **more: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        read_plan(data, **more)
    return [problem.words() for problem in caught.value.problems]


def test_every_problem_is_told_at_once() -> None:
    told = problems(
        {
            "titel": "A plan",
            "title": ["A", "plan"],
            "draft": "yes",
            "toggles": {"a b": "x y"},
            "deploy": {"watch": [{"until": "soon"}], "services": {"a": "b"}},
            "rollout": {"stages": ["5%%", "101%", {"title": "For whom?"}]},
            "criteria": {"Errors": {"below": "few", "then": "explode", "per": "any blue moon"}},
            "prerequisites": [{"attested_by": "Nobody said what"}],
        }
    )
    assert told == [
        "titel: is not a field here; the nearest is 'title'",
        "title: expected a text, found a list; if it is meant as text, put it in quotes",
        "draft: expected true or false, found the text 'yes'",
        "toggles / a b / key: expected letters, digits, dots, hyphens and underscores only, found the text 'a b'",
        "prerequisites / 1 / text: is missing",
        "criteria / Errors / per: expected a window of time such as '30 minutes' or '2 days', found 'blue moon'",
        "criteria / Errors / below: expected a number such as 10, 5% or 250 ms, found 'few'",
        "criteria / Errors / then: expected one of: halt, roll back; found the text 'explode'",
        "deploy / services: expected a list (lines that begin with '- '), found a mapping",
        "deploy / watch / 1 / until: expected a length of time such as '30 minutes' or '2 days', found 'soon'",
        "rollout / stages / 1: expected a percentage, found '5%%'",
        "rollout / stages / 2: expected a percentage from 0 to 100, found '101%'",
        "rollout / stages / 3: does not say for whom; write to: everyone, a percentage such as 25%, or a group's name",
    ]


def test_a_sentence_is_no_list_but_a_name_may_stand_alone() -> None:
    (told,) = problems({"title": "A plan", "reminders": "Put up the banner"})
    assert told.startswith("reminders: expected a list")
    assert read_plan({"title": "A plan", "release_managers": "Ann"}).release_managers == ("Ann",)


def test_nothing_written_is_said_to_be_nothing() -> None:
    (told,) = problems({"title": "A plan", "report_issues": [{"channel": None}]})
    assert told.startswith("report_issues / 1 / channel: nothing is written here")


def test_the_id_is_written_or_the_files_name_or_made_of_the_title() -> None:
    assert read_plan({"title": "A plan", "id": "b"}, default_id="c").id == "b"
    assert read_plan({"title": "A plan"}, default_id="c").id == "c"
    assert read_plan({"title": "A plan"}).id == "a-plan"
    (told,) = problems({"title": "A plan"}, default_id="My Plan")
    assert "it was taken from the file's name" in told


def test_ids_are_short_readable_and_unique_and_written_ones_win() -> None:
    plan = read_plan(
        {
            "title": "A plan",
            "prerequisites": [
                "HSRM is launched and live in Production, and ready to manage appointment requests",
                {"text": "Anything", "id": "types-of-errors-logged"},
            ],
            "deploy": {"watch": [{"results": ["Types of errors logged"]}]},
            "testing": {"results": ["Types of errors logged", "Types of errors logged"]},
        }
    )
    ids = [item.id for item in plan.prerequisites]
    ids += [result.id for result in (*plan.deploy.watch[0].results, *plan.testing.results)]
    assert ids == [
        "hsrm-is-launched-and-live-in",
        "types-of-errors-logged",
        "types-of-errors-logged-deploy",
        "types-of-errors-logged-testing",
        "types-of-errors-logged-testing-2",
    ]


def test_two_items_with_the_same_written_id_are_refused() -> None:
    items = [{"text": "One", "id": "same"}, {"text": "Two", "id": "same"}]
    (told,) = problems({"title": "A plan", "prerequisites": items})
    assert told == "prerequisites / 2 / id: 'same' is the id of something else in this plan already"


def test_a_cohort_has_a_limit() -> None:
    users = [f"u{n}" for n in range(2_001)]
    (told,) = problems({"title": "A plan", "groups": {"Many": {"users": users}}})
    assert told == "groups / Many / users: expected at most 2,000 entries, found 2,001"


def test_without_results_the_platform_templates_hold() -> None:
    plan = read_plan({"title": "A plan"})
    assert plan.go_live.results[0].text == "Number of unique users"
    assert len(plan.post_launch_questions) == 4
    assert [after.text for after in plan.go_live.results_after] == ["1 week", "1 month"]
    assert read_plan({"title": "A plan", "go_live": "TBD"}).go_live.results == plan.go_live.results
    assert read_plan({"title": "A plan", "go_live": {"results": []}}).go_live.results == ()


def test_two_shorthands_of_one_thing_contradict_each_other() -> None:
    (told,) = problems({"title": "A plan", "rollout": {"stages": [{"to": "5%", "group": "Staff"}]}})
    assert told.startswith("rollout / stages / 1 / group: is already said by `to`")


def test_gaps_are_never_written_by_hand() -> None:
    (told,) = problems({"title": "A plan", "gaps": []})
    assert told.startswith("gaps: is not a field here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 minutes", 1_800),
        ("24 hrs", 86_400),
        ("1.5 hours", 5_400),
        ("1 day 12 hours", 129_600),
        ("1 hour and 30 minutes", 5_400),
        ("a week", 604_800),
        ("1 month", 2_592_000),
        ("24-hour", 86_400),
    ],
)
def test_spans_are_read_as_seconds(text: str, expected: int) -> None:
    assert words.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "24", "soon", "3 business days", "5 %", "999999 months", "a", "hours"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        words.seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15 to 30 minutes", Length(900, 1_800)),
        ("15-30 minute", Length(900, 1_800)),
        ("4 hours to 1 day", Length(14_400, 86_400)),
        ("between 1 and 2 weeks", Length(604_800, 1_209_600)),
        ("at least 2 days", Length(172_800)),
        ("up to 4 hours", Length(0, 14_400)),
        ("0-24 hrs", Length(0, 86_400)),
        ("1 hour and 30 minutes", Length(5_400)),
    ],
)
def test_lengths_have_a_least_and_a_most(text: str, expected: Length) -> None:
    assert words.length(text) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (10, Quantity(10)),
        ("1,000", Quantity(1_000)),
        ("250 ms", Quantity(0.25, "s")),
        ("5s", Quantity(5, "s")),
        ("5 %", Quantity(5, "%")),
        ("2 calls", Quantity(2, "calls")),
        ("2 minutes", Quantity(120, "s")),
        ("none", Quantity(0)),
        (-0.5, Quantity(-0.5)),
    ],
)
def test_quantities_are_in_base_units(written: object, expected: Quantity) -> None:
    assert words.quantity(written) == expected


@pytest.mark.parametrize("written", ["1,00", "< 5%", "5 to 6", "", True, [], float("nan"), float("inf"), 10**400])
def test_what_is_no_quantity_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        words.quantity(written)


@pytest.mark.parametrize("written", ["1% to 5%", "1-5%", "1 to 5 %", ["1%", "5%"], "between"])
def test_two_numbers_share_a_unit(written: object) -> None:
    if written == "between":
        with pytest.raises(ValueError, match="expected two numbers"):
            words.between(written)
    else:
        assert words.between(written) == (Quantity(1, "%"), Quantity(5, "%"))


def test_a_sessions_toggles_go_on_before_and_off_after() -> None:
    (told,) = problems({"title": "A plan", "testing": {"sessions": {"toggles_on": "10 minutes after"}}})
    assert "expected a time before" in told
    sessions = read_plan(
        {"title": "A plan", "testing": {"sessions": {"toggles_off": "10 minutes after"}}}
    ).testing.sessions
    assert (sessions.toggles_on, sessions.toggles_off) == (1_800, 600)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["TBD", "x", "everyone", "25%", "5% to 25%", "10% of A", "1 week", "0-24 hrs", "yes/no", "2022-02-30"]
    ),
)


def names_of(kind: Any, seen: set[str]) -> set[str]:
    """Every field name that any part of a plan has: the likeliest way into the depths of the reader."""
    for info in parts_of(kind):
        seen.add(info.name)
        for inner in _parts_in(info.type):
            names_of(inner, seen)
    return seen


def _parts_in(kind: Any) -> list[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [part for inner in getattr(kind, "__args__", ()) for part in _parts_in(inner)]


NAMES = st.sampled_from(sorted(names_of(Plan, {"for"}))) | st.text()
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=30
)


def well_formed(kind: Any) -> st.SearchStrategy[Any]:
    """Mappings with the right names, often at the right places, and any leaves."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for info in parts_of(kind):
        parts = _parts_in(info.type)
        inner = well_formed(parts[0]) if parts and parts[0] is not kind else ANYTHING
        fields[info.name] = st.one_of(
            LEAVES, inner, st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=2)
        )
    return st.fixed_dictionaries({}, optional=fields)


@pytest.mark.timeout(1_800)
@given(st.one_of(ANYTHING, well_formed(Plan).map(lambda parts: {"title": "A"} | parts)), st.text(max_size=5))
def test_reading_anything_gives_a_plan_that_stores_or_a_plan_error(data: object, default_id: str) -> None:
    try:
        plan = read_plan(data, default_id=default_id)
    except PlanError as error:
        assert error.problems  # noqa: PT017
        return
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    check(plan)


@pytest.mark.timeout(1_800)
@given(st.text(alphabet="0123456789 ,.-+%eEmshdaywk to<>/µ"))
def test_little_languages_refuse_with_a_value_error_only(text: str) -> None:
    for read in (words.seconds, words.length, words.interval, words.window, words.quantity, words.between):
        try:
            read(text)
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017
