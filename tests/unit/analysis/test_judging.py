"""Samples -> verdicts: k of n, errors in a row, full spans, readings; against naive versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.plan.schema import Criterion, Quantity
from events.readings import Reading
from services.analysis.judging import Bad, Sample, bad, judged, over_samples, over_span, quiet, stale, unseen, value_of
from services.analysis.measure import Measurer
from services.analysis.prometheus import Answer, NoAnswer, Series
from services.analysis.readings import MemoryReadings, NoReading, reading_of, take_reading
from services.analysis.samples import folded

AT = datetime(2024, 3, 4, 12, tzinfo=UTC)
KINDS = st.lists(st.sampled_from("pfe"), max_size=25)


def limit(needed: int = 1, of: int = 1, errors: int = 3) -> Criterion:
    return Criterion(name="Errors", below=Quantity(10), breaches_needed=needed, breaches_of=of, errors_in_a_row=errors)


def samples(kinds: str | list[str], one: Criterion) -> list[Sample]:
    """p passes, f breaks the limit, e gives no good data."""
    made = []
    for n, kind in enumerate(kinds):
        at = AT + timedelta(seconds=30 * n)
        wrong = Bad("error", "no answer")
        made.append(bad(at, wrong) if kind == "e" else judged(one, 3 if kind == "p" else 12, at))
    return made


def naive(kinds: list[str], needed: int, of: int, errors: int) -> str | None:
    """What the words of the plan mean, spelt out."""
    if len(kinds) > errors and set(kinds[-errors - 1 :]) == {"e"}:
        return "error"
    good = [kind for kind in kinds if kind != "e"]
    if not good or kinds[-1] == "e":
        return None
    if good[-of:].count("f") >= needed:
        return "fail"
    return "inconclusive" if good[-1] == "f" else "pass"


@st.composite
def rules(draw: st.DrawFn) -> tuple[int, int, int]:
    of = draw(st.integers(1, 5))
    return draw(st.integers(1, of)), of, draw(st.integers(0, 4))


@given(KINDS, rules())
def test_k_of_n_and_errors_in_a_row_are_what_the_plan_says(kinds: list[str], rule: tuple[int, int, int]) -> None:
    one = limit(*rule)
    found = over_samples(one, samples(kinds, one))
    assert (found.verdict if found else None) == naive(kinds, *rule)


@given(KINDS.filter(bool), rules())
@example(list("feeepeeef"), (2, 3, 3))  # good samples far apart still count together
def test_a_span_fails_when_it_was_to_be_called_failed_at_any_moment(
    kinds: list[str], rule: tuple[int, int, int]
) -> None:
    one = limit(*rule)
    moments = [naive(kinds[: n + 1], *rule) for n in range(len(kinds))]
    found = over_span(one, samples(kinds, one)).verdict
    if "fail" in moments:
        assert found == "fail"
    elif "error" in moments or kinds[-1] == "e":
        assert found == "error"
    else:
        assert found == moments[-1]


@given(KINDS, rules())
def test_nothing_passes_whose_last_sample_is_not_good(kinds: list[str], rule: tuple[int, int, int]) -> None:
    one = limit(*rule)
    found = over_span(one, samples([*kinds, "e"], one))
    assert found.verdict != "pass"


def test_a_breach_that_is_not_confirmed_says_so() -> None:
    one = limit(2, 3)
    found = over_samples(one, samples("ppf", one))
    assert found is not None
    assert (found.verdict, found.band) == ("inconclusive", "waiting")
    assert found.why == "12 is not below 10; 1 of the last 3 measurements broke the limit; 2 are needed"


def answer(*series: tuple[dict[str, str], float], warnings: tuple[str, ...] = ()) -> Answer:
    return Answer(tuple(Series(labels, ((0.0, value),)) for labels, value in series), warnings, b"")


@pytest.mark.parametrize(
    ("given_answer", "verdict", "words"),
    [
        (answer(), "inconclusive", "found no data"),
        (answer(({}, float("nan"))), "error", "NaN, which is no number"),
        (answer(({}, float("inf"))), "error", "+Inf"),
        (answer(({}, float("-inf"))), "error", "-Inf"),
        (answer(({"pod": "a"}, 1.0), ({"pod": "b"}, 2.0)), "error", "gives 2 series"),
        (answer(({}, 1.0), warnings=("partial",)), "error", "warns about the query: partial"),
        (NoAnswer("Prometheus gave no answer within 5 s"), "error", "gave no answer"),
    ],
)
def test_what_is_no_one_finite_number_has_its_own_words(
    given_answer: Answer | NoAnswer, verdict: str, words: str
) -> None:
    found = value_of(given_answer)
    assert isinstance(found, Bad)
    assert found.verdict == verdict
    assert words in found.why


def test_one_finite_number_is_the_value() -> None:
    assert value_of(answer(({}, 4.0))) == 4.0


def test_age_and_traffic_are_said_in_words() -> None:
    assert stale(AT - timedelta(minutes=5), AT, 300) is None
    old = stale(AT - timedelta(hours=1), AT, 300)
    assert old is not None
    assert old.why == "its newest sample is 1 hour old; at most 5 minutes is fresh"
    few = quiet(answer(({}, 3.0)), Quantity(100))
    assert few is not None
    assert few.why == "there is too little traffic to judge: 3, at least 100 is needed"


@pytest.mark.parametrize(
    ("kinds", "gap"),
    [
        ("pppp", None),
        ("eeepeeep", None),
        ("eeee", "12:00:00 to 2024-03-04 12:01:30"),
        ("ppeeeepeeeeeeee", "12:00:50 to 2024-03-04 12:02:30"),
        ("ppppppppppppeeeep", "12:05:50 to 2024-03-04 12:07:30"),
    ],
)
def test_a_time_without_data_is_named_once_it_is_longer_than_the_plan_bears(kinds: str, gap: str | None) -> None:
    one = Criterion(name="Errors", fresh=10)
    looks = [look._replace(judged=look.judged._replace(verdict="inconclusive")) for look in samples(kinds, one)]
    found = unseen(one, looks, AT)
    assert found == (Bad("inconclusive", f"there is no data from 2024-03-04 {gap} UTC") if gap else None)


def test_looks_that_went_wrong_are_that_error() -> None:
    one = limit()
    assert unseen(one, samples("ppep", one), AT) == Bad("error", "no answer")


# -- published readings


def reading(minutes: float, value: float, id: str = "") -> Reading:
    return Reading("a-plan", "errors", AT + timedelta(minutes=minutes), value, source="ci", id=id or f"{minutes}")


async def by_readings(one: Criterion, *readings: Reading, at: float = 60) -> tuple[str, str]:
    kept = MemoryReadings()
    for each in readings:
        await kept.keep(each)
    taken = await Measurer(None, kept).over(one, "a-plan", AT, AT + timedelta(minutes=at))
    return taken.judged.verdict, taken.judged.why


async def test_published_readings_are_summed_in_the_worst_window_of_the_phase() -> None:
    one = Criterion(
        name="Errors", below=Quantity(10), reading="errors", take="sum", per="any 10 minutes", per_seconds=600
    )
    calm = [reading(n, 1) for n in range(-30, 61) if n > 0 or n < -20]
    assert (await by_readings(one, *[reading(n, 0.5) for n in range(1, 61)]))[0] == "pass"
    assert await by_readings(one, *calm) == ("fail", "10 is not below 10")
    assert (await by_readings(one, reading(-5, 99), reading(59, 1)))[0] == "pass"


async def test_a_reading_told_twice_counts_once() -> None:
    one = Criterion(name="Errors", below=Quantity(10), reading="errors", take="sum")
    assert (await by_readings(one, reading(58, 6, "a"), reading(58, 6, "a")))[0] == "pass"
    assert (await by_readings(one, reading(58, 6, "a"), reading(58, 6, "b")))[0] == "fail"


async def test_readings_that_are_missing_or_old_do_not_pass() -> None:
    one = Criterion(name="Errors", below=Quantity(10), reading="errors")
    assert await by_readings(one) == ("inconclusive", "there is no sample of it in the last 5 minutes")
    assert (await by_readings(one, reading(1, 1)))[1].startswith("its newest sample is 59 minutes old")


async def test_the_worst_window_for_a_minimum_is_the_smallest() -> None:
    one = Criterion(name="Visits", at_least=Quantity(5), reading="errors", take="sum", per_seconds=600)
    visits = [reading(n, 1.0) for n in range(1, 61)]
    assert folded(one, visits, AT) == 10
    assert folded(one, [*visits[:20], *visits[28:]], AT) == 2


@pytest.mark.parametrize(
    ("limit", "units", "why"),
    [
        (Quantity(5, "%"), ["s"], "the reading 'load' is measured in 's', the criterion in '%'"),
        (Quantity(5, "s"), ["%"], "the reading 'load' is measured in '%', the criterion in 's'"),
        (Quantity(5), ["s"], "the reading 'load' is measured in 's', the criterion in no unit"),
        (Quantity(5, "s"), ["%", "s"], "the reading 'load' is measured in '%', the criterion in 's'"),
        (None, ["%", "s"], "the reading 'load' is measured in '%' and 's': expected one unit"),
        (None, ["", "s"], "the reading 'load' is measured in no unit and 's': expected one unit"),
    ],
)
async def test_a_reading_in_another_unit_is_an_error_and_never_passes(
    limit: Quantity | None, units: list[str], why: str
) -> None:
    one = Criterion(name="Load", below=limit, reading="load")
    readings = [replace(reading(58 + n, 2.4), name="load", unit=unit) for n, unit in enumerate(units)]
    assert await by_readings(one, *readings) == ("error", why)


@pytest.mark.parametrize(
    ("limit", "units", "why"),
    [
        (Quantity(5, "s"), ["s", "s"], "2.4 s keeps to below 5 s"),
        (Quantity(5, "s"), ["", "s"], "2.4 s keeps to below 5 s"),  # a bare number is in the criterion's unit
        (Quantity(5), [""], "2.4 keeps to below 5"),
        (None, ["s"], "2.4 s was measured; the plan sets no limit"),
    ],
)
async def test_a_reading_in_the_criterions_unit_is_judged_in_it(
    limit: Quantity | None, units: list[str], why: str
) -> None:
    one = Criterion(name="Load", below=limit, reading="load")
    readings = [replace(reading(58 + n, 2.4), name="load", unit=unit) for n, unit in enumerate(units)]
    assert await by_readings(one, *readings) == ("pass", why)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"name": "x"}', "value: expected a number"),
        (b'{"name": "", "value": 1}', "name: expected 1 to 200 characters"),
        (b'{"name": "x", "value": "NaN"}', "value: expected a number"),
        (b'{"name": "x", "value": "many"}', "value: expected a number"),
        (b'{"name": "x", "value": 1, "rollout": "other"}', "rollout: expected 'a-plan', found 'other'"),
        (b'{"name": "x", "value": 1, "at": "2030-01-01T00:00:00Z"}', "at: expected a time that has been"),
        (b"<html>", "a reading is a JSON object"),
        (b'{"name": "x\xff", "value": 1}', "a reading is a JSON object"),
        (b'{"value": 1}', "missing required field `name`"),
        (rb'{"name": "x\u0000", "value": 1}', "a text holds the character U+0000"),
        (rb'{"name": "x", "parts": {"a\u0000b": 1}}', "a text holds the character U+0000"),
    ],
)
def test_what_is_no_reading_is_said_in_words(data: bytes, words: str) -> None:
    with pytest.raises(NoReading) as wrong:
        reading_of(data, "a-plan", source="ci", id="1", time=AT, now=AT)
    assert words in str(wrong.value)


async def test_a_reading_is_kept_in_base_units_with_its_parts() -> None:
    kept = MemoryReadings()
    await take_reading(kept, b'{"name": "load", "value": "250 ms"}', "a-plan", source="ci", id="1", time=AT, now=AT)
    said = b'{"name": "errors", "parts": {"timeout": 3, "refused": 1}}'
    await take_reading(kept, said, "a-plan", source="ci", id="2", time=AT, now=AT)
    assert [(r.value, r.unit) for r in kept.all] == [(0.25, "s"), (4.0, "")]
    assert kept.all[1].parts == {"timeout": 3.0, "refused": 1.0}
