# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""A small table read as a whole, without a dataset: that takes longer to import than this to read."""

from typing import Any

from deltalake import DeltaTable


def rows_of(table: DeltaTable, columns: list[str]) -> list[dict[str, Any]]:
    """Return some columns of all rows; a column that a file has not is null in its rows.

    None of them may be one that the table is partitioned by.
    """
    uris = table.file_uris()
    if any("://" in uri for uri in uris):
        dataset: Any = table.to_pyarrow_dataset()
        return dataset.to_table(columns=columns).to_pylist()
    return [row for uri in uris for row in _of_file(uri, columns)]


def is_empty(table: DeltaTable) -> bool:
    """Tell whether a table has no file: whoever asks it for rows can save the way there."""
    return not table.file_uris()


def _of_file(path: str, columns: list[str]) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        there = [name for name in columns if name in file.schema_arrow.names]
        nothing = dict.fromkeys(columns)
        return [{**nothing, **row} for row in file.read(columns=there).to_pylist()]
