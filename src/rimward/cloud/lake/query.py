# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake and duckdb ship partial types)
"""SQL over the lake: DuckDB in this process, a view for each table, and nothing else to reach.

A table is what the Delta log says that it is now. Columns and conditions go down to the files: those whose
day, site or statistics exclude a row are not opened (docs/adr/0009).
"""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake.exceptions import TableNotFoundError

from rimward.cloud.lake.placing import CLOCK, is_timed, place
from rimward.cloud.lake.storage import Storage, storage_of


def query(lake: Storage | Path, sql: str, params: dict[str, Any] | None = None) -> Any:
    """Run one query and return its result as a `pyarrow.Table`.

    Raises:
        duckdb.Error: the query is wrong, or asks for what lies outside the lake.
    """
    storage = storage_of(lake)
    with duckdb.connect(":memory:") as db:
        db.execute("set timezone='UTC'")
        opened: list[str] = []
        for name in _asked(db, sql, storage):
            try:
                table = storage.open(name)
            except TableNotFoundError:
                continue
            dataset: Any = table.to_pyarrow_dataset()
            db.register(name, dataset)
            if "_mono" in dataset.schema.names:
                opened.append(name)
        if is_timed(sql):
            place(db, opened)
        db.execute("set enable_external_access=false")
        db.execute("set lock_configuration=true")
        result = db.sql(sql, params=params or {})
        return _whole_numbers(result.to_arrow_table())


def _asked(db: duckdb.DuckDBPyConnection, sql: str, storage: Storage) -> list[str]:
    """Return the tables that a query names, as far as it can be told: opening one costs time."""
    names = storage.tables()
    try:
        asked = {name.lower() for name in db.get_table_names(sql)}
    except duckdb.Error:
        return names
    if not asked or not asked <= set(names):
        return names
    if is_timed(sql):
        asked.add(CLOCK)  # its views read it
    return [name for name in names if name in asked]


def _whole_numbers(table: Any) -> Any:
    """Return 128-bit whole numbers, which DuckDB makes of every sum of integers, as int64 where they fit."""
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                column = table.column(index).cast(pa.int64())
            except pa.ArrowInvalid:  # larger than int64: it stays what it is
                continue
            table = table.set_column(index, field.name, column)
    return table
