"""What a function says about itself without being run: schemas of what it takes, the facts that it names."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

import msgspec
from msgspec import Struct, inspect

from rimward.app.manifest import Capture
from rimward.app.plan import Plan, returns_something


def schema_of(type_: Any) -> dict[str, Any] | None:
    """Return a type's JSON Schema, None where it has none; a payload of text or bytes is sent as it is."""
    try:
        return _remembered(type_)
    except (TypeError, ValueError, NameError):  # what has a decoder and no schema, such as a custom type
        return None


def forget_schemas() -> None:
    """Forget the schemas that are remembered, and their types with them."""
    _remembered.cache_clear()


@lru_cache(typed=True)
def _remembered(type_: Any) -> dict[str, Any]:
    """Return a schema; a hundred functions of one app take the same few types."""
    schema = msgspec.json.schema(type_)
    _mark_times(inspect.type_info(type_), schema, schema.get("$defs", {}), set())
    return schema


def captures_of(names: Iterable[str], plan: Plan | None = None) -> tuple[Capture, ...]:
    """Return the captures of a trigger with the types that its function gives them; others are text."""
    types = {one.name: one.type for one in plan.parameters if one.kind == "capture"} if plan else {}
    return tuple(Capture(name, schema_of(types.get(name, str)) or {"type": "string"}) for name in names)


def reply_of(plan: Plan) -> str | None:
    """Return the name of what a function returns, None where it returns nothing."""
    if not returns_something(plan):
        return None
    return getattr(plan.returns, "__name__", None) or str(plan.returns)


def named_in(function: Callable[..., Any], facts: dict[type[Struct], str]) -> tuple[str, ...]:
    """Return the tables of the facts that the function's code names: what it may forward."""
    names = getattr(function, "__globals__", {})
    found = {
        facts[value]
        for code in _codes(getattr(function, "__code__", None))
        for name in code.co_names
        if isinstance(value := names.get(name), type) and value in facts
    }
    return tuple(sorted(found))


def _mark_times(
    type_: inspect.Type, schema: dict[str, Any], parts: dict[str, dict[str, Any]], seen: set[str]
) -> None:
    """Write `date-time` where a datetime is wanted: msgspec does so only where a time zone is demanded."""
    if (name := str(schema.get("$ref", "")).rpartition("/")[2]) in parts:
        if name in seen:
            return
        seen.add(name)
        schema = parts[name]
    if isinstance(type_, inspect.DateTimeType):
        schema["format"] = "date-time"
    for inner, part in _inside(type_, schema, parts):
        _mark_times(inner, part, parts, seen)


def _inside(
    type_: inspect.Type, schema: dict[str, Any], parts: dict[str, dict[str, Any]]
) -> list[tuple[inspect.Type, dict[str, Any]]]:
    """Return the types that a type is made of, each with its part of the schema."""
    match type_:
        case inspect.Metadata():
            return [(type_.type, schema)]
        case inspect.UnionType():
            either = schema.get("anyOf", ())  # in an order of its own
            return [(one, part) for one in type_.types for part in either if _is_of(one, part, parts)]
        case inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
            return [(type_.item_type, schema.get("items", {}))]
        case inspect.DictType():
            return [(type_.value_type, schema.get("additionalProperties", {}))]
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            fields = schema.get("properties", {})
            return [(field.type, fields.get(field.encode_name, {})) for field in type_.fields]
        case _:
            return []


def _is_of(type_: inspect.Type, schema: dict[str, Any], parts: dict[str, dict[str, Any]]) -> bool:
    """Tell whether one schema of several is a type's; of texts, lists and dicts there is one at most."""
    match type_:
        case inspect.DateTimeType():
            return schema.get("type") == "string"
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            name = str(schema.get("$ref", "")).rpartition("/")[2]
            return str(parts.get(name, {}).get("title", "")).startswith(type_.cls.__name__)
        case inspect.DictType():
            return schema.get("type") == "object"
        case _:
            return schema.get("type") == "array"


def _codes(code: Any) -> Iterator[CodeType]:
    if isinstance(code, CodeType):
        yield code
        for inner in code.co_consts:
            yield from _codes(inner)
