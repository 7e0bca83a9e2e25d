"""A plan's text becomes a plan, and every problem gets its line.

One rule: YAML 1.2's core types and nothing beyond: no dates, no `yes` for true, no tags, no surprises from
anchors. JSON is YAML. What is read is bounded before it is built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml
from msgspec import Struct

from events.plan.problems import PlanError, path_words
from events.plan.reading import read_plan
from events.plan.schema import Plan

MOST_BYTES = 256 * 1024
MOST_NODES = 20_000  # an alias counts as all that it repeats
MOST_DEPTH = 24

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")  # not 0123: an id with a leading zero must keep it
_RADIX = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class FileProblem(Struct, frozen=True):
    """One thing that is wrong: its line (0: not known), its place in the plan, and what it is."""

    line: int
    path: str
    text: str

    def words(self, name: str = "") -> str:
        """`FILE:LINE: path: text`, without what is not known."""
        place = f"{name}:{self.line}" if name and self.line else name or (f"line {self.line}" if self.line else "")
        return ": ".join(part for part in (place, self.path, self.text) if part)


class PlanFileError(ValueError):
    """A plan's text that cannot be read: all of its problems, in the order of its lines."""

    def __init__(self, problems: tuple[FileProblem, ...], name: str = "") -> None:
        super().__init__("\n".join(problem.words(name) for problem in problems))
        self.problems = problems


class PlanFile(Struct, frozen=True):
    """A plan that was read, and where its parts stand."""

    plan: Plan
    lines: dict[str, int]

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line (from 1) of a path, or of the nearest part around it; 0 when none is known."""
        return _line(self.lines, path_words(path))


def parse(text: str | bytes, *, default_id: str = "", name: str = "") -> Plan:
    """The plan written in `text` (YAML or JSON); `PlanFileError` with everything that is wrong."""
    return read(text, default_id=default_id, name=name).plan


def read(text: str | bytes, *, default_id: str = "", name: str = "") -> PlanFile:
    """Like `parse`, and the lines of its parts. `name` is the file's, for the messages only."""
    source = _decoded(text, name)
    data, lines = _loaded(source, name)
    try:
        return PlanFile(read_plan(data, default_id=default_id), lines)
    except PlanError as error:
        written = source.splitlines()
        problems = []
        for problem in error.problems:
            line = _line(lines, path_words(problem.path))
            comment = _lost_in_a_comment(written, line) if problem.text.startswith("nothing is written") else ""
            problems.append(FileProblem(line, path_words(problem.path), comment or problem.text))
        raise PlanFileError(tuple(sorted(problems, key=lambda one: one.line)), name) from None


def _decoded(text: str | bytes, name: str) -> str:
    size = len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        _refuse(0, f"a plan has at most {MOST_BYTES // 1024} KiB, found {size / 1024:,.0f} KiB", name)
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(text.count(b"\n", 0, error.start) + 1, "expected text in UTF-8, found other bytes", name)


def _loaded(source: str, name: str) -> tuple[object, dict[str, int]]:
    """The data, and the line of every path in it."""
    composer = _Composer(source, name)
    try:
        return composer.document(), composer.lines
    except yaml.MarkedYAMLError as error:
        if source.lstrip()[:1] in ("{", "["):
            return _json(source, name), {}
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        _refuse(line, _explained(error, source, line), name)
    except yaml.YAMLError as error:
        _refuse(0, f"not YAML: {str(error).splitlines()[0]}", name)


def _json(source: str, name: str) -> object:
    """JSON that the YAML reader does not take, such as JSON indented by tabs; its errors are JSON's."""
    try:
        return json.loads(source, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        _refuse(error.lineno, f"not JSON: {error.msg}, column {error.colno}", name)
    except RecursionError:
        _refuse(0, f"nested more than {MOST_DEPTH} deep", name)
    except ValueError as error:
        _refuse(0, str(error), name)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen:
            raise ValueError(f"{key!r} is written twice")
        seen[key] = value
    return seen


class _Composer:
    """Builds plain data from YAML's events, counting as it goes. Lines are those of the keys and list entries."""

    def __init__(self, source: str, name: str) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(source, Loader=yaml.SafeLoader))
        self.name = name
        self.lines: dict[str, int] = {}
        self.anchors: dict[str, tuple[object, int]] = {}
        self.nodes = 0

    def document(self) -> object:
        """The only document; nothing at all is None."""
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            _refuse(0, "expected a plan, found nothing", self.name)
        data = self._node(next(self.events), "", 0)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            _refuse(after.start_mark.line + 1, "expected one plan, found a second document (---)", self.name)
        return data

    def _node(self, event: Any, path: str, depth: int) -> object:
        line = event.start_mark.line + 1
        self._count(1, line)
        if depth > MOST_DEPTH:
            _refuse(line, f"nested more than {MOST_DEPTH} deep", self.name)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, line)
        if event.tag is not None and event.tag != "!":
            _refuse(line, f"expected no tags, found {event.tag[:80]!r}; put the text in quotes", self.name)
        before = self.nodes
        data: object
        if isinstance(event, yaml.ScalarEvent):
            data = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            data = self._sequence(path, depth)
        else:
            data = self._mapping(path, depth)
        if event.anchor:
            self.anchors[event.anchor] = (data, self.nodes - before + 1)
        return data

    def _sequence(self, path: str, depth: int) -> list[object]:
        entries: list[object] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            inner = _join(path, str(len(entries) + 1))
            self.lines[inner] = event.start_mark.line + 1
            entries.append(self._node(event, inner, depth + 1))
        return entries

    def _mapping(self, path: str, depth: int) -> dict[object, object]:
        entries: dict[object, object] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                _refuse(line, "expected a name before the colon, found a list, mapping or alias", self.name)
            key = _scalar(event)
            inner = _join(path, event.value)
            if key in entries:
                _refuse(line, f"is written twice; first on line {self.lines[inner]}", self.name, inner)
            self.lines[inner] = line
            self._count(1, line)
            entries[key] = self._node(next(self.events), inner, depth + 1)
        return entries

    def _alias(self, anchor: str | None, line: int) -> object:
        if anchor is None or anchor not in self.anchors:
            _refuse(
                line, f"*{anchor} repeats something that is not there; text that begins with * needs quotes", self.name
            )
        data, size = self.anchors[anchor]
        self._count(size, line)
        return data

    def _count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            _refuse(line, f"expected at most {MOST_NODES:,} values, counting repeated ones", self.name)


def _scalar(event: Any) -> Any:
    """A scalar by YAML 1.2's core schema; quoted ones are text."""
    value: str = event.value
    if event.style is not None or event.tag == "!":
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON's \ud83d\ude00
    if value in _WORDS:
        return _WORDS[value]
    if _RADIX.match(value) and len(value) < 20:
        return int(value, 0)
    if _INT.match(value) and len(value) < 40:
        return int(value)
    if _SPECIAL.match(value) or (_FLOAT.match(value) and len(value) < 40):
        return float(
            value.replace(".inf", "inf")
            .replace(".Inf", "inf")
            .replace(".INF", "inf")
            .replace(".n", "n")
            .replace(".N", "n")
        )
    return value


def _join(path: str, part: str) -> str:
    return f"{path} / {part}" if path else part


def _line(lines: dict[str, int], path: str) -> int:
    """The line of the path, or of the nearest part around it."""
    while path and path not in lines:
        path = path.rpartition(" / ")[0]
    return lines.get(path, 0)


def _lost_in_a_comment(written: list[str], line: int) -> str:
    """What a value was that YAML took for a comment; "" when that is not what happened."""
    found = re.search(r"(?:^|\s)(#\S.*)$", written[line - 1]) if 0 < line <= len(written) else None
    if not found:
        return ""
    return f'nothing is written here: YAML takes everything after # for a comment; write "{found[1].strip()}" in quotes'


def _explained(error: yaml.MarkedYAMLError, source: str, line: int) -> str:
    """YAML's own message, and what usually is behind it."""
    problem = error.problem or "cannot be read"
    lines = source.splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    value = re.search(r"(?:^\s*-\s+|:\s+|^\s*)([@`%>|&*!].*?)\s*$", text)
    hint = ""
    if "'\\t'" in problem or "\t" in text[: len(text) - len(text.lstrip())]:
        hint = "indent with spaces, not tabs"
    elif "mapping values are not allowed" in problem:
        hint = "a text with a colon in it needs quotes"
    elif "got '?'" in problem:
        hint = "inside [...] and {...} a text with a question mark needs quotes"
    elif value:
        hint = f'text that begins with {value[1][0]} needs quotes: "{value[1]}"'
    elif "expected <block end>" in problem or "could not find expected ':'" in problem:
        hint = "look at the indentation, and at quotes or brackets that are not closed"
    return f"not YAML: {problem}" + (f"; {hint}" if hint else "")


def _refuse(line: int, text: str, name: str, path: str = "") -> NoReturn:
    raise PlanFileError((FileProblem(line, path, text),), name)
