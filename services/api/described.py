"""What a route takes and answers, said beside its handler: `@get(PATH, opt=described(...))`.

One rule: what is said here is what `GET /v1/openapi.json` says, and the tests hold every answer of the API against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from msgspec import Meta, Struct

from events.plan.names import IDENTIFIER

Access = Literal["token", "open", "signature", "ticket", "key"]
"""Who may come in: a token; anybody; a webhook, by its signature; a signed address; a token, also as X-API-Key."""

JSON = "application/json"

T = TypeVar("T")


class Items(Struct, Generic[T], frozen=True):
    """A list, whole."""

    items: Sequence[T]


class Param(NamedTuple):
    """A field of the address, or a header. `problems` are what it may be answered with besides the route's own."""

    name: str
    says: str
    kind: Any = str
    place: Literal["query", "header", "path"] = "query"
    required: bool = False
    problems: tuple[str, ...] = ()
    example: Any = None


class Body(NamedTuple):
    """What is sent: a type, or what JSON Schema says of it. `others`: the same in other content types."""

    kind: Any
    says: str
    examples: Mapping[str, Any] = {}
    media_type: str = JSON
    others: Mapping[str, Any] = {}


class Answer(NamedTuple):
    """A good answer. `kind` None: without a body. `others`: the same in other content types."""

    says: str
    kind: Any = None
    media_type: str = JSON
    headers: tuple[str, ...] = ()
    example: Any = None
    others: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. `failures`: answers that are a no in another protocol's own words."""

    tag: str
    answers: Mapping[int, Answer]
    params: tuple[Param, ...] = ()
    takes: Body | None = None
    problems: tuple[str, ...] = ()
    failures: Mapping[int, Answer] | None = None
    access: Access = "token"
    says: str = ""  # where there is no handler whose docstring says it


Described: TypeAlias = dict[str, Any]


def described(
    tag: str,
    kind: Any = None,
    says: str = "",
    *,
    status: int = 200,
    example: Any = None,
    headers: tuple[str, ...] = (),
    params: tuple[Param, ...] = (),
    takes: Body | None = None,
    problems: tuple[str, ...] = (),
    access: Access = "token",
    media_type: str = JSON,
) -> Described:
    """A handler's `opt`. `kind`: the type of the good answer."""
    good = {status: Answer(says or "So it is.", kind, media_type, headers, example)}
    operation = Operation(tag=tag, answers=good, params=params, takes=takes, problems=problems, access=access)
    return {"described": operation, "open": access in ("open", "signature")}


def several(tag: str, answers: Mapping[int, Answer], **more: Any) -> Described:
    """The same where there is more than one good answer."""
    return {"described": Operation(tag=tag, answers=answers, **more)}


# -- what many routes take

Revision = Annotated[int, Meta(ge=0, lt=10**18)]

SENT = (
    "forbidden",
    "refused",
    "changed",
    "invalid",
    "invalid-plan",
    "unsupported-media-type",
    "stopped",
    "unavailable",
)
"""What any command may be answered with."""

ROLLOUT = Param(
    "rollout",
    "The rollout's id, which is its plan's.",
    Annotated[str, Meta(pattern=f"^{IDENTIFIER.pattern}$")],
    "path",
    required=True,
    problems=("unknown-rollout", "not-found"),
    example="vaos-service-integration",
)
AT_LEAST = Param(
    "at_least",
    "Wait, five seconds at most, until this revision has arrived here.",
    Revision,
    problems=("malformed", "behind", "not-ready"),
)
AS_OF = Param(
    "as_of",
    "As it was at this instant (ISO 8601; without an offset UTC) or revision (digits alone).",
    problems=("malformed",),
    example="2022-07-29T14:03:00Z",
)
KEY = Param(
    "Idempotency-Key",
    "The command's id: sent again with the same one, it gets the first answer.",
    Annotated[str, Meta(pattern="^[!-~]{1,200}$")],
    "header",
    problems=("malformed", "command-id-reused"),
    example="5f2c7f8e-cut-over-1",
)
