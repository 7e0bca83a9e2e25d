"""Schemathesis on the running service: whatever its own OpenAPI document allows or forbids is sent, as everybody.

One rule: no 5xx but the documented 503, no status, content type or body that the document does not name, and nothing
without a token.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.people.identity import ROLES
from tests.e2e.release import Release, small_plan
from tests.openapi_contract import CONTRACT
from tests.service_process import ServiceProcess

pytestmark = [pytest.mark.connected, pytest.mark.timeout(900)]

EXAMPLES = 300 if os.environ.get("CUTOVER_LONG") else 4
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
KNOWN = {"rollout": "small", "key": "small_one", "actor": "user-1", "name": "nobody"}
NAMES = [
    f"{method.upper()} {path}"
    for path, of in CONTRACT.document["paths"].items()
    for method in of
    if not path.endswith("openapi.json")  # schemathesis leaves out the document itself
]
OPEN = {"/healthz", "/readyz", "/v1/asyncapi.json", "/v0/feature_toggles"}


class Api:
    """The service, a rollout in it, and a token of every role."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        release = Release(service, small_plan())
        release.start_testing()
        admin = service.client()
        self.tokens = []
        for role in ROLES:
            made = admin.post("/v1/tokens", json={"name": f"a-{role.replace('_', '-')}", "role": role})
            self.tokens.append(made.json()["token"])
        schema = schemathesis.openapi.from_url(f"{service.url}/v1/openapi.json")
        self.operations: dict[str, Any] = {}
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            self.operations[f"{operation.method.upper()} {operation.path}"] = operation

    def send(self, case: Case[Any], token: str, *, known: bool) -> Any:
        """Call it. `known`: of what is there; streams end when they have told what there is."""
        if known:
            case.path_parameters |= {name: KNOWN[name] for name in case.path_parameters if name in KNOWN}
        query = dict(case.query or {})
        if case.path.endswith("/events") and case.path.startswith("/v1"):
            query["follow"] = "false"
        if str(query.get("at_least", "")).isdigit():
            query["at_least"] = 1  # what will never be there is waited for, for seconds
        case.query = query
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = case.call(headers=headers, timeout=30)
        assert response.status_code in (*range(500), 503), response.text
        case.validate_response(response, checks=CHECKS)
        return response


@pytest.fixture(scope="module")
def service_api(running_service: ServiceProcess) -> Api:
    return Api(running_service)


tried = settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize("name", NAMES)
def test_what_is_answered_is_what_the_document_says(service_api: Api, name: str, mode: GenerationMode) -> None:
    operation = service_api.operations[name]

    @tried
    @given(
        case=operation.as_strategy(generation_mode=mode),
        token=st.sampled_from(service_api.tokens),
        known=st.booleans(),
    )
    def test(case: Case[Any], token: str, known: bool) -> None:
        service_api.send(case, token, known=known)

    with suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
        test()


@pytest.mark.parametrize("name", [name for name in NAMES if name.split(" ")[1] not in OPEN])
def test_nothing_is_answered_without_a_token(service_api: Api, name: str) -> None:
    operation = service_api.operations[name]

    @tried
    @given(case=operation.as_strategy())
    def test(case: Case[Any]) -> None:
        response = service_api.send(case, "", known=True)
        assert 400 <= response.status_code < 500 or name.startswith("OPTIONS"), response.text

    test()
