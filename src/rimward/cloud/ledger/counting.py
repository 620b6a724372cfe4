# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Rows of a table counted by node, lane and epoch, file by file: a file never changes and is counted once.

What was counted is remembered in a file of its own, which may be deleted at any time. A data file that is
gone counts nothing, whatever the log says of it.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from msgspec import Struct

from rimward.cloud.ledger.stored import Selection
from rimward.observe.transactions import transaction

KEYS = ["_node", "_lane", "_epoch"]
SCHEMA = """
create table if not exists file (tab text, path text, rows integer, primary key (tab, path)) without rowid;
create table if not exists part (
  tab text, path text, node text, lane text, epoch integer, rows integer, first integer, last integer,
  primary key (tab, path, node, lane, epoch)
) without rowid;
"""


class Part(Struct, frozen=True):
    """Rows of one lane and epoch in one file; the lane is "" where it is named as the table."""

    path: str
    node: str
    lane: str
    epoch: int
    rows: int
    first: int
    last: int


class Counted:
    """What was counted before, on disk; where the disk refuses that, everything is counted each time."""

    def __init__(self, path: Path | None) -> None:
        self._db = _opened(path)

    def parts(self, table: DeltaTable, name: str) -> list[Part]:
        """Return the parts of every file that a table has now and that is there."""
        try:
            return self._parts(table, name)
        except (OSError, sqlite3.Error):  # a disk that is full, or a damaged file: nothing rests on it
            self._db.close()
            self._db = _opened(None)
            return self._parts(table, name)

    def _parts(self, table: DeltaTable, name: str) -> list[Part]:
        files = {fragment.path: fragment for fragment in table.to_pyarrow_dataset().get_fragments()}
        tab = f"{name}/{table.metadata().id}"
        known = {path for (path,) in self._db.execute("select path from file where tab = ?", (tab,))}
        self._forget(tab, known - files.keys())
        for path in files.keys() - known:
            self._count(tab, path, files[path])
        gone = _missing(table, files)
        rows = self._db.execute(
            "select path, node, lane, epoch, rows, first, last from part where tab = ?", (tab,)
        )
        return [part for part in (Part(*row) for row in rows) if part.path not in gone]

    def _forget(self, tab: str, paths: Iterable[str]) -> None:
        gone = [(tab, path) for path in paths]
        self._db.executemany("delete from part where tab = ? and path = ?", gone)
        self._db.executemany("delete from file where tab = ? and path = ?", gone)

    def _count(self, tab: str, path: str, fragment: Any) -> None:
        found = parts_of(path, columns_of(fragment, [*KEYS, "_seq"]))
        with transaction(self._db):
            self._db.executemany(
                "insert or replace into part values (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (tab, one.path, one.node, one.lane, one.epoch, one.rows, one.first, one.last)
                    for one in found
                ],
            )
            rows = sum(one.rows for one in found)
            self._db.execute("insert or replace into file values (?, ?, ?)", (tab, path, rows))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def parts_of(path: str, rows: Any) -> list[Part]:
    """Return an Arrow table's rows by node, lane and epoch."""
    grouped = rows.group_by(KEYS).aggregate([([], "count_all"), ("_seq", "min"), ("_seq", "max")])
    return [
        Part(path, one["_node"], one["_lane"] or "", one["_epoch"], one["count_all"], one["_seq_min"],
             one["_seq_max"])
        for one in grouped.to_pylist()
    ]  # fmt: skip


def count(table: DeltaTable, name: str, parts: Iterable[Part], wanted: Selection) -> int:
    """Return how many rows of a table are among those wanted; files that a mark cuts are looked into."""
    rows, cut = 0, list[Part]()
    for part in parts:
        if part.node == wanted.node:
            taken = wanted.takes(part.lane or name, part.epoch, part.first, part.last)
            rows += part.rows if taken else 0
            if taken is None:
                cut.append(part)
    if cut:
        files = {fragment.path: fragment for fragment in table.to_pyarrow_dataset().get_fragments()}
        rows += sum(_in_part(files[part.path], part, name, wanted) for part in cut)
    return rows


def _in_part(fragment: Any, part: Part, name: str, wanted: Selection) -> int:
    assert wanted.until is not None
    import pyarrow.dataset as ds  # ingest's start, which imports this, goes without

    last = wanted.until.get(part.lane or name, (0, 0))[1]  # the mark is in this epoch, else it cuts nothing
    which = (ds.field("_node") == part.node) & (ds.field("_epoch") == part.epoch) & (ds.field("_seq") <= last)
    if "_lane" in fragment.physical_schema.names:
        lane = ds.field("_lane")
        which &= lane == part.lane if part.lane else lane.is_null()
    return fragment.count_rows(filter=which)


def columns_of(fragment: Any, names: list[str]) -> Any:
    """Return some columns of a file; those that it has not are null."""
    there = [name for name in names if name in fragment.physical_schema.names]
    rows = fragment.to_table(columns=there)
    for name in names:
        if name not in there:
            type_ = pa.int64() if name in {"_epoch", "_seq"} else pa.string()
            rows = rows.append_column(name, pa.nulls(rows.num_rows, type_))
    return rows


def _missing(table: DeltaTable, files: Iterable[str]) -> set[str]:
    """Return the data files that are not there, of a table in a local folder."""
    root = Path(table.table_uri.removeprefix("file://"))
    if not root.is_dir():
        return set()
    return {path for path in files if not ((root / path).exists() or (root / unquote(path)).exists())}


def _opened(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.touch(mode=0o600)  # whoever asks for the ledger makes it, with any umask
        db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5)
        db.execute("pragma journal_mode=wal")
        db.executescript(SCHEMA)
    except (OSError, sqlite3.Error):  # a disk that is full or read-only: it is counted anew each time
        db = sqlite3.connect(":memory:", isolation_level=None)
        db.executescript(SCHEMA)
    return db
