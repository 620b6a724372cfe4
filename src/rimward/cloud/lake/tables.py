# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (pyarrow ships partial types)
"""The lake's tables: a fact's columns and the system's, and rows as Arrow."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from rimward.app.manifest import Column

SITE_BYTES = 200  # of a site's name as a folder's, percent-encoded; file systems take 255 with `_site=`
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
    ("_lane", pa.string()),  # null in the lane that is named as the table
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
        ("_epoch", pa.int64()), ("_day", pa.string()), ("_lane", pa.string()),
    ]
)  # fmt: skip
EPOCHS = pa.schema(  # every start of a node's outbox that rows came from, and where its lanes went on
    [
        ("_node", pa.string()), ("_epoch", pa.int64()), ("nonce", pa.int64()), ("_received_at", _MOMENT),
        ("_day", pa.string()), ("_lane", pa.string()),
        ("prior", pa.int64()),  # transaction version of the lane's last row in the epoch before
    ]
)  # fmt: skip
SCHEMAS = pa.schema(  # every form that a fact has had
    [
        ("fact", pa.string()), ("schema", pa.string()), ("columns", pa.string()), ("_received_at", _MOMENT),
        ("_day", pa.string()),
    ]
)  # fmt: skip
GENERATIONS = pa.schema(  # every time that the lake was found restored
    [
        ("generation", pa.int64()), ("reason", pa.string()),
        ("seen", pa.string()),  # JSON: by table, its id and the version up to which that was taken account of
        ("_received_at", _MOMENT), ("_day", pa.string()),
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


@lru_cache(maxsize=1024)
def check_site(site: str) -> None:
    """Look whether a site can be the name of a partition's folder.

    Raises:
        ValueError: it is too long: no file system takes the folder, and the commit would fail for ever.
    """
    size = len(quote(site, safe=""))
    if size > SITE_BYTES:
        raise ValueError(f"site has {size} bytes as a folder's name, the limit is {SITE_BYTES}")


class Kept(NamedTuple):
    """A row of a side table and the place that it stands for."""

    application: str  # transaction id of its lane
    version: int  # transaction version of the last row that it stands for
    row: tuple[Any, ...]


def to_arrow(schema: Any, rows: list[tuple[Any, ...]]) -> Any:
    """Return rows as a table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def day_of(now: int) -> str:
    """Return the day of a moment, wall ns, as the tables are partitioned by."""
    return datetime.fromtimestamp(now / 1e9, UTC).date().isoformat()
