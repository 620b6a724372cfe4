"""Plausible values of a JSON Schema, one after another: numbers wander, batteries run down, times go on.

A value depends on the seed, the field's path and the number of the message, never on a clock of its own. What
a schema demands goes before what a name suggests. A text with a `pattern` is a guess.
"""

import datetime as dt
import math
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from rimward.devices.simulate.hints import TIMES, texts, words
from rimward.devices.simulate.numbers import Numbers, is_bounded
from rimward.events import from_ns

DEEPEST = 4  # levels of what contains itself

Schema = Mapping[str, Any]


class Moment(NamedTuple):
    """Which message is made, and when."""

    n: int
    time: dt.datetime


class Values:
    """All values of one kind of message of one device."""

    def __init__(self, schema: Schema, seed: str, known: Mapping[str, str]) -> None:
        """`known` are the captures: a field of the same name says the same."""
        self._schema = schema
        self._seed = seed
        self._known = known
        self._parts: Mapping[str, Schema] = schema.get("$defs", {})
        self._randoms: dict[str, Random] = {}
        self._numbers = Numbers(self._random)
        self._makers = {
            "object": self._object,
            "array": self._array,
            "number": self._number,
            "integer": self._number,
            "boolean": self._boolean,
            "string": self._text,
        }

    def make(self, n: int, time: int) -> Any:
        """Return the value of message `n`, made at `time`, ns since the epoch."""
        return self._value(self._schema, "", Moment(n, from_ns(time)))

    def _value(self, schema: Schema, path: str, moment: Moment) -> Any:
        while "$ref" in schema:
            schema = self._parts[schema["$ref"].rpartition("/")[2]]
        if "enum" in schema:
            return self._one_of(schema["enum"], path)
        if "anyOf" in schema:
            return self._value(self._choose(schema["anyOf"], path), path, moment)
        if schema.get("type") == "null":
            return None
        make = self._makers.get(schema.get("type", ""))
        return moment.n if make is None else make(schema, path, moment)

    def _choose(self, schemas: list[Schema], path: str) -> Schema:
        """Return one of several types: nothing only where all else is too deep."""
        some = [one for one in schemas if one.get("type") != "null"]
        if len(some) < len(schemas) and _is_deep(path):
            return {"type": "null"}
        return self._random(path + "|").choice(some)

    def _object(self, schema: Schema, path: str, moment: Moment) -> dict[str, Any]:
        fields: Mapping[str, Schema] = schema.get("properties", {})
        required: set[str] = set(schema.get("required", ()))
        deep = _is_deep(path)
        if not fields and not deep and schema.get("additionalProperties"):
            fields = {"a": schema["additionalProperties"], "b": schema["additionalProperties"]}
        return {
            name: self._value(field, f"{path}.{name}", moment)
            for name, field in fields.items()
            if name in required or not deep
        }

    def _array(self, schema: Schema, path: str, moment: Moment) -> list[Any]:
        firsts: list[Schema] = list(schema.get("prefixItems", ()))
        least = schema.get("minItems", 0)
        length = least if _is_deep(path) else int(max(least, min(3, schema.get("maxItems", math.inf))))
        rest: Schema = schema.get("items") or {}
        items = [firsts[i] if i < len(firsts) else rest for i in range(length)]
        return [self._value(item, f"{path}.{i}", moment) for i, item in enumerate(items)]

    def _number(self, schema: Schema, path: str, moment: Moment) -> float:
        name, whole = path.rpartition(".")[2], schema["type"] == "integer"
        known = self._known.get(name, "")
        if known.isdecimal():
            return int(known)
        if TIMES & set(words(name)) and not is_bounded(schema):
            return int(moment.time.timestamp()) if whole else round(moment.time.timestamp(), 3)
        return self._numbers.next(path, schema, moment.n)

    def _boolean(self, _schema: Schema, path: str, _moment: Moment) -> bool:
        return self._random(path).random() < 0.2

    def _text(self, schema: Schema, path: str, moment: Moment) -> str:
        form, time = schema.get("format"), moment.time
        if form == "uuid":
            return str(UUID(int=self._random(path).getrandbits(128), version=4))
        if form == "decimal":
            return str(self._numbers.next(path, {"type": "number"}, moment.n))
        forms = {
            "date-time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "date": time.date().isoformat(),
            "time": time.time().isoformat(timespec="milliseconds"),
            "duration": "PT30S",
        }
        return forms.get(form or "") or _sized(self._words(schema, path), schema)

    def _words(self, schema: Schema, path: str) -> str:
        name = path.rpartition(".")[2]
        if name in self._known:
            return self._known[name]
        if schema.get("contentEncoding") == "base64":
            return "aGVsbG8=" if path else "hello"  # a whole payload of bytes is sent as it is
        likely = texts(name)
        return self._random(path).choice(likely) if likely else (name or "hello")

    def _one_of(self, values: list[Any], path: str) -> Any:
        """Return one of some values: the first more often, for it is mostly the normal one."""
        random = self._random(path)
        return values[0] if random.random() < 0.5 else random.choice(values)

    def _random(self, path: str) -> Random:
        if (found := self._randoms.get(path)) is None:
            found = self._randoms[path] = Random(f"{self._seed}{path}")  # noqa: S311 (repeatable; nothing secret)
        return found


def _is_deep(path: str) -> bool:
    return path.count(".") >= DEEPEST


def _sized(text: str, schema: Schema) -> str:
    text = text.ljust(schema.get("minLength", 0), "x")
    return text[: schema["maxLength"]] if "maxLength" in schema else text
