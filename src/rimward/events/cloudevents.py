"""CloudEvents 1.0.2 without I/O: what they say, and how they stand in HTTP, MQTT 5 and NATS messages.

Binary mode puts attributes beside the data, structured mode (the JSON event format) everything into one body.
Batches are not read. Sections in brackets are of the specification and its bindings.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from msgspec import Raw, Struct

from rimward.events.errors import RimwardError

STRUCTURED = "application/cloudevents+json"
SPECVERSION = "1.0"
MAX_ATTRIBUTES = 64  # of one event
Value = str | int | bool
_FAMILY = "application/cloudevents"
_NAME = re.compile(r"[a-z0-9]+")
_SAFE = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in '"%')  # [HTTP 3.1.3.2]
_JSON = re.compile(r"[^/\s;]+/(?:json|[^/\s;]+\+json)\s*(?:;.*)?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_INTEGER = range(-(1 << 31), 1 << 31)  # [types: Integer]
_REQUIRED = frozenset({"specversion", "id", "source", "type"})
_OWN = ("id", "source", "type", "subject", "dataschema", "datacontenttype", "time")


class CloudEventError(RimwardError):
    """A message that says it is a CloudEvent and is none; the text names the attribute and the rule."""

    code: ClassVar[str] = "cloudevent"


class CloudEvent(Struct, frozen=True, kw_only=True):
    """One event. `data` are the bytes that `datacontenttype` describes; None is no data.

    Raises:
        CloudEventError: a required attribute is empty, or an extension's name or value is not allowed.
    """

    id: str
    source: str  # a URI reference
    type: str
    subject: str | None = None
    time: datetime | None = None  # with its zone
    datacontenttype: str | None = None  # None means JSON
    dataschema: str | None = None
    extensions: Mapping[str, Value] = msgspec.field(default_factory=dict[str, Value])
    data: bytes | None = None

    def __post_init__(self) -> None:
        for name in ("id", "source", "type"):
            if not getattr(self, name):
                raise CloudEventError(f"{name} is empty, a CloudEvent needs it")
        for name in ("id", "source", "type", "subject", "dataschema", "datacontenttype"):
            _check_string(name, getattr(self, name))
        if self.time is not None and self.time.tzinfo is None:
            raise CloudEventError(f"time is {self.time.isoformat()}, it must name its zone")
        if len(self.extensions) > MAX_ATTRIBUTES:
            raise CloudEventError(f"{len(self.extensions)} extensions, the limit is {MAX_ATTRIBUTES}")
        for name, value in self.extensions.items():
            _check_extension(name, value)

    @property
    def is_json(self) -> bool:
        """Whether the data are JSON."""
        return self.datacontenttype is None or _JSON.fullmatch(self.datacontenttype) is not None


class Carried(NamedTuple):
    """An event as one message: a content type, the fields beside the body, the body."""

    content_type: str | None
    fields: dict[str, str]
    body: bytes


def is_structured(content_type: str | None) -> bool:
    """Tell whether a content type is that of a whole event [HTTP 3; MQTT 3]."""
    return content_type is not None and content_type.strip().lower().startswith(_FAMILY)


def is_binary(properties: Iterable[tuple[str, str]]) -> bool:
    """Tell whether user properties of MQTT 5 are those of an event [MQTT 3]."""
    return _REQUIRED.issubset(name for name, _ in properties)


# -- structured mode


def to_structured(event: CloudEvent) -> Carried:
    """Return an event in the JSON event format.

    Raises:
        CloudEventError: its data are said to be JSON and are not.
    """
    members: dict[str, object] = {"specversion": SPECVERSION, **_attributes(event)}
    if event.data is not None:
        if event.is_json:
            members["data"] = Raw(_checked_json(event.data))
        else:
            members["data_base64"] = base64.b64encode(event.data).decode()
    return Carried(f"{STRUCTURED}; charset=utf-8", {}, msgspec.json.encode(members))


def _checked_json(data: bytes) -> bytes:
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CloudEventError(f"data are not JSON, as datacontenttype says: {error}") from None
    return data


def from_structured(content_type: str, body: bytes) -> CloudEvent:
    """Read an event in the JSON event format.

    Raises:
        CloudEventError: it is in another format, or breaks a rule of this one.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != STRUCTURED:
        raise CloudEventError(f"the format {kind!r} is not read, {STRUCTURED} is")
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw])
        values = {name: msgspec.json.decode(raw) for name, raw in members.items() if name != "data"}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CloudEventError(f"it is not a JSON object: {error}") from None
    encoded = values.pop("data_base64", None)
    values = {name: value for name, value in values.items() if value is not None}  # [JSON 2.2]
    raw = members.get("data")
    if raw is not None and encoded is not None:
        raise CloudEventError("it has both data and data_base64")
    data = _decoded(encoded) if encoded is not None else None
    if raw is not None:
        data = _json_data(bytes(raw), values.get("datacontenttype"))
    return _event(values, data)


def _json_data(raw: bytes, content_type: object) -> bytes:
    """Return the bytes of the `data` member: a string is text where the type is not JSON [JSON 3.1.1]."""
    if isinstance(content_type, str) and _JSON.fullmatch(content_type) is None and raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str).encode()
    return raw


def _decoded(encoded: object) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else _fail()
    except ValueError:
        raise CloudEventError("data_base64 is not a string of base64") from None


def _fail() -> bytes:
    raise ValueError


# -- binary mode


def to_http(event: CloudEvent) -> Carried:
    """Return an event in HTTP's binary mode [HTTP 3.1]."""
    attributes = _attributes(event)
    content_type = attributes.pop("datacontenttype", None)
    return Carried(_text_or_none(content_type), _headers(attributes), event.data or b"")


def from_http(content_type: str | None, headers: Mapping[str, str], body: bytes) -> CloudEvent | None:
    """Read the event that a request or response carries, None where it carries none.

    `headers` are by name in lower case.

    Raises:
        CloudEventError: it says that it is an event and breaks a rule.
    """
    if content_type is not None and is_structured(content_type):
        return from_structured(content_type, body)
    if "ce-specversion" not in headers:
        return None
    return _binary(_from_headers(headers), content_type, body)


def to_mqtt(event: CloudEvent) -> Carried:
    """Return an event in MQTT 5's binary mode: `fields` are user properties [MQTT 3.1]."""
    attributes = _attributes(event)
    content_type = attributes.pop("datacontenttype", None)
    fields = {"specversion": SPECVERSION} | {name: _text(value) for name, value in attributes.items()}
    return Carried(_text_or_none(content_type), fields, event.data or b"")


def from_mqtt(
    content_type: str | None, properties: Iterable[tuple[str, str]], payload: bytes
) -> CloudEvent | None:
    """Read the event that a PUBLISH of MQTT 5 carries, None where it carries none.

    A message is one in binary mode if all required attributes stand in its user properties [MQTT 3].

    Raises:
        CloudEventError: it says that it is an event and breaks a rule.
    """
    if content_type is not None and is_structured(content_type):
        return from_structured(content_type, payload)
    found = list(properties)
    if not is_binary(found):
        return None
    attributes = {name: value for name, value in found if _NAME.fullmatch(name)}
    return _binary(attributes, content_type, payload)


def to_nats(event: CloudEvent) -> Carried:
    """Return an event in NATS' binary mode; the data's type is an attribute like any other [NATS 3.1]."""
    return Carried(None, _headers(_attributes(event)), event.data or b"")


def from_nats(headers: Mapping[str, str], body: bytes) -> CloudEvent | None:
    """Read the event that a NATS message carries, None where it carries none.

    Raises:
        CloudEventError: it says that it is an event and breaks a rule.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    content_type = lower.get("content-type")
    return from_http(content_type if is_structured(content_type) else None, lower, body)


def _headers(attributes: Mapping[str, Value]) -> dict[str, str]:
    fields = {"ce-specversion": SPECVERSION}
    return fields | {f"ce-{name}": quote(_text(value), safe=_SAFE) for name, value in attributes.items()}


def _from_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of `ce-` headers, decoded [HTTP 3.1.3.2]."""
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith("ce-"):
            quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            plain = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted else value
            try:
                attributes[name[3:]] = unquote(plain, errors="strict")
            except UnicodeDecodeError:
                raise CloudEventError(f"{name} is not percent-encoded UTF-8") from None
    return attributes


def _binary(attributes: Mapping[str, str], content_type: str | None, body: bytes) -> CloudEvent:
    values: dict[str, object] = dict(attributes)
    if content_type is not None:
        values["datacontenttype"] = content_type
    return _event(values, body or None)


# -- attributes


def _attributes(event: CloudEvent) -> dict[str, Value]:
    """Return all attributes but the version, the time as text."""
    known = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "dataschema": event.dataschema,
        "datacontenttype": event.datacontenttype,
        "time": None if event.time is None else _time_text(event.time),
    }
    return {name: value for name, value in known.items() if value is not None} | dict(event.extensions)


def _event(values: Mapping[str, object], data: bytes | None) -> CloudEvent:
    found = dict(values)
    version = found.pop("specversion", None)
    if version != SPECVERSION:
        raise CloudEventError(f"specversion is {version!r}, {SPECVERSION!r} is read")
    own = {name: found.pop(name, None) for name in _OWN}
    for name, value in own.items():
        if value is not None and not isinstance(value, str):
            raise CloudEventError(f"{name} is {value!r}, it must be a string")
    text = {name: value for name, value in own.items() if isinstance(value, str)}
    time = text.pop("time", None)
    return CloudEvent(
        id=text.get("id", ""),
        source=text.get("source", ""),
        type=text.get("type", ""),
        subject=text.get("subject"),
        time=None if time is None else _time(time),
        datacontenttype=text.get("datacontenttype"),
        dataschema=text.get("dataschema"),
        extensions={name: _extension(name, value) for name, value in found.items()},
        data=data,
    )


def _extension(name: str, value: object) -> Value:
    if not isinstance(value, str | int | bool):
        raise CloudEventError(f"{name} is {value!r}, an extension is a string, an integer or a boolean")
    return value


def _check_string(name: str, value: str | None) -> None:
    """Refuse what no attribute may hold [types: String]."""
    if value == "":
        raise CloudEventError(f"{name} is empty: leave it out")
    if value is not None and _CONTROL.search(value):
        raise CloudEventError(f"{name} is {value[:64]!r}, it must have no control characters")


def _check_extension(name: str, value: Value) -> None:
    if _NAME.fullmatch(name) is None or name in _OWN or name in {"specversion", "data"}:
        raise CloudEventError(f"{name[:64]!r} can't name an extension: lower-case letters and digits can")
    if isinstance(value, str):
        _check_string(name, value)
    elif value not in _INTEGER:
        raise CloudEventError(f"{name} is {value}, an integer has 32 bits")


def _text(value: Value) -> str:
    """Return a value's canonical string [types]."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_or_none(value: Value | None) -> str | None:
    return None if value is None else _text(value)


def _time(text: str) -> datetime:
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise CloudEventError(f"time is {text[:64]!r}, it must be as RFC 3339 says") from None


def _time_text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
