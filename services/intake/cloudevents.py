"""CloudEvents 1.0 from headers and a body, over HTTP and NATS.

One rule: nothing is invented. The identity of a signal is (source, id), so an event without them is refused and never
given a random one. Source of the rules: CloudEvents 1.0.2, its JSON format, HTTP and NATS protocol bindings.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from events.codec import NOT_JSON, holds_nul
from services.intake.wrong import NotUnderstood, UnknownFormat

Over = Literal["http", "nats"]
MOST = 1000  # events of one batch
REQUIRED = ("specversion", "id", "source", "type")
TEXTS = (*REQUIRED, "subject", "time", "datacontenttype", "dataschema")
STRUCTURED = "application/cloudevents"
BATCH = "application/cloudevents-batch"
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(?:;.*)?")
_JSON = re.compile(r"(?:[^/]+/(?:[^/]+\+)?json)")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


class CloudEvent(Struct, frozen=True):
    """One event. `data` are its bytes (of JSON where it came inside JSON); `json` says whether they are JSON."""

    id: str
    source: str
    type: str
    subject: str = ""
    time: str = ""
    datacontenttype: str = ""
    extensions: dict[str, str] = {}
    data: bytes = b""
    json: bool = False

    def value(self) -> Any:
        """The data as plain values; NotUnderstood where they are not JSON."""
        if not self.json:
            raise NotUnderstood(f"data: expected JSON, found {self.datacontenttype or 'no content type'}")
        return plain(self.data, "data")


def mode(content_type: str) -> Literal["batch", "structured", "binary"]:
    """What the content type alone says; letters' case does not matter."""
    kind = content_type.strip().lower()
    if kind.startswith(BATCH):
        return "batch"
    return "structured" if kind.startswith(STRUCTURED) else "binary"


def event(headers: Mapping[str, str], body: bytes, over: Over = "http") -> CloudEvent:
    """The one event of a message in binary or structured mode. `headers` by lower-case name. Raises NotUnderstood."""
    content_type = headers.get("content-type", "")
    how = mode(content_type)
    if how == "batch":
        raise UnknownFormat(f"{BATCH} is for HTTP alone" if over == "nats" else "one event was expected, not a batch")
    if how == "structured":
        _spoken(content_type, STRUCTURED)
        return structured(body)
    return _binary(headers, body, over)


def batch(content_type: str, body: bytes) -> list[bytes]:
    """Each event of a batch in its own bytes, every one of them checked. Raises NotUnderstood with its place."""
    _spoken(content_type, BATCH)
    try:
        parts = msgspec.json.decode(body, type=list[Raw])
    except NOT_JSON as error:
        raise NotUnderstood(f"a batch is a JSON array of events: {error}") from error
    if len(parts) > MOST:
        raise NotUnderstood(f"a batch has at most {MOST} events, found {len(parts)}")
    events = [bytes(part) for part in parts]
    for number, one in enumerate(events):
        try:
            structured(one)
        except NotUnderstood as error:
            raise NotUnderstood(f"event {number} of the batch: {error}") from error
    return events


def structured(body: bytes) -> CloudEvent:
    """An event in the JSON format. Raises NotUnderstood."""
    members = plain(body, "event")
    if not isinstance(members, dict):
        raise NotUnderstood(f"an event is a JSON object, found {_shown(members)}")
    members = {name: value for name, value in members.items() if value is not None}  # null means unset
    if "data" in members and "data_base64" in members:
        raise NotUnderstood("an event has data or data_base64, found both")
    data, is_json = _data(members)
    attributes = {name: _text(name, value) for name, value in members.items() if name not in ("data", "data_base64")}
    return _event(attributes, data, is_json)


def plain(body: bytes, what: str) -> Any:
    """Plain values from JSON. Raises NotUnderstood."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise NotUnderstood(f"{what}: the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotUnderstood(f"{what}: expected JSON: {error}") from error
    if holds_nul(body):
        raise NotUnderstood(f"{what}: a text holds the character U+0000, which not every database can keep")
    return value


def header_value(value: str) -> str:
    """An attribute from its header: quotes undone, then percent-decoded once. Raises NotUnderstood.

    Source: HTTP protocol binding 3.1.3.2. Overlong and otherwise wrong UTF-8 is refused, and so is what is no ASCII.
    """
    text = value.strip(" \t")
    if not text.isascii():
        raise NotUnderstood(f"a header is ASCII, percent-encoded where needed; found {value[:80]!r}")
    if text.startswith('"'):
        text = _unquoted(text)
    raw = _PERCENT.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    try:
        return raw.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"a header is percent-encoded UTF-8; found {value[:80]!r}") from error


def _unquoted(text: str) -> str:
    """What stands between double quotes, backslashes undone."""
    if len(text) < 2 or not re.fullmatch(r'"(?:[^"\\]|\\.)*"', text):
        raise NotUnderstood(f"a quoted header ends with its quote; found {text[:80]!r}")
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _binary(headers: Mapping[str, str], body: bytes, over: Over) -> CloudEvent:
    attributes = {}
    for name, value in headers.items():
        if name.startswith("ce-"):
            try:
                attributes[name[3:]] = header_value(value)
            except NotUnderstood as error:
                raise NotUnderstood(f"{name}: {error}") from error
    if over == "http":  # the header Content-Type is the attribute; over NATS it is ce-datacontenttype
        if "datacontenttype" in attributes:
            raise NotUnderstood("ce-datacontenttype: over HTTP this is the header Content-Type")
        attributes["datacontenttype"] = headers.get("content-type", "")
    if not attributes.get("datacontenttype"):
        attributes.pop("datacontenttype", None)
    kind = attributes.get("datacontenttype", "")
    is_json = bool(body) and (not kind or _is_json(kind))
    return _event(attributes, body, is_json)


def _event(attributes: dict[str, str], data: bytes, is_json: bool) -> CloudEvent:
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        raise NotUnderstood(f"an event needs {', '.join(REQUIRED)}; missing: {', '.join(missing)}")
    if attributes["specversion"] != "1.0":
        raise NotUnderstood(f"specversion: expected 1.0, found {attributes['specversion'][:40]!r}")
    for name, value in attributes.items():
        if not _ATTRIBUTE.fullmatch(name):
            raise NotUnderstood(f"an attribute's name is a-z and 0-9, found {name[:80]!r}")
        if _CONTROL.search(value):
            raise NotUnderstood(f"{name}: a control character in {value[:80]!r}")
        if name in TEXTS and not value:
            raise NotUnderstood(f"{name}: expected a text, found an empty one")
    time = attributes.get("time", "")
    if time and instant(time) is None:
        raise NotUnderstood(f"time: expected RFC 3339 such as 2022-07-29T12:00:00Z, found {time[:60]!r}")
    kind = attributes.get("datacontenttype", "")
    if kind and not _MEDIA_TYPE.fullmatch(kind):
        raise NotUnderstood(f"datacontenttype: expected a media type such as application/json, found {kind[:60]!r}")
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject", ""),
        time=time,
        datacontenttype=kind,
        extensions={name: value for name, value in attributes.items() if name not in TEXTS},
        data=data,
        json=is_json,
    )


def instant(text: str) -> datetime | None:
    """A moment in RFC 3339, None where it is none."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(_to_microseconds(text.upper()))
    except ValueError:
        return None


def not_after(time: str, latest: datetime) -> str:
    """The time that a sender tells; `latest`, to the second, where its clock must have been ahead."""
    told = instant(time)
    return time if told is None or told <= latest else latest.isoformat(timespec="seconds")


def _to_microseconds(text: str) -> str:
    """Python reads at most six digits after the point."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _data(members: dict[str, Any]) -> tuple[bytes, bool]:
    if "data_base64" in members:
        encoded = members["data_base64"]
        if not isinstance(encoded, str):
            raise NotUnderstood(f"data_base64: expected a text, found {_shown(encoded)}")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise NotUnderstood(f"data_base64: {error}") from error
        return data, _is_json(str(members.get("datacontenttype", "")))
    if "data" not in members:
        return b"", False
    kind, value = members.get("datacontenttype"), members["data"]
    if isinstance(kind, str) and not _is_json(kind):  # a text, whatever format it is in
        return (value.encode(), False) if isinstance(value, str) else (msgspec.json.encode(value), False)
    return msgspec.json.encode(value), True


def _text(name: str, value: Any) -> str:
    """An attribute's value: a text, or for extensions a whole number or a truth too."""
    if isinstance(value, str):
        return value
    if name not in TEXTS and isinstance(value, (bool, int)):
        return str(value).lower()
    raise NotUnderstood(f"{name[:80]}: expected a text, found {_shown(value)}")


def _is_json(content_type: str) -> bool:
    return bool(_JSON.fullmatch(content_type.partition(";")[0].strip().lower()))


def _spoken(content_type: str, what: str) -> None:
    """UnknownFormat unless it is the JSON format in UTF-8."""
    kind, _, rest = content_type.lower().partition(";")
    if kind.strip() not in (what, f"{what}+json"):
        raise UnknownFormat(f"expected {what}+json, found {content_type[:80]!r}")
    charset = re.search(r'charset\s*=\s*"?([^\s";]+)', rest)
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise UnknownFormat(f"expected the character set UTF-8, found {charset[1][:40]!r}")


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode(errors="replace")
    return text if len(text) <= 60 else f"{text[:60]}..."
