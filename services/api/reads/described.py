"""What the flag reads take and answer, for `GET /v1/openapi.json`: beside the handlers, which give no types.

One rule: the shapes are those of the protocols' own documents; a test holds the answers against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.api.described import Access, Answer, Body, Operation, Param, Revision
from services.api.problems import MEDIA_TYPE, Problem
from services.api.reads.feature_toggles import Feature

Metadata = dict[str, str | int | bool]
Reason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN", "STALE"]


class EvaluationContext(Struct):
    """OFREP's evaluation context: `targetingKey` is the user; other texts are attributes."""

    context: dict[str, Any] = {}


class Evaluated(Struct):
    """One flag."""

    key: str
    value: bool
    reason: Reason
    variant: str
    metadata: Metadata


class Endpoint(Struct):
    """Where a stream is; relative to the service."""

    requestUri: str


class EventStream(Struct):
    """Where a client hears that it should evaluate again."""

    type: Literal["sse"]
    endpoint: Endpoint
    inactivityDelaySec: int


class AllEvaluated(Struct):
    """Every flag, of one revision."""

    flags: Sequence[Evaluated]
    metadata: Metadata
    eventStreams: Sequence[EventStream]


class NotEvaluated(Struct):
    """OFREP's no."""

    key: str
    errorCode: Literal["PARSE_ERROR", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]
    errorDetails: str


class Features(Struct):
    """VA.gov's list: each toggle twice, in camel and in snake case, or those that were asked for as they were named."""

    type: Literal["feature_toggles"]
    features: Sequence[Feature]


class FeatureToggles(Struct):
    """VA.gov's envelope."""

    data: Features


class Gate(Struct):
    """One of Flipper's gates; `name` unless `exclude_gate_names=true`."""

    key: str
    value: Any
    name: str | UnsetType = UNSET


class FlipperFeature(Struct):
    """One of Flipper's features."""

    key: str
    state: Literal["on", "off", "conditional"]
    gates: Sequence[Gate] | UnsetType = UNSET


class FlipperFeatures(Struct):
    """Flipper's features."""

    features: Sequence[FlipperFeature]


class Enabled(Struct):
    """Whether an actor has it on."""

    enabled: bool


class FlipperActor(Struct):
    """What one actor has on."""

    flipper_id: str
    features: dict[str, Enabled]


class FlipperError(Struct):
    """Flipper's no. `code` 1: there is no such feature; otherwise the status."""

    code: int
    message: str
    more_info: str


AT_LEAST = Param("at_least", "Wait, a second at most, until this revision has arrived here.", Revision)
AT = Param("at", "A pin (`r12@1659096000000000`, from an earlier answer's metadata), or a revision.")
NONE_MATCH = Param("If-None-Match", "The ETag of the answer that the client has.", place="header")
KEY = Param("key", "The toggle's key.", Annotated[str, Meta(min_length=1)], "path", required=True)
PINNED = (AT_LEAST, AT)
NAMES = Param("exclude_gate_names", "`true`: gates without their `name`.", bool)
GATES = Param("exclude_gates", "`true`: no gates.", bool)
KEYS = Param("keys", "Only these toggles, by keys with commas between them.")


def _failures(kind: Any, says: Mapping[int, str], media_type: str = "application/json") -> dict[int, Answer]:
    headers = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
    return {status: Answer(words, kind, media_type, headers.get(status, ())) for status, words in says.items()}


NO = {
    400: "It cannot be read.",
    401: "Nobody is known by this token.",
    410: "The pin is too old.",
    503: "No state is known here yet, or not that revision.",
}


def _ofrep(says: str, answers: Mapping[int, Answer], *params: Param, **no: str) -> Operation:
    failures = _failures(NotEvaluated, NO | {404: "There is no such flag.", 413: "Too large."})
    body = Body(EvaluationContext, "For whom.", {"a user": {"context": {"targetingKey": "user-3141"}}})
    told = Param("flagConfigEtag", "What an event of the stream named: wait for it.")
    return Operation(
        tag="flags: OFREP",
        answers=answers,
        failures=failures,
        params=(*params, *PINNED, told),
        takes=body,
        access="key",
        says=says,
    )


def _flipper(says: str, kind: Any, *params: Param, **also: Any) -> Operation:
    answers = {200: Answer("What it is.", kind, headers=also.pop("headers", ())), **also.pop("answers", {})}
    failures = _failures(FlipperError, NO | {404: "There is no such toggle.", 405: "Toggles are only read here."})
    return Operation(
        tag="flags: Flipper", answers=answers, failures=failures, params=(*params, *PINNED), access="key", says=says
    )


ONE = Answer("The flag.", Evaluated)
ALL = {
    200: Answer("All flags.", AllEvaluated, headers=("ETag",)),
    304: Answer("The client has them.", headers=("ETag",)),
}
EVENT = {
    "type": "object",
    "description": "One server-sent event, as it is read: `id` is a pin, `data` OFREP's `refetchEvaluation`.",
    "properties": {"id": {"type": "string"}, "event": {"const": "message"}, "data": {"type": "string"}},
}
CHANGES = Answer("The stream.", EVENT, "text/event-stream")
ANYBODY: Access = "open"

OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/ofrep/v1/evaluate/flags/{key}"): _ofrep("OFREP: one flag.", {200: ONE}, KEY),
    ("POST", "/ofrep/v1/evaluate/flags"): _ofrep("OFREP: all flags.", ALL, NONE_MATCH),
    ("GET", "/ofrep/v1/events"): Operation(
        tag="flags: OFREP",
        answers={200: CHANGES},
        failures=_failures(NotEvaluated, {401: "The address is none of ours.", 429: "Too many.", 503: "Stopping."}),
        params=(Param("Last-Event-ID", "The last event's id.", place="header"),),
        access="ticket",
        says="OFREP: hear when flags may have changed. The bulk answer names the address.",
    ),
    ("GET", "/v0/feature_toggles"): Operation(
        tag="flags: VA.gov",
        answers={200: Answer("The toggles.", FeatureToggles)},
        failures=_failures(Problem, NO, MEDIA_TYPE),
        params=(
            Param("features", "Only these, by names with commas between them."),
            Param("cookie_id", "Who asks, by a cookie."),
            Param("user", "For whom; with a token only."),
            *PINNED,
        ),
        access=ANYBODY,
        says="VA.gov's endpoint: toggles of plans that name the reader `va.gov`; with a token every one.",
    ),
    ("GET", "/flipper/features"): _flipper(
        "Flipper: features with their gates.",
        FlipperFeatures,
        KEYS,
        NAMES,
        GATES,
        NONE_MATCH,
        headers=("ETag",),
        answers={304: Answer("The client has them.", headers=("ETag",))},
    ),
    ("GET", "/flipper/features/{key}"): _flipper("Flipper: one feature.", FlipperFeature, KEY, NAMES, GATES),
    ("GET", "/flipper/actors/{actor}"): _flipper(
        "Flipper: what one actor has on.",
        FlipperActor,
        Param("actor", "The actor's `flipper_id`.", Annotated[str, Meta(min_length=1)], "path", required=True),
        KEYS,
    ),
}
