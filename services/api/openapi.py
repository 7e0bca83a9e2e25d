"""The OpenAPI 3.1 document, made of what the routes say beside their handlers (`described`) and of our types.

One rule: it says nothing of its own about a route; a route that is not described has no place in it, and a test fails.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, NamedTuple, get_args

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from events.facts import Fact
from events.plan.written import json_schema
from projections.cloudevents import CloudEvent
from services import json_schemas
from services.api.described import Answer, Body, Operation, Param
from services.api.problems import MEDIA_TYPE, TITLES, TRY_AGAIN, Problem
from services.api.reads.described import OPERATIONS
from services.json_schemas import Json, reference
from services.rollout.commands import INSIDE, Adopt, Command, RevisePlan

OPENAPI = "3.1.1"
VERSION = "0.1.0"  # of the service
OFFERED: Any = reduce(or_, (kind for kind in get_args(Command) if kind not in INSIDE))
"""The commands that may be sent from outside."""

UNIONS: Mapping[str, Any] = {"Fact": Fact, "Command": OFFERED}
PLAN_TO_SEND: Json = {
    "description": "The plan: the text of a plan file, a plan as people write it, or one in its stored form.",
    "anyOf": [{"type": "string"}, {"type": "object"}],
}
SECURITY: Mapping[str, list[dict[str, list[str]]]] = {
    "open": [],
    "token": [{"token": []}],
    "key": [{"token": []}, {"key": []}],
    "ticket": [{"ticket": []}],
    "signature": [{"signature": []}],
}
SCHEMES: Json = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token: `cutover token add NAME --role ROLE`."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same token, as OFREP sends it."},
    "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": "Signed; the bulk answer names it."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature-256",
        "description": "HMAC-SHA256 of the body with CUTOVER_GITHUB_SECRET.",
    },
}
HEADERS: Json = {
    "Location": {"description": "Where the rollout is found.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until it makes sense to ask again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "How to say who you are.", "schema": {"type": "string"}},
    "ETag": {"description": "Names this very answer.", "schema": {"type": "string"}},
    "Allow": {"description": "The methods of this path.", "schema": {"type": "string"}},
    "WebHook-Allowed-Origin": {"description": "The origin that asked.", "schema": {"type": "string"}},
    "WebHook-Allowed-Rate": {"description": "`*`: any.", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "A name for the file.", "schema": {"type": "string"}},
}
ABOUT = (
    "Carry out a release plan: every step, every decision, on the record. A command is answered with what the log "
    "says; an answer that is a no is a problem (RFC 9457) whose `type` is stable and whose `reasons` say everything "
    "that is missing."
)


class Route(NamedTuple):
    """One operation and where it is."""

    method: str
    path: str
    name: str
    says: str
    operation: Operation


def routes_of(app: Litestar) -> Iterator[Route]:
    """Every operation of the app, and every flag read before it. KeyError for a handler that is not described."""
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            module = handler.fn.__module__.rsplit(".", 1)[-1]
            if handler.handler_name == "options_handler":  # the framework's own answers to OPTIONS
                continue
            name, says = f"{module}_{handler.handler_name}", inspect.getdoc(handler.fn) or ""
            for method in handler.http_methods:
                yield Route(str(method), route.path_format, name, says, handler.opt["described"])
    for (read, path), operation in OPERATIONS.items():
        name = "_".join(part.strip("{}") for part in path.strip("/").split("/"))
        yield Route(read, path, f"{read.lower()}_{name}", operation.says, operation)


def document(app: Litestar) -> Json:
    """The whole document."""
    routes = sorted(routes_of(app), key=lambda route: (route.path, route.method))
    kinds = list(dict.fromkeys(kind for kind in _kinds(routes) if kind is not None and not isinstance(kind, dict)))
    schemas, parts = json_schemas.components([*kinds, Problem, CloudEvent], UNIONS)
    for command in (Adopt, RevisePlan):
        parts[command.__name__]["properties"]["plan"] = PLAN_TO_SEND
    parts |= _written_plan()
    made = _Making(dict(zip(kinds, schemas, strict=False)))
    paths: Json = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = made.operation(route)
    return {
        "openapi": OPENAPI,
        "info": {"title": "Cutover", "version": VERSION, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(sorted(route.operation.tag for route in routes))],
        "paths": dict(paths),
        "components": {"schemas": parts, "securitySchemes": SCHEMES, "headers": HEADERS},
    }


def _written_plan() -> Json:
    """A plan as people write it, and its parts, as components."""
    prefix = "WrittenPlan"
    text = msgspec.json.encode(json_schema()).replace(b"#/$defs/", f"#/components/schemas/{prefix}".encode())
    whole: Json = msgspec.json.decode(text)
    parts: Json = whole.pop("$defs")
    del whole["$schema"]
    return {prefix: whole} | {f"{prefix}{name}": {**part, "title": f"{prefix}{name}"} for name, part in parts.items()}


def _kinds(routes: Sequence[Route]) -> Iterator[Any]:
    """Every type that an operation takes or answers."""
    for route in routes:
        of = route.operation
        yield from (param.kind for param in of.params)
        for answer in (*of.answers.values(), *(of.failures or {}).values()):
            yield from (answer.kind, *answer.others.values())
        if of.takes is not None:
            yield from (of.takes.kind, *of.takes.others.values())


class _Making:
    """Operations in OpenAPI's words. `schemas`: of every type that is mentioned."""

    def __init__(self, schemas: Mapping[Any, Json]) -> None:
        self._schemas = schemas

    def operation(self, route: Route) -> Json:
        of = route.operation
        summary, _, rest = route.says.partition("\n\n")
        made: Json = {
            "operationId": route.name,
            "tags": [of.tag],
            "summary": " ".join(summary.split()),
            **({"description": rest} if rest else {}),
            "security": SECURITY[of.access],
            "parameters": [self._param(param) for param in of.params],
        }
        if of.takes is not None:
            made["requestBody"] = self._body(of.takes)
        answers = {status: self._answer(answer) for status, answer in of.answers.items()}
        failures = {status: self._answer(answer) for status, answer in (of.failures or {}).items()}
        problems = {} if of.failures is not None else _problems(of)
        made["responses"] = {str(status): said for status, said in sorted({**problems, **failures, **answers}.items())}
        return made

    def _schema(self, kind: Any) -> Json:
        return kind if isinstance(kind, dict) else self._schemas[kind]

    def _param(self, param: Param) -> Json:
        found: Json = {
            "name": param.name,
            "in": param.place,
            "description": param.says,
            "required": param.required,
            "schema": self._schema(param.kind),
        }
        return found | ({} if param.example is None else {"example": param.example})

    def _body(self, body: Body) -> Json:
        examples = {name: {"value": msgspec.to_builtins(value)} for name, value in body.examples.items()}
        content: Json = {body.media_type: {"schema": self._schema(body.kind)}}
        if examples:
            content[body.media_type]["examples"] = examples
        content |= {media_type: {"schema": self._schema(kind)} for media_type, kind in body.others.items()}
        return {"description": body.says, "required": True, "content": content}

    def _answer(self, answer: Answer) -> Json:
        made: Json = {"description": answer.says}
        if answer.kind is not None:
            content = {"schema": self._schema(answer.kind)}
            if answer.example is not None:
                content["example"] = msgspec.to_builtins(answer.example)
            made["content"] = {answer.media_type: content} | {
                media_type: {"schema": self._schema(kind)} for media_type, kind in answer.others.items()
            }
        return made | _headers(answer.headers)


def _headers(names: Sequence[str]) -> Json:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}


# -- problems


def slugs_of(operation: Operation) -> tuple[str, ...]:
    """Every problem that an operation may be answered with: its own, its parameters', and those of all like it."""
    found = ["malformed", *operation.problems]  # any address may hold U+0000
    for param in operation.params:
        found += param.problems
    if operation.access in ("token", "key"):
        found.append("unauthorized")
    if operation.takes is not None:
        found.append("too-large")
    return tuple(dict.fromkeys(found))


def _problems(operation: Operation) -> dict[int, Json]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for slug in slugs_of(operation):
        by_status[TITLES[slug][0]].append(slug)
    return {status: _problem(status, slugs) for status, slugs in by_status.items()}


def _problem(status: int, slugs: Sequence[str]) -> Json:
    """One status, with the problems that it may mean here."""
    types = [f"/problems/{slug}" for slug in slugs]
    title = TITLES[slugs[0]][1]
    example = {"type": types[0], "title": title, "status": status, "detail": f"{title}.", "reasons": []}
    only = {"type": {"enum": types}, "status": {"type": "integer", "enum": [status]}}
    narrowed = {"allOf": [reference("Problem"), {"properties": only}]}
    again = ["Retry-After"] if any(slug in TRY_AGAIN for slug in slugs) else []
    headers = again + (["WWW-Authenticate"] if "unauthorized" in slugs else [])
    return {
        "description": "; ".join(f"`{slug}`: {TITLES[slug][1]}" for slug in slugs),
        "content": {MEDIA_TYPE: {"schema": narrowed, "example": example}},
        **_headers(headers),
    }
