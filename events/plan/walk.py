"""A walk over written data along the plan's types, collecting every problem and every blank on the way.

One rule: nothing is guessed and nothing stops the walk. A value that cannot be read is left out, with a problem;
a blank is left out, with a gap.
"""

from __future__ import annotations

import functools
import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import UNSET, Meta, Struct
from msgspec.structs import FieldInfo, fields

from events.plan import dates, words
from events.plan.gaps import Path, placeholder
from events.plan.names import nearest
from events.plan.problems import Problem
from events.plan.schema import Criterion, Length, Plan, Planned, Quantity, Seconds, Toggle
from events.plan.shapes import ALIASES, SHAPES, Span

MOST_ENTRIES = 2_000  # of one list or mapping: a cohort's limit
MOST_COUNT = 1_000_000
NEVER_WRITTEN = {Plan: ("gaps",), Criterion: ("per_seconds", "breaches_needed", "breaches_of")}
LONE_NAMES = (  # lists in which a single name may stand alone
    "decided_by",
    "github_labels",
    "monitored_by",
    "on_call",
    "readers",
    "release_managers",
    "results_after",
    "services",
    "after",
    "before",
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@functools.cache
def parts_of(kind: type[Struct]) -> tuple[FieldInfo, ...]:
    """The fields of a part, in order, with their types resolved."""
    return fields(kind)


def parts_inside(value: Any) -> list[tuple[Any, Any]]:
    """The parts of a value with their keys, in order."""
    if isinstance(value, Struct):
        return [(info.name, getattr(value, info.name)) for info in parts_of(type(value))]
    if isinstance(value, tuple):
        return list(enumerate(value))
    return list(value.items()) if isinstance(value, dict) else []


def writable(kind: type[Struct]) -> tuple[str, ...]:
    """The names a person may use in this part of a plan."""
    never = NEVER_WRITTEN.get(kind, ())
    renamed = {stored: name for name, stored in ALIASES.get(kind, {}).items()}
    return tuple(renamed.get(f.name, f.name) for f in parts_of(kind) if f.name not in never)


def is_part(kind: Any) -> bool:
    """Whether the type is a part of the plan with fields of its own."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def bare(kind: Any) -> Any:
    """The type itself, where a field may also be left out (`X | None`)."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    return next(one for one in get_args(kind) if one is not types.NoneType)


def found(data: object) -> str:
    """What stands there, in words and short."""
    match data:
        case None:
            return "nothing"
        case bool():
            return str(data).lower()
        case int() | float():
            return f"the number {str(data)[:40] if isinstance(data, float) or abs(data) < 10**40 else 'beyond reach'}"
        case str():
            return f"the text {data[:80]!r}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
    return f"a {type(data).__name__}"


class Walk:
    """Reads values of the plan's types; `problems` and `gaps` are what it met."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.gaps: list[tuple[Path, str]] = []

    def fail(self, path: Path, text: str) -> Any:
        self.problems.append(Problem(path, text))
        return UNSET

    def read(self, kind: Any, data: object, path: Path) -> Any:
        """The value of type `kind` that `data` means, or UNSET."""
        kind = bare(kind)
        if data is None:
            return self.fail(path, "nothing is written here; write TBD if it is not known yet, or leave it out")
        if isinstance(data, str) and (blank := placeholder(data)):
            if kind is str or blank == "whole":
                self.gaps.append((path, data.strip()))
            if blank == "whole" and kind is Criterion:
                return Criterion(text=data.strip())
            if blank == "whole" and kind not in (str, Planned):
                return UNSET
        return self._value(kind, data, path)

    def _value(self, kind: Any, data: object, path: Path) -> Any:
        if kind in (Quantity, Length, Planned) or kind == Seconds:
            return self._words(kind, data, path)
        if is_part(kind):
            return self.part(kind, data, path)
        origin, inner = get_origin(kind), get_args(kind)
        if origin is tuple and Ellipsis not in inner:
            return self._pair(data, path)
        if origin is tuple:
            return self._list(inner[0], data, path)
        if origin is dict:
            return self._mapping(inner[1], data, path)
        if origin is Literal:
            return self._choice(inner, data, path)
        return self._plain(kind, data, path)

    def _words(self, kind: Any, data: object, path: Path) -> Any:
        """Quantities, lengths, dates and spans: by their own little languages."""
        if isinstance(data, Span):
            return int(data)
        if isinstance(data, Length):
            return data  # a shape has read it already
        if isinstance(data, dict) and kind is Length:
            return self.part(Length, data, path)
        if kind is not Quantity and not isinstance(data, str):
            hint = "a date in words" if kind is Planned else "a length of time such as '30 minutes'"
            return self.fail(path, f"expected {hint}, found {found(data)}")
        if isinstance(data, str) and self._plain(str, data, path) is UNSET:
            return UNSET
        read: Any = {Quantity: words.quantity, Length: words.length, Planned: dates.planned}.get(kind, words.seconds)
        try:
            return read(data.strip() if isinstance(data, str) else data)
        except ValueError as error:
            return self.fail(path, str(error))

    def part(self, kind: type[Struct], data: object, path: Path) -> Any:
        """A struct from a mapping, or from one string where the part has a SHORTHAND."""
        shorthand = getattr(kind, "SHORTHAND", "")
        alone = bool(shorthand) and isinstance(data, (str, int, float)) and not isinstance(data, bool)
        if not alone and not isinstance(data, dict):
            also = " or a text" if shorthand else ""
            return self.fail(path, f"expected a mapping (field: value){also}, found {found(data)}")
        places = {shorthand: path} if alone else {}
        known = {shorthand: data} if alone else self._known(kind, data, path, places)
        before = len(self.problems)
        if kind in SHAPES:
            known = SHAPES[kind](known, lambda field, text: self.fail(places.get(field, path), text))
        understood = len(self.problems) == before
        values: dict[str, Any] = {}
        missing = [info.name for info in parts_of(kind) if info.required and info.name not in known]
        for info in parts_of(kind):
            if info.name in known:
                place = places.get(info.name, (*path, info.name))
                values[info.name] = self._field(info, known[info.name], place)
        if understood:
            for name in missing:
                self.fail((*path, name), "is missing")
        values = {name: value for name, value in values.items() if value is not UNSET}
        whole = all(info.name in values for info in parts_of(kind) if info.required)
        return kind(**values) if whole else UNSET

    def _known(self, kind: type[Struct], data: Any, path: Path, places: dict[str, Path]) -> dict[str, Any]:
        """The written fields that exist, and their places; a problem for each that does not exist."""
        names = (*writable(kind), *ALIASES.get(kind, {}).values())
        known: dict[str, Any] = {}
        for name, value in data.items():
            if not isinstance(name, str):
                self.fail(path, f"expected the name of a field, found {found(name)}")
            elif name in names:
                known[name] = value
                places[ALIASES.get(kind, {}).get(name, name)] = (*path, name)
            else:
                self.fail((*path, name[:100]), f"is not a field here{nearest(name[:100], names)}")
        return known

    def _field(self, info: FieldInfo, data: object, path: Path) -> Any:
        """A field's value; one name may stand where a list of names is meant."""
        lone = isinstance(data, str) and info.name in LONE_NAMES and get_origin(info.type) is tuple
        if lone and placeholder(str(data)) != "whole":
            return self.read(info.type, [data], path)
        return self.read(info.type, data, path)

    def _list(self, kind: Any, data: object, path: Path) -> Any:
        """A tuple; blanks in it are left out. Toggles may be a mapping from key to what it is for."""
        if kind is Toggle and isinstance(data, dict):
            entries = [(key, self._toggle(key, about)) for key, about in data.items()]
        elif isinstance(data, (list, tuple)):
            entries = [
                (n, {"key": one} if kind is Toggle and isinstance(one, str) else one) for n, one in enumerate(data)
            ]
        else:
            return self.fail(path, f"expected a list (lines that begin with '- '), found {found(data)}")
        if len(entries) > MOST_ENTRIES:
            return self.fail(path, f"expected at most {MOST_ENTRIES:,} entries, found {len(entries):,}")
        gaps = len(self.gaps)
        values = [self.read(kind, one, (*path, key if isinstance(key, (str, int)) else 0)) for key, one in entries]
        kept = tuple(value for value in values if value is not UNSET)
        return UNSET if values and not kept and len(self.gaps) > gaps else kept

    def _toggle(self, key: object, about: object) -> object:
        if isinstance(about, dict):
            return {"key": key} | about
        return {"key": key} if about is None else {"key": key, "about": about}

    def _mapping(self, kind: Any, data: object, path: Path) -> Any:
        """A dictionary with names as keys; blank names are gaps. One dashboard may stand alone."""
        if isinstance(data, str) and path[-1:] == ("dashboards",):
            data = {"Dashboard": data}
        if not isinstance(data, dict):
            return self.fail(path, f"expected a mapping (name: value), found {found(data)}")
        if len(data) > MOST_ENTRIES:
            return self.fail(path, f"expected at most {MOST_ENTRIES:,} entries, found {len(data):,}")
        values: dict[str, Any] = {}
        for name, one in data.items():
            key = str(name) if isinstance(name, int) and not isinstance(name, bool) else name
            if not isinstance(key, str):
                self.fail(path, f"expected a name, found {found(name)}")
            elif placeholder(key) == "whole":
                self.gaps.append(((*path, key), key))
            elif self._plain(str, key, (*path, key)) is not UNSET:
                values[key.strip()] = self.read(kind, one, (*path, key))
        return {name: value for name, value in values.items() if value is not UNSET}

    def _pair(self, data: object, path: Path) -> Any:
        try:
            return words.between(data)
        except ValueError as error:
            return self.fail(path, str(error))

    def _choice(self, choices: tuple[str, ...], data: object, path: Path) -> Any:
        """One of the words of a Literal; case, hyphens and underscores do not matter."""
        if isinstance(data, str):
            wanted = _folded(data)
            for choice in choices:
                if _folded(choice) == wanted:
                    return choice
        offered = ", ".join(choice for choice in choices if choice)
        return self.fail(path, f"expected one of: {offered}; found {found(data)}")

    def _plain(self, kind: Any, data: object, path: Path) -> Any:
        """Texts, numbers and true/false."""
        pattern = ""
        if get_origin(kind) is Annotated:
            kind, *metas = get_args(kind)
            pattern = next((meta.pattern for meta in metas if isinstance(meta, Meta) and meta.pattern), "")
        if kind is bool:
            return data if isinstance(data, bool) else self.fail(path, f"expected true or false, found {found(data)}")
        if kind is int:
            return self._count(data, path)
        if kind is float:
            return self._share(data, path)
        return self._text(pattern, data, path)

    def _text(self, pattern: str, data: object, path: Path) -> Any:
        text = str(data) if isinstance(data, int) and not isinstance(data, bool) and abs(data) < 10**40 else data
        if not isinstance(text, str):
            return self.fail(path, f"expected a text, found {found(data)}; if it is meant as text, put it in quotes")
        if bad := CONTROL.search(text):
            return self.fail(path, f"holds a character that cannot be shown: {bad[0]!a}")
        if pattern and not re.fullmatch(pattern.strip("^$"), text):
            return self.fail(path, f"expected letters, digits, dots, hyphens and underscores only, found {found(text)}")
        return text.strip()

    def _count(self, data: object, path: Path) -> Any:
        """A whole number; "at least 25 users" is one too."""
        if isinstance(data, str) and (
            match := re.fullmatch(r"(?:at least\s+)?(\d{1,7})(?:\s+[A-Za-z ]+)?", data.strip())
        ):
            data = int(match[1])
        if isinstance(data, bool) or not isinstance(data, int):
            return self.fail(path, f"expected a whole number, found {found(data)}")
        if not 0 <= data <= MOST_COUNT:
            return self.fail(path, f"expected a number from 0 to {MOST_COUNT:,}, found {found(data)}")
        return data

    def _share(self, data: object, path: Path) -> Any:
        """A percentage from 0 to 100, with or without its sign."""
        try:
            share = words.quantity(data)
        except ValueError as error:
            return self.fail(path, str(error))
        if share.unit not in ("", "%") or not 0 <= share.value <= 100:
            return self.fail(path, f"expected a percentage from 0 to 100, found {found(data)}")
        return share.value


def _folded(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.strip().lower())
