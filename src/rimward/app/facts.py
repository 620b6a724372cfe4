"""Facts: the types that may cross to the cloud, as columns of a table and as rows on the wire."""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from rimward.app.manifest import Column, FactSpec, Keeping
from rimward.app.problems import Problem

Priority = Literal["critical", "normal", "bulk"]
WhenFull = Literal["shed-oldest", "shed-lowest", "refuse"]
PRIORITIES: tuple[Priority, ...] = ("critical", "normal", "bulk")

_INT64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_SCALARS: dict[type[msgspec.inspect.Type], str] = {
    msgspec.inspect.BoolType: "bool",
    msgspec.inspect.IntType: "int64",
    msgspec.inspect.FloatType: "float64",
    msgspec.inspect.StrType: "string",
    msgspec.inspect.UUIDType: "string",
    msgspec.inspect.BytesType: "binary",
    msgspec.inspect.DateTimeType: "timestamp",
    msgspec.inspect.DateType: "date",
}
_CHECKS: dict[str, Any] = {
    "bool": bool,
    "int64": _INT64,
    "float64": float,
    "string": str,
    "binary": bytes,
    "timestamp": Annotated[datetime, Meta(tz=True)],
    "date": date,
    "json": str,
}


def snake_case(name: str) -> str:
    """Return a class's name as its table's: TooWarm is too_warm."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Fact:
    """One declared fact type: its spec, and how a value becomes a row."""

    __slots__ = ("_check", "_convert", "_get", "_single", "spec", "struct")

    def __init__(
        self,
        type_: type[Struct],
        priority: Priority,
        locality: str | None,
        *,
        name: str | None = None,
        was: str | None = None,
        keeping: Keeping = Keeping(),  # noqa: B008 (frozen)
    ) -> None:
        """Take a type; `name` names its table, and `was` is the name under which that goes on."""
        self.struct: type[Struct] = type_
        columns = _columns(type_)
        known_as = was or name or type_.__name__
        self.spec: FactSpec = FactSpec(
            name=type_.__name__,
            table=_table(known_as, type_),
            priority=priority,
            locality=locality,
            columns=columns,
            fingerprint=fingerprint(known_as, columns),
            keeping=keeping,
        )
        names = [column.name for column in columns]
        self._get = cast("Callable[[Struct], Any]", attrgetter(*names))
        self._single = len(names) == 1  # attrgetter gives no tuple then
        self._convert = [_converter(field) for field in _fields(type_)]
        if not any(self._convert):
            self._convert = []
        self._check = row_type(columns)

    def row(self, fact: Struct) -> tuple[Any, ...]:
        """Return a fact's values in column order, as msgpack can carry them.

        Raises:
            msgspec.ValidationError: a value is not of its field's type, or a datetime has no time zone.
        """
        values: tuple[Any, ...] = (self._get(fact),) if self._single else self._get(fact)
        if self._convert:
            values = tuple(
                value if convert is None or value is None else convert(value)
                for convert, value in zip(self._convert, values, strict=True)
            )
        return self.checked(values)

    def checked(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return values in column order as a row.

        Raises:
            msgspec.ValidationError: a value is not of its field's type.
        """
        return msgspec.convert(values, self._check)


def fingerprint(name: str, columns: tuple[Column, ...]) -> str:
    """Return what tells one form of a fact from another: 16 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode((name, columns))).hexdigest()[:16]


def row_type(columns: tuple[Column, ...]) -> Any:
    """Return the type that a row's values must have, for `msgspec.convert`; every value may be None."""
    checks = tuple(_check_type(column.type) | None for column in columns)
    return cast("Any", tuple.__class_getitem__(checks))


def _table(name: str, type_: type[Struct]) -> str:
    table = snake_case(name)
    if not re.fullmatch(r"[^\W\d]\w{0,127}", table):
        raise Problem(
            f"fact {type_.__name__}: {name!r} can't name a table",
            "letters, digits and _ name one: too_warm",
            at=type_,
        )
    return table


def _check_type(column: str) -> Any:
    if column.startswith("list<"):
        return list[_CHECKS[column[5:-1]]]
    return _CHECKS[column]


def _fields(type_: type[Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(type_)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _columns(type_: type[Struct]) -> tuple[Column, ...]:
    try:
        fields = _fields(type_)
    except (TypeError, NameError) as error:
        raise Problem(
            f"fact {type_.__name__} can't be a table: {error}", "use types that JSON can hold", at=type_
        ) from None
    if not fields:
        raise Problem(f"fact {type_.__name__} has no fields", "a table needs a column", at=type_)
    for field in fields:
        if field.name.startswith("_"):
            raise Problem(
                f"fact {type_.__name__} has the field {field.name!r}",
                "names that start with _ belong to the system columns; take the underscore away",
                at=type_,
            )
    return tuple(Column(field.name, _column_type(field.type)) for field in fields)


def _without_none(type_: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(type_, msgspec.inspect.UnionType):
        rest = [kind for kind in type_.types if not isinstance(kind, msgspec.inspect.NoneType)]
        if len(rest) == 1:
            return rest[0]
    return type_


def _column_type(type_: msgspec.inspect.Type) -> str:
    type_ = _without_none(type_)
    if scalar := _SCALARS.get(type(type_)):
        return scalar
    if isinstance(type_, msgspec.inspect.EnumType | msgspec.inspect.LiteralType):
        values = (
            [member.value for member in type_.cls]
            if isinstance(type_, msgspec.inspect.EnumType)
            else list(type_.values)
        )
        return "string" if all(isinstance(value, str) for value in values) else "int64"
    if isinstance(type_, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
        item = _SCALARS.get(type(type_.item_type))
        if item is not None and not isinstance(type_.item_type, msgspec.inspect.UUIDType):
            return f"list<{item}>"
    return "json"


def _converter(field: msgspec.inspect.Field) -> Callable[[Any], Any] | None:
    type_ = _without_none(field.type)
    column = _column_type(type_)
    if column == "json":
        return _json_text
    if isinstance(type_, msgspec.inspect.EnumType):
        return _enum_value
    if isinstance(type_, msgspec.inspect.UUIDType):
        return str
    return list if column.startswith("list<") else None


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _enum_value(value: Any) -> Any:
    return value.value
