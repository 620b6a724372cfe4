"""The forms that a fact's rows have had: one for each fingerprint, with the columns that its rows carry."""

from datetime import date, datetime
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from rimward.app.manifest import Column
from rimward.wire import Row

_VALUES: dict[str, Any] = {  # what a cell may be on the wire; Arrow then takes it exactly or refuses it
    "bool": bool,
    "int64": int,
    "float64": float | int,  # 3 is 3.0; a whole number that no float64 is equal to is refused
    "string": str,
    "binary": bytes,
    "timestamp": Annotated[datetime, Meta(tz=True)],
    "date": date,
    "json": str,
}


class Form:
    """Reads rows of one fingerprint."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.columns = columns
        self._values = cast("Any", tuple.__class_getitem__(tuple(_cell(one.type) | None for one in columns)))
        self._rows = msgspec.msgpack.Decoder(cast("type[list[Row]]", list[_row_with(self._values)]))

    def rows(self, data: bytes) -> list[Row]:
        """Return rows whose values are of the columns' types.

        Raises:
            ValueError: at least one is not.
        """
        return self._rows.decode(data)

    def check(self, row: Row) -> Row:
        """Return a row of any values as one of this form.

        Raises:
            msgspec.ValidationError: it is none.
        """
        return msgspec.structs.replace(row, values=msgspec.convert(row.values, self._values))


def _cell(column: str) -> Any:
    return list[_VALUES[column[5:-1]]] if column.startswith("list<") else _VALUES[column]


def _row_with(values: Any) -> Any:
    """Return the wire's row with a type for its values, so that one pass decodes and checks."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(Row):
        type_ = values if field.name == "values" else field.type
        fields.append((field.name, type_) if field.required else (field.name, type_, field.default))
    return msgspec.defstruct("Row", fields, array_like=True, gc=False)
