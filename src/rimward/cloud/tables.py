# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The lake's tables: a fact's columns and the system's, and rows as Arrow."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa

from rimward.app.facts import row_type
from rimward.app.manifest import Column, FactSpec
from rimward.wire import Header, Lane, Row

_TYPES: dict[str, Any] = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}
_MOMENT = pa.timestamp("us", tz="UTC")
SYSTEM = [
    ("_time", _MOMENT), ("_received_at", _MOMENT), ("_site", pa.string()), ("_node", pa.string()),
    ("_epoch", pa.int64()), ("_seq", pa.int64()), ("_event", pa.string()), ("_clock", pa.string()),
    ("_replayed", pa.bool_()), ("_trace", pa.string()), ("_day", pa.string()),
]  # fmt: skip
DEAD = pa.schema(
    [("fact", pa.string()), ("schema", pa.string()), ("reason", pa.string()), ("body", pa.binary()), *SYSTEM]
)


def arrow_type(column: str) -> Any:
    """Return a column type's Arrow type."""
    return pa.list_(_TYPES[column[5:-1]]) if column.startswith("list<") else _TYPES[column]


def schema_of(columns: tuple[Column, ...]) -> Any:
    """Return a fact table's Arrow schema; every column may be null."""
    return pa.schema([(column.name, arrow_type(column.type)) for column in columns] + SYSTEM)


class Batch:
    """Rows on their way into one table, and those that don't fit."""

    def __init__(self, spec: FactSpec, day: datetime) -> None:
        self.spec = spec
        self._check = row_type(spec.columns)
        self._day = day.astimezone(UTC).date().isoformat()
        self.rows: list[tuple[Any, ...]] = []
        self.dead: list[tuple[Any, ...]] = []

    def add(self, lane: Lane, header: Header, row: Row) -> None:
        """Take one row; what is not exactly of the columns' types goes to the dead letters."""
        if header.schema != self.spec.fingerprint:
            self._bury(lane, header, row, f"schema {header.schema} is not {self.spec.fingerprint}")
            return
        try:
            values = msgspec.convert(row.values, self._check)
        except msgspec.ValidationError as error:
            self._bury(lane, header, row, str(error))
            return
        self.rows.append((*values, *self._system(lane, header, row)))

    def _bury(self, lane: Lane, header: Header, row: Row, reason: str) -> None:
        body = msgspec.msgpack.encode(row)
        self.dead.append((lane.fact, header.schema, reason, body, *self._system(lane, header, row)))

    def _system(self, lane: Lane, header: Header, row: Row) -> tuple[Any, ...]:
        received = row.received // 1000
        return (
            received if row.time is None else row.time // 1000,
            received,
            header.site,
            lane.node,
            lane.epoch.counter,
            row.seq,
            row.event,
            row.clock,
            row.replayed,
            row.trace.hex() if row.trace else None,
            self._day,
        )


def to_arrow(schema: Any, rows: list[tuple[Any, ...]]) -> Any:
    """Return rows as a table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
