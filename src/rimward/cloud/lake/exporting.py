# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow ships partial types)
"""A table's rows as one file, Parquet or CSV, written batch by batch and there as a whole or not at all."""

import csv
import json
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from rimward.cloud.lake.storage import Storage
from rimward.events import from_ns

ROWS = 65_536  # of a batch
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula


def export(storage: Storage, table: str, path: Path, since: int | None = None) -> int:
    """Write a table's rows to a file, those received since a moment in wall ns; return how many they were.

    The file's name says its form: it ends in .parquet or .csv. In CSV a cell that a spreadsheet would take
    for a formula begins with an apostrophe.

    Raises:
        TableNotFoundError: there is no such table.
        KeyError: the name ends otherwise.
        OSError: the file can't be written.
    """
    write = WRITERS[path.suffix]
    dataset: Any = storage.open(table).to_pyarrow_dataset()
    wanted = None if since is None else ds.field("_received_at") >= from_ns(since)
    draft = path.with_name(f"{path.name}.draft")
    try:
        rows = write(draft, dataset.schema, dataset.to_batches(filter=wanted, batch_size=ROWS))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows


def harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: what devices send is only text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _parquet(path: Path, schema: Any, batches: Iterator[Any]) -> int:
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _csv(path: Path, schema: Any, batches: Iterator[Any]) -> int:
    rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(schema.names)
        for batch in batches:
            columns: list[list[Any]] = [column.to_pylist() for column in batch.columns]
            writer.writerows([harmless(_cell(value)) for value in row] for row in zip(*columns, strict=True))
            rows += batch.num_rows
    return rows


def _cell(value: Any) -> Any:
    """Return a value as CSV can hold it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, default=str) if isinstance(value, list) else value


WRITERS: dict[str, Callable[[Path, Any, Iterator[Any]], int]] = {".parquet": _parquet, ".csv": _csv}
