"""What a plan file may look like: its JSON Schema for editors, and a starter to begin from.

One rule: the schema is made from the stored types, so that it cannot fall behind them; only the short forms that
reading understands are added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

from msgspec import Meta, Struct

from events.plan.problems import path_words
from events.plan.schema import Length, Plan, Planned, Quantity, Seconds, Toggle
from events.plan.shapes import ALIASES
from events.plan.walk import LONE_NAMES, bare, is_part, parts_of, writable

Schema = dict[str, Any]

__all__ = ["STARTER", "json_schema", "path_words", "starter"]

_TEXT: Schema = {"type": "string"}
_BLANK: Schema = {"type": "string", "pattern": r"TB[DC]|TODO|[Ll]orem|^\\?\[|\?\?\?|^x+%?$|^mm/"}
_SPAN: Schema = {"type": "string", "examples": ["30 minutes", "24 hours", "1 week", "TBD"]}
_EXAMPLES = {
    "to": ["everyone", "25%", "5% to 25%", "a group's name", "10% of a group's name"],
    "until": ["24 hours", "0-24 hrs", "4-48 hours"],
    "toggles_on": ["30 minutes before"],
    "toggles_off": ["at the end", "10 minutes after"],
    "per": ["any 10 minutes"],
    "between": ["1% to 5%"],
    "breaches": ["2 of 3"],
    "fresh": ["5 minutes"],
    "every": ["30 seconds"],
    "baseline": ["1 week"],
    "results_after": ["1 week", "1 month"],
}


def json_schema() -> Schema:
    """The JSON Schema (2020-12) of a written plan. Blanks (TBD) are allowed wherever a value is."""
    definitions: dict[str, Schema] = {}
    root = _part(Plan, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A release plan for Cutover",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _part(kind: type[Struct], definitions: dict[str, Schema]) -> Schema:
    """The mapping form of a part: its fields under the names that people write."""
    renamed = {stored: name for name, stored in ALIASES.get(kind, {}).items()}
    fields = {renamed.get(info.name, info.name): info for info in parts_of(kind)}
    required = [name for name, info in fields.items() if info.required and name in writable(kind)]
    derived = {"seconds", "key"} if kind is not Toggle else {"seconds"}
    return {
        "type": "object",
        "description": (kind.__doc__ or "").strip().split("\n\n")[0],
        "properties": {name: _field(fields[name].type, name, definitions) for name in writable(kind)},
        "additionalProperties": False,
        **({"required": [name for name in required if name not in derived]} if set(required) - derived else {}),
    }


def _field(kind: Any, name: str, definitions: dict[str, Schema]) -> Schema:
    schema = _any(kind, definitions)
    if name in _EXAMPLES and schema.get("type") == "string":
        schema = schema | {"examples": _EXAMPLES[name]}
    if name == "toggles":
        about: Schema = {"type": "object", "additionalProperties": {"type": ["string", "null", "object"]}}
        return {"anyOf": [about, {"type": "array", "items": {"anyOf": [_TEXT, schema["anyOf"][0]["items"]]}}, _BLANK]}
    if name == "to":
        return {"type": ["string", "number"], "examples": _EXAMPLES[name]}
    if name in LONE_NAMES and "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], _TEXT], "description": "A list; one name may stand alone."}
    if name == "dashboards":
        return {"anyOf": [*schema["anyOf"], _TEXT], "description": "Name: address; one address may stand alone."}
    return schema


def _any(kind: Any, definitions: dict[str, Schema]) -> Schema:
    """The written form of any type that a plan uses."""
    kind = bare(kind)
    if kind == Seconds:
        return _SPAN
    leaves: dict[Any, Callable[[], Schema]] = {
        str: lambda: {"type": ["string", "integer"]},
        bool: lambda: {"type": ["boolean", "string"]},
        int: lambda: {"type": ["integer", "string"], "minimum": 0},
        float: lambda: {"type": ["number", "string"], "minimum": 0, "maximum": 100},
        Quantity: lambda: {"type": ["number", "string"], "examples": [10, "5%", "250 ms"]},
        Planned: lambda: {"type": "string", "examples": ["2022-08-01", "week of 2022-08-01", "TBD"]},
    }
    if kind in leaves:
        return leaves[kind]()
    if is_part(kind):
        return _reference(kind, definitions)
    return _composed(kind, definitions)


def _reference(kind: type[Struct], definitions: dict[str, Schema]) -> Schema:
    """A part of its own, or its short form as one text; TBD is a text too."""
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = _part(kind, definitions)
    reference = {"$ref": f"#/$defs/{kind.__name__}"}
    short = {"type": ["string", "number"]} if getattr(kind, "SHORTHAND", "") else _BLANK
    return {"anyOf": [reference, _SPAN | {"examples": ["15 to 30 minutes"]} if kind is Length else short]}


def _composed(kind: Any, definitions: dict[str, Schema]) -> Schema:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _TEXT | next({"pattern": meta.pattern} for meta in inner[1:] if isinstance(meta, Meta))
    if origin is Literal:
        return {"anyOf": [{"enum": [choice for choice in inner if choice]}, _BLANK]}
    if origin is tuple:
        items = _any(inner[0], definitions)
        return {"anyOf": [{"type": "array", "items": items}, _BLANK]}
    if origin is dict:
        return {"anyOf": [{"type": "object", "additionalProperties": _any(inner[1], definitions)}, _BLANK]}
    raise TypeError(f"a plan holds a {kind!r}, and the schema does not know how it is written")


def starter(title: str = "My product") -> str:
    """A commented plan to begin from; it reads as it is, with its blanks as gaps."""
    return STARTER.replace("My product", title.replace("\\", "").replace('"', "'"))


STARTER = """\
# A release plan for Cutover. TBD is allowed wherever something is not known yet: it blocks only the step that
# needs it. `cutover plan check FILE` says what is wrong or open; `cutover plan schema` helps your editor.
title: "My product - Release Plan"
draft: true                    # take this out when nothing is TBD any more
time_zone: America/New_York    # dates and times below are local to it
readers: [ofrep]               # who asks for the toggles: ofrep, va.gov, flipper, in-process
actor: account                 # by what a person is known: account, email or cookie; one kind only

toggles: TBD                   # always switched together, as `key: what it is for`:
#  my_product_form: The form
#  my_product_status: The status page
why_together: TBD

prerequisites:                 # before anybody sees anything; each is confirmed by a person
- The service is live in Production and ready
- text: Business Stakeholders approved Veteran-facing launch
  attested_by: Business Stakeholders

go_no_go:
  decided_by: [Product Owner]  # titles; who sends a move cannot approve it
  before: [first stage]        # also: testing, every stage, go live

criteria:                      # "success criteria"; steps below use them by name
  Error rate:
    below: 5%                  # or: above, at_most, at_least, between, expect, trend
    per: any 10 minutes
    # stop_above: 20%          # beyond this, `then:` halt or roll back
    # then: roll back
    # query: ...               # an engineer adds it; without one a person records the value
    dashboard: TBD

deploy:                        # code on production, every toggle off
  services: [TBD]              # what CI reports as deployed
  date: mm/dd/yy
  criteria: [Error rate]
  watch:
  - until: 24 hours            # since the deploy; also 0-4 hrs, 4-48 hours
    monitored_by: TBD

testing:                       # in production with selected Veterans; or `waived: the reason`
  recruiting: TBD
  sessions:
    length: 15 to 30 minutes
    toggles_on: 30 minutes before
    toggles_off: at the end
  workflows: [TBD]
  results: [Record load times, Record any errors encountered]

rollout:
  dates: TBD                   # a day, a range, "week of 2028-02-14"
  how_limited: TBD             # how you'll limit who can find it
  criteria: [Error rate]
  length: 1 day                # of each stage; "4 hours to 1 day" is least and most
  stages: [everyone]           # or 5%, 25%, "5% to 25%", a group of `groups:`, "10% of GROUP"

go_live:
  date: TBD
  kpis: [TBD]                  # "post-launch KPI"; a text, or name: with a limit and `before:`
  results_after: [1 week, 1 month]

report_issues:
- for: "problems with My product"
  github_labels: [TBD]
  channel: TBD                 # without the #, which begins a comment
  notify: TBD                  # "@team", in quotes
  # announce: [phases]         # good to know, without a mention; also: go/no-go, windows, reminders

rollback:
  triggers: [TBD]
  steps: [TBD]                 # for after the toggles are off: nothing delays a rollback
"""
