# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The lake's tables: a fact's columns and the system's, and rows as Arrow."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from rimward.app.facts import row_type
from rimward.app.manifest import Column, FactSpec
from rimward.wire import Header, Lane, Row, transaction_version

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
    ("_replayed", pa.bool_()), ("_trace", pa.string()), ("_day", pa.string()), ("_mono", pa.int64()),
]  # fmt: skip
DEAD = pa.schema(  # one row, or `rows` of them in an envelope that can't be read; `_seq` is the last
    [
        ("fact", pa.string()), ("schema", pa.string()), ("reason", pa.string()), ("body", pa.binary()),
        ("rows", pa.int64()), *SYSTEM,
    ]
)  # fmt: skip
GAP = pa.schema(  # rows that will never come, as their node says
    [
        ("fact", pa.string()), ("first", pa.int64()), ("last", pa.int64()), ("rows", pa.int64()),
        ("reason", pa.string()), ("_received_at", _MOMENT), ("_site", pa.string()), ("_node", pa.string()),
        ("_epoch", pa.int64()), ("_day", pa.string()),
    ]
)  # fmt: skip
EPOCHS = pa.schema(  # every start of a node's outbox that rows came from
    [
        ("_node", pa.string()), ("_epoch", pa.int64()), ("nonce", pa.int64()), ("_received_at", _MOMENT),
        ("_day", pa.string()),
    ]
)  # fmt: skip


def arrow_type(column: str) -> Any:
    """Return a column type's Arrow type."""
    return pa.list_(_TYPES[column[5:-1]]) if column.startswith("list<") else _TYPES[column]


def schema_of(columns: tuple[Column, ...]) -> Any:
    """Return a fact table's Arrow schema; every column may be null."""
    return pa.schema([(column.name, arrow_type(column.type)) for column in columns] + SYSTEM)


def partitions_of(table: str) -> list[str]:
    """Return what a new table is partitioned by: the day of receipt, and a fact's site (docs/adr/0076)."""
    return ["_day"] if table.startswith("_") else ["_day", "_site"]


class Kept(NamedTuple):
    """A row of a side table and the place that it stands for."""

    node: str
    version: int  # transaction version of the last row that it stands for
    row: tuple[Any, ...]


class Batch:
    """Rows on their way into one table, and those that don't fit, or that their node has lost.

    Without a spec no table is known, and nothing fits.
    """

    def __init__(self, fact: str, spec: FactSpec | None, now: int) -> None:
        self._fact = fact
        self._spec = spec
        self._check = None if spec is None else row_type(spec.columns)
        self._now = now // 1000  # wall us
        self._day = datetime.fromtimestamp(now / 1e9, UTC).date().isoformat()
        self._rows: list[tuple[Any, ...]] = []
        self.dead: list[Kept] = []
        self.lost: list[Kept] = []

    def add(self, lane: Lane, header: Header, row: Row) -> None:
        """Take one row; what is not exactly of the columns' types goes to the dead letters."""
        if self._spec is None:
            self._bury(lane, header, row, f"the app has no fact {self._fact}")
            return
        if header.schema != self._spec.fingerprint:
            self._bury(lane, header, row, f"schema {header.schema} is not {self._spec.fingerprint}")
            return
        try:
            values = msgspec.convert(row.values, self._check)
        except msgspec.ValidationError as error:
            self._bury(lane, header, row, str(error))
            return
        self._rows.append((*values, *self._system(lane, header, row)))

    def lose(self, lane: Lane, header: Header, first: int) -> None:
        """Take rows `first` to the header's last as lost by their node."""
        rows = header.last - first + 1
        version = transaction_version(lane.epoch.counter, header.last)
        row = (
            self._fact, first, header.last, rows, header.lost, self._now, header.site, lane.node,
            lane.epoch.counter, self._day,
        )  # fmt: skip
        self.lost.append(Kept(lane.node, version, row))

    def bury_range(self, lane: Lane, header: Header, first: int, why: tuple[str, bytes]) -> None:
        """Take rows `first` to the header's last as one dead letter: their envelope can't be read."""
        reason, body = why
        system = (
            None, self._now, header.site, lane.node, lane.epoch.counter, header.last, None, None, None, None,
            self._day, None,
        )  # fmt: skip
        row = (self._fact, header.schema, reason, body, header.last - first + 1, *system)
        self.dead.append(Kept(lane.node, transaction_version(lane.epoch.counter, header.last), row))

    def table(self) -> Any:
        """Return the rows that fit, as Arrow."""
        assert self._spec is not None
        return to_arrow(schema_of(self._spec.columns), self._rows)

    def _bury(self, lane: Lane, header: Header, row: Row, reason: str) -> None:
        body = msgspec.msgpack.encode(row)
        system = self._system(lane, header, row)
        version = transaction_version(lane.epoch.counter, row.seq)
        self.dead.append(Kept(lane.node, version, (lane.fact, header.schema, reason, body, 1, *system)))

    def _system(self, lane: Lane, header: Header, row: Row) -> tuple[Any, ...]:
        time = row.received if row.time is None else row.time
        return (
            None if time is None else time // 1000,
            self._now,
            header.site,
            lane.node,
            lane.epoch.counter,
            row.seq,
            row.event,
            row.clock,
            row.replayed,
            row.trace.hex() if row.trace else None,
            self._day,
            row.mono if row.mono is None or abs(row.mono) < 1 << 63 else None,
        )


def to_arrow(schema: Any, rows: list[tuple[Any, ...]]) -> Any:
    """Return rows as a table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
