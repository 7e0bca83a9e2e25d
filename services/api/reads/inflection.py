"""Names as Ruby on Rails spells them: `camelize(:lower)` and `underscore`, with the acronyms of vets-api.

One rule: only what `underscore` brings back is the same name; a spelling that does not survive the round trip (digits
join: `can_autofill_10_10cg_address`, `canAutofill1010cgAddress`) is nobody's.

Source: the documentation of ActiveSupport::Inflector (Rails 7.1) and the list of acronyms that vets-api registers. Its
order matters: of two acronyms that fit, the first is taken.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ANY = (
    "AAID|AWS|BB|BGS|BID|CARMA|CC|DOD|DGI|EVSS|FHIR|GIDS|GI|HCA|IAM|IHub|MDOT|MHV|MPI|NCA|OAuth|PagerDuty|PPIU|PPMS|"
    "PSSG|SAML|SFTP|SM|SSOe|SSO|VAOS|VAR|VA|VBA|VBMS|VBS|VC|VHA|VIC|VRE|VSO"
)
ACRONYMS = tuple(_ANY.split("|"))
MOST = 250  # characters of a toggle's key; no spelling of it is longer

_BY_WORD = {acronym.lower(): acronym for acronym in ACRONYMS}
_FIRST = re.compile(rf"^(?:(?:{_ANY})(?=\b|[A-Z_])|\w)", re.ASCII)
_WORD = re.compile(r"_([A-Za-z0-9]*)")
_ACRONYM = re.compile(rf"(?:(?<=([A-Za-z0-9]))|\b)({_ANY})(?=\b|[^a-z])", re.ASCII)
_HUMP = re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(4096)
def camelize(name: str) -> str:
    """`va_online_scheduling_vaos_service_requests` -> `vaOnlineSchedulingVAOSServiceRequests`."""
    lowered = _FIRST.sub(lambda first: first[0].lower(), name)
    return _WORD.sub(lambda word: _BY_WORD.get(word[1]) or word[1].capitalize(), lowered)


def underscore(name: str) -> str:
    """`vaOnlineSchedulingVAOSServiceRequests`, or with a capital first -> `va_online_scheduling_vaos_service_requests`.

    What is longer than a toggle's key can be comes back as it is, and is not remembered.
    """
    return name if len(name) > MOST else _underscored(name)


@lru_cache(4096)
def _underscored(name: str) -> str:
    apart = _ACRONYM.sub(lambda found: ("_" if found[1] else "") + found[2].lower(), name)
    return _HUMP.sub("_", apart).replace("-", "_").lower()
