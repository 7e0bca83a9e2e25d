"""The OpenAPI document as a contract: every answer is held against what it says.

One rule: what is not in the document is wrong, whether it is a path, a status, a content type or a shape.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, cast

import httpx
import jsonschema_rs
import msgspec

from services.api import app as api
from services.api.openapi import document
from services.api.service import Service

Json = dict[str, Any]


class Contract:
    """The document, as something that answers can break."""

    def __init__(self, found: Json) -> None:
        self.document = found
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], Json]]:
        def pattern(path: str) -> re.Pattern[str]:
            ours = re.sub(r"\\{actor\\}", ".+", re.escape(path))  # an actor's id may hold a slash
            return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", ours))

        return sorted(
            ((pattern(path), of) for path, of in self.document["paths"].items()), key=lambda one: "+" in one[0].pattern
        )

    def operation(self, method: str, path: str) -> Json | None:
        """What is said of a request; None: nothing."""
        for pattern, of in self._paths:
            if pattern.fullmatch(path) and method.lower() in of:
                return cast(Json, of[method.lower()])
        return None

    def broken_by(self, response: httpx.Response) -> str:
        """How this answer breaks it; "": it does not."""
        request = response.request
        path = re.sub("/+", "/", request.url.raw_path.decode("ascii").partition("?")[0])
        operation = self.operation(request.method, path.rstrip("/"))
        if operation is None:
            return "" if response.status_code in (204, 400, 404, 405, 413) else "there is no such operation"
        said = operation["responses"].get(str(response.status_code))
        if said is None:
            return f"{response.status_code} is not in {sorted(operation['responses'])}"
        for name in said.get("headers", {}):
            if name in ("ETag", "WWW-Authenticate") and name not in response.headers:
                return f"the header {name} is missing"
        return self._body_breaks(operation, response, said.get("content", {}))

    def _body_breaks(self, operation: Json, response: httpx.Response, content: Json) -> str:
        kind = response.headers.get("content-type", "").partition(";")[0]
        if not content:
            return "" if not response.content else f"a body of {kind}, where there is none"
        if kind not in content:
            return f"{kind}, where it is {sorted(content)}"
        if not kind.endswith("json"):
            return ""
        where = f"{operation['operationId']} {response.status_code} {kind}"
        try:
            self.validator(where, content[kind]["schema"]).validate(msgspec.json.decode(response.content))
        except jsonschema_rs.ValidationError as error:
            return f"{error.message} at {error.instance_path}"
        return ""

    def validator(self, where: str, schema: Json) -> jsonschema_rs.Validator:
        """For one schema of the document."""
        if where not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[where] = jsonschema_rs.validator_for(whole, validate_formats=True)
        return self._validators[where]


def contract() -> Contract:
    """Of the app as it is."""
    app = api.routes(cast(Service, object()))
    return Contract(msgspec.json.decode(msgspec.json.encode(document(app))))


CONTRACT = contract()


async def hold(response: httpx.Response) -> None:
    """An event hook of a client: every answer that it gets keeps the contract."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return
    await response.aread()
    broken = "" if response.status_code == 500 else CONTRACT.broken_by(response)
    assert not broken, f"{response.request.method} {response.request.url.path}: {broken}: {response.text[:300]}"
