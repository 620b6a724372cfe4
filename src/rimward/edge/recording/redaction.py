"""Fields whose values no recording has: replaced by stand-ins that are the same for the same value.

So what joins by such a field still does when the recording is replayed. Looked into are JSON, msgpack and
CBOR, query parameters, header fields and a fact's columns; other payloads and topics are kept as they are.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec.structs import replace

from rimward.wire.recording import Action, Answered, Asked, Body, Command, Line, Message, Stored
from rimward.wire.recording import body as body_of

DEEPEST = 64  # levels into which a payload is looked; what lies deeper is replaced whole
STAND_IN = "redacted"  # what a text begins with; the digits of a keyed digest follow


class Redactor:
    """Replaces values by the names of their fields, whatever the case of the letters."""

    def __init__(self, fields: Iterable[str], key: bytes) -> None:
        """`key` is new for each recording, and kept nowhere: stand-ins can't be tried out."""
        self.fields: frozenset[str] = frozenset(field.lower() for field in fields)
        self._key = key
        names = b"|".join(re.escape(field.encode()) for field in sorted(self.fields))
        self._hint = re.compile(rb"\\u|" + names, re.IGNORECASE)

    def line(self, line: Line) -> Line:
        """Return a line with the fields' values replaced."""
        match line:
            case Message():
                return replace(line, payload=self.body(line.payload, line.content_type))
            case Asked():
                kind = line.headers.get("content-type")
                headers = {name: self._text(name, value) for name, value in line.headers.items()}
                query = self._query(line.query) if line.query else ""
                return replace(line, payload=self.body(line.payload, kind), headers=headers, query=query)
            case Action() | Command():
                return replace(line, payload=self.body(line.payload, None))
            case Stored(values=dict()):
                return replace(line, values=self._columns(line.values or {}))
            case Answered(payload=Body()):
                return replace(line, payload=self.body(line.payload or Body(), line.content_type))
            case _:
                return line

    def body(self, body: Body, content_type: str | None) -> Body:
        """Return a body with the fields' values replaced; what is no object stays as it is."""
        data = body.read()
        if not self._hint.search(data):
            return body
        for decode, encode in _encodings(content_type):
            try:
                value = decode(data)
            except (ValueError, RecursionError):  # msgspec's and cbor2's errors are such
                continue
            changed = self._value(value, 0)
            return body if changed == value else body_of(encode(changed))
        return body

    def _columns(self, values: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name.lower() in self.fields:
                found[name] = self._stand_in(value, 0)
            elif isinstance(value, str) and value[:1] in {"{", "["}:  # a column of nested values is JSON text
                found[name] = self.body(Body(text=value), "application/json").text
            else:
                found[name] = value
        return found

    def _query(self, query: str) -> str:
        pairs = parse_qsl(query, keep_blank_values=True)
        changed = [(name, self._text(name, value)) for name, value in pairs]
        return query if changed == pairs else urlencode(changed)

    def _text(self, name: str, value: str) -> str:
        return str(self._stand_in(value, 0)) if name.lower().replace("-", "_") in self.fields else value

    def _value(self, value: Any, depth: int) -> Any:
        if depth > DEEPEST:
            return None
        if isinstance(value, dict):
            items = cast("dict[Any, Any]", value)
            return {
                name: self._stand_in(one, depth)
                if isinstance(name, str) and name.lower() in self.fields
                else self._value(one, depth + 1)
                for name, one in items.items()
            }
        if isinstance(value, list):
            return [self._value(one, depth + 1) for one in cast("list[Any]", value)]
        return value

    def _stand_in(self, value: Any, depth: int) -> Any:
        match value:
            case None:
                return None
            case bool() | int() | float():
                return type(value)(0)
            case dict() if depth <= DEEPEST:
                items = cast("dict[Any, Any]", value)
                return {name: self._stand_in(one, depth + 1) for name, one in items.items()}
            case list() if depth <= DEEPEST:
                return [self._stand_in(one, depth + 1) for one in cast("list[Any]", value)]
            case str() if value.startswith(f"{STAND_IN}-"):
                return value  # what a function did with a stand-in, when a recording is replayed
            case _:
                data = value.encode() if isinstance(value, str) else repr(value).encode()
                return f"{STAND_IN}-{hashlib.blake2b(data, key=self._key, digest_size=6).hexdigest()}"


def _encodings(
    content_type: str | None,
) -> list[tuple[Callable[[bytes], Any], Callable[[Any], bytes]]]:
    """Return how a payload may be read and written, the likeliest first."""
    kind = (content_type or "").lower()
    if "msgpack" in kind:
        return [(msgspec.msgpack.decode, msgspec.msgpack.encode)]
    if "cbor" in kind:
        from cbor2 import dumps, loads

        return [(loads, dumps)]
    return [(msgspec.json.decode, msgspec.json.encode)]
