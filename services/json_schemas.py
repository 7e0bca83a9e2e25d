"""JSON Schema (2020-12) of our types, for the documents that describe the service to others.

One rule: nothing is typed twice: names, fields, tags and words come from the types themselves. Tagged unions have a
name and a discriminator, so that generated clients have one type for "a fact" and not one for each place of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

Json = dict[str, Any]
_LIST = re.compile(r"Items_(\w+)_")
REFERENCE = "#/components/schemas/{name}"


def components(kinds: Sequence[Any], unions: Mapping[str, Any]) -> tuple[list[Json], Json]:
    """The schema of each kind, and the components that they refer to, by name. `unions`: the tagged ones, by name."""
    schemas, found = msgspec.json.schema_components([*unions.values(), *kinds], ref_template=REFERENCE)
    named = {_key(schema): name for name, schema in zip(unions, schemas, strict=False)}
    short = _short_names(found)
    tidy = [_tidy(schema, named, short) for schema in schemas[len(unions) :]]
    parts = {short[name]: _titled(_tidy(schema, named, short), short[name]) for name, schema in found.items()}
    parts |= {name: _tidy(schema, {}, short) for name, schema in zip(unions, schemas, strict=False)}
    return tidy, dict(sorted(parts.items()))


def reference(name: str) -> Json:
    """Where a component is."""
    return {"$ref": REFERENCE.format(name=name)}


def _short_names(names: Iterable[str]) -> dict[str, str]:
    """A name that two types share is told apart by its module's last word, "CommandsGoLive"; lists are "RowItems"."""
    parts = {name: name.split(".")[-2:] for name in names}
    return {name: _LIST.sub(r"\1Items", "".join(map(_capital, few))) for name, few in parts.items()}


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _titled(schema: Json, name: str) -> Json:
    """A type's title is its name here: generators make a class of it, and two of one title are one too many."""
    return {**schema, "title": name} if "title" in schema else schema


def _key(schema: Json) -> str:
    """What two places of one tagged union have in common; "" for anything else."""
    mapping: Mapping[str, str] = schema.get("discriminator", {}).get("mapping", {})
    return ",".join(sorted(mapping.values()))


def _tidy(schema: Any, named: Mapping[str, str], short: Mapping[str, str]) -> Any:
    """The schema with names short, tagged unions by name, and tags as constants; what generators do not know and
    nothing is lost with is left out."""
    if isinstance(schema, list):
        return [_tidy(part, named, short) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if (key := _key(schema)) and key in named:
        return reference(named[key])
    tidy = {name: _tidy(part, named, short) for name, part in schema.items()}
    if tidy.get("items") is False:
        del tidy["items"]  # beside prefixItems: maxItems says it already
    if isinstance(ref := tidy.get("$ref"), str):
        tidy["$ref"] = _renamed(ref, short)
    if "discriminator" in tidy:
        mapping = tidy["discriminator"].get("mapping", {})
        tidy["discriminator"]["mapping"] = {tag: _renamed(ref, short) for tag, ref in mapping.items()}
        tidy["oneOf"] = tidy.pop("anyOf")
    return tidy


def _renamed(ref: str, short: Mapping[str, str]) -> str:
    name = ref.rsplit("/", 1)[-1]
    return REFERENCE.format(name=short.get(name, name))
