"""Facts become columns and rows without losing or bending a value."""

import enum
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
import pytest
from msgspec import Struct

from rimward.app.facts import Fact, snake_case


class Colour(enum.Enum):
    RED = "red"


class Part(Struct):
    a: int


class Everything(Struct):
    flag: bool
    count: int
    ratio: float
    name: str
    raw: bytes
    at: datetime
    on: date
    colour: Colour
    id: UUID
    parts: list[Part]
    numbers: list[float]
    maybe: int | None = None


VALUE = Everything(
    flag=True,
    count=7,
    ratio=1,
    name="é",
    raw=b"\0",
    at=datetime(2026, 11, 24, tzinfo=UTC),
    on=date(2026, 11, 24),
    colour=Colour.RED,
    id=UUID(int=5),
    parts=[Part(1)],
    numbers=[1.5],
)


def test_every_kind_of_field_has_its_column() -> None:
    assert [column.type for column in Fact(Everything, "normal", None).spec.columns] == [
        "bool", "int64", "float64", "string", "binary", "timestamp", "date", "string", "string", "json",
        "list<float64>", "int64",
    ]  # fmt: skip


def test_a_row_has_the_columns_order_and_plain_values() -> None:
    row = Fact(Everything, "normal", None).row(VALUE)
    assert row[7:] == ("red", str(UUID(int=5)), '[{"a":1}]', [1.5], None)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row))[1] == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", "7"), ("count", 2**63), ("name", 5), ("at", datetime(2026, 1, 1)), ("flag", 1)],  # noqa: DTZ001 (a time without a zone is the case)
)
def test_a_value_that_is_not_its_fields_is_refused(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        Fact(Everything, "normal", None).row(msgspec.structs.replace(VALUE, **{field: value}))


def test_a_fact_of_one_field_is_a_row_of_one_value() -> None:
    assert Fact(Part, "normal", None).row(Part(3)) == (3,)


def test_the_fingerprint_changes_with_the_columns_alone() -> None:
    again = type("Part", (Struct,), {"__annotations__": {"a": int}})
    other = type("Part", (Struct,), {"__annotations__": {"a": float}})
    fingerprint = Fact(Part, "normal", None).spec.fingerprint
    assert Fact(again, "critical", "eu").spec.fingerprint == fingerprint
    assert Fact(other, "normal", None).spec.fingerprint != fingerprint


@pytest.mark.parametrize(
    ("name", "table"), [("TooWarm", "too_warm"), ("Minute", "minute"), ("HTTPError2", "http_error2")]
)
def test_tables_are_named_in_snake_case(name: str, table: str) -> None:
    assert snake_case(name) == table
