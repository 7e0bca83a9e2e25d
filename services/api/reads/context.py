"""The evaluation context: for whom flags are asked.

One rule: `targetingKey` is the user, any other string is an attribute that a plan's groups may name. What is no string
says nothing here; what cannot be read at all is said to be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from events.codec import NOT_JSON
from services.api.reads.wire import Refused

PIN = "cutoverPin"


class Context(NamedTuple):
    """`user` None: nobody in particular. `pin`: see pins.py; "" for none."""

    user: str | None
    attributes: Mapping[str, str]
    pin: str = ""


class _Body(Struct):
    context: Any = None


_decoder = msgspec.json.Decoder(_Body)
_NOBODY = Context(None, {})


def context_of(body: bytes) -> Context:
    """The context in a request's body; without one nobody in particular is meant. Raises Refused."""
    if not body:
        return _NOBODY
    try:
        given = _decoder.decode(body).context
    except NOT_JSON as error:
        raise Refused("malformed", f'expected {{"context": {{"targetingKey": ..}}}} in JSON: {error}') from None
    if given is None:
        return _NOBODY
    if not isinstance(given, dict):
        raise Refused("context", f"context must be an object; found {_word(given)}")
    user = given.pop("targetingKey", None)
    if user is not None and type(user) is not str:
        raise Refused("context", f"targetingKey must be a string; found {_word(user)}")
    if not given:
        return Context(user or None, given)
    attributes = {name: value for name, value in given.items() if type(value) is str}
    return Context(user or None, attributes, attributes.pop(PIN, ""))


def _word(value: object) -> str:
    """JSON's word for a value of this kind."""
    words = {dict: "an object", list: "an array", str: "a string", bool: "true or false", int: "a number"}
    return words.get(type(value), "a number")
