"""From bytes to a command or a plan, or to words about what is wrong with them.

One rule: an error names the field, what is expected there and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from events.plan.checks import check
from events.plan.gaps import Path
from events.plan.names import nearest
from events.plan.reading import PlanError, path_words, read_plan
from events.plan.schema import Plan
from services.api.bodies import OTHER, PLAN
from services.api.problems import Failed, Place, failed, invalid_plan
from services.plan import file as plan_file
from services.plan.file import PlanFileError
from services.rollout.commands import INSIDE, Adopt, Command, RevisePlan

KINDS: dict[str, type[Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Command)}
OFFERED = tuple(name for name, kind in KINDS.items() if kind not in INSIDE)
WITH_PLAN = {name for name, kind in KINDS.items() if kind in (Adopt, RevisePlan)}
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>.*)`, got `(?P<found>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z_0-9]*)|\[([0-9]+)\]|\[\.\.\.\]")


def read_json(body: bytes) -> Any:
    """Plain data from JSON. Raises Failed (400) for what is no JSON, is nested without end, or cannot be kept."""
    try:
        data = msgspec.json.decode(body)
    except RecursionError:
        raise failed("malformed", "the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = "an empty body" if not body.strip() else str(error)
        raise failed("malformed", f"the body must be JSON: {found}") from error
    if b"\\u0000" in body and _holds_nul(data):
        raise failed("malformed", "a text holds the character U+0000, which not every database can keep")
    return data


def _holds_nul(data: object) -> bool:
    if isinstance(data, dict):
        return any(_holds_nul(part) for pair in data.items() for part in pair)
    if isinstance(data, list):
        return any(_holds_nul(part) for part in data)
    return isinstance(data, str) and "\0" in data


def read_command(body: bytes, rollout: str) -> Command:
    """The command in a request's body. Raises Failed: 400 no JSON, 413 too large, 422 not a command."""
    data = read_json(body)
    if not isinstance(data, dict):
        raise _invalid(f"a command is a JSON object with a `type`; found {_shown(data)}")
    kind = _kind(data.get("type"))
    name = str(data["type"])
    if name not in WITH_PLAN and len(body) > OTHER:
        raise failed("too-large", f"{name} may have {OTHER} bytes; found {len(body)}")
    if name in WITH_PLAN and "plan" in data:
        data = {**data, "plan": msgspec.to_builtins(_plan_in(data["plan"], rollout))}
    return cast(Command, convert(data, kind, name))


def convert(data: Mapping[str, Any], kind: type[Struct], what: str) -> Any:
    """The struct that the data means. Raises Failed (422) with every unknown field, or the first wrong value."""
    strays = [f"{what}: {text}" for text in _strays(data, kind, "", allowed=("type",))]
    if strays:
        raise _invalid(*strays)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _invalid(_in_words(str(error), data, kind, what)) from error
    except RecursionError:
        raise failed("malformed", "the JSON is nested too deeply") from None


def read_written_plan(body: bytes, *, is_json: bool, default_id: str) -> Plan:
    """The plan in a request's body: written (YAML or JSON) or as it is stored. Raises Failed: 400, 422."""
    data = read_json(body) if is_json else None
    plan = _stored(data)
    return _from_file(body, default_id) if plan is None else _checked(plan)


# -- commands


def _kind(name: object) -> type[Struct]:
    if not isinstance(name, str):
        found = "nothing" if name is None else _shown(name)
        raise _invalid(f"type: expected the name of a command, found {found}; there are: {', '.join(OFFERED)}")
    if name not in KINDS:
        close = nearest(name[:100], OFFERED)
        every = "" if "there are" in close else f"; there are: {', '.join(OFFERED)}"
        raise _invalid(f"there is no command '{name[:100]}'{close}{every}")
    if name not in OFFERED:
        words = f"{name} is sent by {INSIDE[KINDS[name]]} alone"
        raise failed("forbidden", words, words)
    return KINDS[name]


def _strays(data: object, kind: Any, path: str, allowed: tuple[str, ...] = ()) -> Iterator[str]:
    """A sentence for every field that does not exist, at any depth; msgspec drops those in some parts in silence."""
    if isinstance(data, dict) and isinstance(kind, type) and issubclass(kind, Struct) and kind is not Plan:
        types = {info.encode_name: info.type for info in fields(kind)}
        for name, value in data.items():
            if name in types:
                yield from _strays(value, types[name], f"{path}.{name}" if path else name)
            elif name not in allowed:
                place = f"{path}: " if path else ""
                yield f"{place}there is no field '{name[:100]}'{nearest(name[:100], types)}"
    elif isinstance(data, list) and get_origin(kind) is tuple:
        for n, one in enumerate(data):
            yield from _strays(one, get_args(kind)[0], f"{path}[{n}]")


def _in_words(message: str, data: Mapping[str, Any], kind: type[Struct], what: str) -> str:
    """msgspec's message with the path as people write it and the value that was found."""
    said, _, place = message.partition(" - at `$")
    steps = [_key(match) for match in _STEP.finditer(place)]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
    found = _shown(_value_at(data, steps))
    at = f"{what}: {path}" if path else what
    if match := _MISSING.fullmatch(said):
        return f"{at}: the field '{match['name']}' is missing"
    if match := _WRONG_TYPE.fullmatch(said):
        return f"{at}: expected {_readable(match['expected'])}, found {found}"
    if choices := _choices_at(kind, steps):
        return f"{at}: expected one of {', '.join(choices)}; found {found}"
    return f"{at}: {said[0].lower()}{said[1:]}; found {found}"


def _key(match: re.Match[str]) -> str | int:
    if match[1]:
        return match[1]
    return int(match[2]) if match[2] else "..."


def _value_at(data: Any, steps: list[str | int]) -> Any:
    """What stands at a path; msgspec does not name the keys of mappings, so a path through one ends there."""
    for step in steps:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return data
    return data


def _choices_at(kind: Any, steps: list[str | int]) -> tuple[str, ...]:
    """The words that may stand at a path; () when it is not a choice of words."""
    for step in steps:
        if isinstance(step, int):
            kind = get_args(kind)[0] if get_args(kind) else None
        elif isinstance(kind, type) and issubclass(kind, Struct):
            kind = next((info.type for info in fields(kind) if info.encode_name == step), None)
    literals = [one for one in (kind, *get_args(kind)) if get_origin(one) is Literal]
    return tuple(str(word) for one in literals for word in get_args(one))


_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list"}


def _readable(expected: str) -> str:
    words = [_WORDS.get(part, part) for part in expected.split(" | ") if part != "null"]
    return " or ".join("an object" if word == "object" else word for word in words)


def _shown(value: object) -> str:
    """What was found, short: enough to recognize it."""
    text = msgspec.json.encode(value).decode(errors="replace")
    return text if len(text) <= 60 else f"{text[:60]}..."


def _invalid(*reasons: str) -> Failed:
    detail = reasons[0] if len(reasons) == 1 else f"{len(reasons)} things are wrong with the command"
    return failed("invalid", detail, *reasons)


# -- plans


def _plan_in(data: object, rollout: str) -> Plan:
    """The plan of a command: the text of a plan file, a written plan as an object, or a stored one."""
    if isinstance(data, str):
        return _from_file(data.encode(errors="surrogatepass"), rollout)
    plan = _stored(data)
    if plan is None:
        try:
            plan = read_plan(data, default_id=rollout)
        except PlanError as error:
            places = tuple(Place(one.text, path_words(one.path)) for one in error.problems)
            raise invalid_plan(places) from error
        except RecursionError:
            raise failed("malformed", "the plan is nested too deeply") from None
    return _checked(plan)


def _from_file(text: bytes, default_id: str) -> Plan:
    if len(text) > PLAN:
        raise failed("too-large", f"a plan may have {PLAN} bytes; found {len(text)}")
    try:
        file = plan_file.read(text, default_id=default_id)
    except PlanFileError as error:
        places = tuple(Place(one.text, one.path, one.line) for one in error.problems)
        raise invalid_plan(places) from error
    except RecursionError:
        raise failed("malformed", "the plan is nested too deeply") from None
    return _checked(file.plan, file.line)


def _stored(data: object) -> Plan | None:
    """The plan, if this is one in its stored form (what `GET .../plan` answers) and not one written by a person.

    A stored plan has its id, and every item and question in it has one: reading gives them.
    """
    if not isinstance(data, dict) or "id" not in data:
        return None
    try:
        plan = msgspec.convert(data, Plan)
    except (msgspec.ValidationError, RecursionError):
        return None
    return plan if _all_have_ids(data) else None


def _all_have_ids(data: object) -> bool:
    """Items and questions are the parts with a `text` that are told apart by an `id`; spans of time and dates and
    gaps have a `text` too, beside fields of their own."""
    if isinstance(data, dict):
        named = "text" not in data or "id" in data or bool({"seconds", "path", "first", "last"} & data.keys())
        return named and all(_all_have_ids(part) for part in data.values())
    return not isinstance(data, list) or all(_all_have_ids(part) for part in data)


def _checked(plan: Plan, line: Callable[[Path], int] = lambda _path: 0) -> Plan:
    """The plan, unless something in it makes it impossible to carry out."""
    errors = tuple(
        Place(finding.text, path_words(finding.path), line(finding.path))
        for finding in check(plan)
        if finding.level == "error"
    )
    if errors:
        raise invalid_plan(errors)
    return plan
