"""Toggle names in the spellings of VA.gov's front end: as Rails makes them, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.reads.inflection import ACRONYMS, camelize, underscore

SEED = {
    "va_online_scheduling_facilities_service_v2": "vaOnlineSchedulingFacilitiesServiceV2",
    "va_online_scheduling_vaos_service_cc_appointments": "vaOnlineSchedulingVAOSServiceCCAppointments",
    "va_online_scheduling_vaos_service_requests": "vaOnlineSchedulingVAOSServiceRequests",
    "va_online_scheduling_vaos_service_va_appointments": "vaOnlineSchedulingVAOSServiceVAAppointments",
}


@pytest.mark.parametrize(("snake", "camel"), SEED.items())
def test_the_seeds_toggles_are_spelled_as_va_gov_spells_them(snake: str, camel: str) -> None:
    assert camelize(snake) == camel
    assert underscore(camel) == snake
    assert underscore(camel[0].upper() + camel[1:]) == snake
    assert underscore(snake) == snake


@pytest.mark.parametrize(
    ("snake", "camel"),
    [
        ("caregiver_mailing_address", "caregiverMailingAddress"),
        ("form_sso_login", "formSSOLogin"),
        ("sign_in_ssoe_inbound", "signInSSOeInbound"),
        ("my_va_experimental", "myVAExperimental"),
        ("mhv_va_health_chat_enabled", "mhvVAHealthChatEnabled"),
        ("show_pagerduty", "showPagerDuty"),
        ("gi_bill_oauth", "giBillOAuth"),
        ("profile_ppiu_reject_requests", "profilePPIURejectRequests"),
        ("in_vre_and_vr", "inVREAndVr"),
        ("stem_va", "stemVA"),
    ],
)
def test_acronyms_stay_whole_both_ways(snake: str, camel: str) -> None:
    assert camelize(snake) == camel
    assert underscore(camel) == snake


@pytest.mark.parametrize(
    ("key", "camel"),
    [
        ("can_autofill_10_10cg_address", "canAutofill1010cgAddress"),
        ("with__two", "withTwo"),
        ("ends_", "ends"),
        ("_private", "Private"),
        ("Capital_first", "capitalFirst"),
        ("HCA_enrolled", "hcaEnrolled"),
        ("a-dash_b", "a-dashB"),
    ],
)
def test_a_key_that_does_not_come_back_is_spelled_as_rails_spells_it_all_the_same(key: str, camel: str) -> None:
    assert camelize(key) == camel
    assert underscore(camel) != key


words = st.one_of(
    st.sampled_from([acronym.lower() for acronym in ACRONYMS]),
    st.text("bcdfgjklmnpqrtwxyz", min_size=3, max_size=8),
    st.from_regex(r"[a-z]{2,5}[0-9]{1,2}", fullmatch=True),
)


@given(st.lists(words, min_size=1, max_size=6))
def test_a_name_of_words_that_begin_with_letters_survives_the_round_trip(parts: list[str]) -> None:
    snake = "_".join(parts)
    assert underscore(camelize(snake)) == snake


@given(st.text(max_size=300))
def test_any_text_has_both_spellings_and_underscoring_twice_changes_nothing(text: str) -> None:
    camelize(text)
    once = underscore(text)
    assert underscore(once) == once or len(text) > 250
